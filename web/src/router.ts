// Which page is shown: the location's hash, so that reloading and the browser's buttons do what they should.
import { useLayoutEffect, useState } from "preact/hooks";

export interface Route {
  page: "overview" | "proposals" | "inbox" | "mail" | "dead-letters" | "agent" | "audit" | "nowhere";
  name?: string;
  id?: number;
  tab?: string;
}

export const TABS = ["turns", "inbox", "settings", "notes", "logs", "terminal"] as const;

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function parse(hash: string): Route {
  const [page = "", first, second, third] = hash.replace(/^#?\/?/, "").split("/").map(decoded);
  const id = (text: string | undefined) => (text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined);
  switch (page) {
    case "":
      return { page: "overview" };
    case "proposals":
    case "mail":
      if (first === undefined) return { page };
      return id(first) === undefined ? { page: "nowhere" } : { page, id: id(first) };
    case "inbox":
    case "audit":
    case "dead-letters":
      return { page };
    case "agents":
      if (!first) return { page: "overview" };
      if (second !== undefined && !TABS.includes(second as (typeof TABS)[number])) return { page: "nowhere" };
      return { page: "agent", name: first, tab: second ?? "turns", id: id(third) };
    default:
      return { page: "nowhere" };
  }
}

export const to = {
  overview: "#/",
  proposals: "#/proposals",
  proposal: (id: number) => `#/proposals/${id}`,
  inbox: "#/inbox",
  mail: "#/mail",
  deadLetters: "#/dead-letters",
  chain: (id: number) => `#/mail/${id}`,
  audit: "#/audit",
  agent: (name: string, tab?: string, id?: number) =>
    `#/agents/${encodeURIComponent(name)}${tab ? `/${tab}` : ""}${id === undefined ? "" : `/${id}`}`,
};

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useLayoutEffect(() => {
    // at once: a change before the next frame would never be heard
    const changed = () => setHash(location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return parse(hash);
}

/** A login link's text, from a whole address or what stands after link=; null if there is none. */
export function linkIn(text: string): string | null {
  const found = /(?:^|[#&]link=)([A-Za-z0-9_-]{8,64}\.[A-Za-z0-9_-]{16,128})$/.exec(text.trim());
  return found ? found[1]! : null;
}
