// Calls of the core's HTTP API. A failed one throws ApiError with the core's own line for a person.

import { key } from "./key";

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
  ) {
    super(message);
  }
}

type Listener = () => void;
let loggedOut: Listener = () => undefined;

/** Who is told when the core says that there is no session (any more). */
export function onLoggedOut(listener: Listener): void {
  loggedOut = listener;
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...(key() === "" ? {} : { "x-hyperhive-key": key() }) },
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch {
    throw new ApiError("the core does not answer; is it running?", 0, "unreachable");
  }
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer as T;
  if (response.status === 401 && !path.startsWith("/v1/session")) loggedOut();
  const said = answer as { error?: string; code?: string } | null;
  throw new ApiError(said?.error ?? `the core answered with status ${response.status}`, response.status, said?.code ?? "");
}

export const get = <T>(path: string): Promise<T> => call<T>("GET", path);
export const post = <T>(path: string, body: unknown = {}): Promise<T> => call<T>("POST", path, body);
export const put = <T>(path: string, body: unknown): Promise<T> => call<T>("PUT", path, body);
export const del = <T>(path: string): Promise<T> => call<T>("DELETE", path);

/** A path with its parts encoded, e.g. url`/v1/agents/${name}/notes`. */
export function url(parts: TemplateStringsArray, ...values: (string | number)[]): string {
  return parts.reduce((made, part, index) => made + encodeURIComponent(String(values[index - 1])) + part);
}

/** `path` with those parameters that have a value. */
export function query(path: string, parameters: Record<string, string | number | null | undefined>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}${path.includes("?") ? "&" : "?"}${text}` : path;
}
