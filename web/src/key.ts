// The session's key: kept for this origin, port and all, as no cookie is. Without it the cookie is worth nothing.

const NAME = "hyperhive-key";
let lent: string | null = null;

/** Have this key, which a page has told: a worker has no storage of its own. */
export function borrow(value: string): void {
  lent = value;
}

export function key(): string {
  if (lent !== null) return lent;
  try {
    return localStorage.getItem(NAME) ?? "";
  } catch {
    return ""; // the browser keeps nothing: the page asks for a link again
  }
}

export function keep(value: string | undefined): void {
  lent = null;
  try {
    if (value === undefined) localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, value);
  } catch {
    // as above
  }
}

/** An address with the key in it, for what can be sent no header with. */
export function withKey(path: string): string {
  return key() === "" ? path : `${path}${path.includes("?") ? "&" : "?"}key=${encodeURIComponent(key())}`;
}
