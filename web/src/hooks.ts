// What views use of the state: the hive, the time, things that are loaded for one view.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { get, query } from "./api";
import { live, type Status } from "./live";
import { Loader } from "./loader";
import { newestPage, NONE, olderPage, type Row, type Rows, withRow } from "./rows";
import { type Hive, model } from "./state";
import type { LiveEvent } from "./types";

export function useHive(): Hive {
  const [hive, setHive] = useState(model.hive);
  useEffect(() => {
    setHive(model.hive);
    return model.subscribe(setHive);
  }, []);
  return hive;
}

interface Clock {
  readers: Set<(now: number) => void>;
  timer: ReturnType<typeof setInterval>;
}

// A list has a thousand times in it: they share one timer.
const CLOCKS = new Map<number, Clock>();

function onTick(every: number, reader: (now: number) => void): () => void {
  let clock = CLOCKS.get(every);
  if (clock === undefined) {
    const readers = new Set<(now: number) => void>();
    const tick = () => readers.forEach((each) => each(Date.now() / 1000));
    clock = { readers, timer: setInterval(tick, every) };
    CLOCKS.set(every, clock);
  }
  const { readers, timer } = clock;
  readers.add(reader);
  return () => {
    readers.delete(reader);
    if (readers.size > 0) return;
    clearInterval(timer);
    CLOCKS.delete(every);
  };
}

/** The time in Unix seconds, anew each `every` milliseconds. */
export function useNow(every = 5000): number {
  const [now, setNow] = useState(Date.now() / 1000);
  useEffect(() => onTick(every, setNow), [every]);
  return now;
}

/** `value` once it has been the same for a moment: what is being typed is not asked for letter by letter. */
export function useSettled<T>(value: T, after = 200): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), after);
    return () => clearTimeout(timer);
  }, [value, after]);
  return settled;
}

export function useStatus(): Status {
  const [status, setStatus] = useState(live.status);
  useLayoutEffect(() => live.onStatus(setStatus), []);
  return status;
}

export function useEvents(listener: (events: LiveEvent[]) => void): void {
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(() => live.subscribe((events) => latest.current(events)), []);
}

export interface Loaded<T> {
  data: T | null;
  error: string | null;
  reload: () => void;
  set: (data: T) => void;
}

type Fetch<T> = (old: () => T | null) => Promise<T>;
type Outdated = (event: LiveEvent) => boolean;
type Amend<T> = (data: T, event: LiveEvent) => T;
const never: Outdated = () => false;

/** What `fetch` gives for `path`, kept up to date by events; anew when the path is another one. */
function useLoader<T>(path: string, fetch: Fetch<T>, outdated: Outdated, amend: Amend<T>): Loaded<T> & { loader: () => Loader<T> | null } {
  const [data, setData] = useState<T | null>(null);
  const [error, setError] = useState<string | null>(null);
  const wishes = useRef({ fetch, outdated, amend });
  wishes.current = { fetch, outdated, amend };
  const loader = useRef<Loader<T> | null>(null);
  const show = (found: T) => {
    setData(() => found);
    setError(null);
  };
  useEffect(() => {
    setData(null);
    setError(null);
    const mine = new Loader<T>({
      fetch: wishes.current.fetch,
      outdated: (event) => wishes.current.outdated(event),
      amend: (old, event) => wishes.current.amend(old, event),
      show,
      fail: setError,
    });
    loader.current = mine;
    mine.load();
    return () => mine.stop();
  }, [path]);
  useEvents((events) => loader.current?.take(events));
  const reload = useCallback(() => loader.current?.load(), []);
  const set = useCallback((found: T) => loader.current?.set(found), []);
  return { data, error, reload, set, loader: () => loader.current };
}

/** What `path` answers, loaded again when an event is one for which `outdated` holds, or all may be. */
export function useLoaded<T>(path: string, outdated: Outdated = never): Loaded<T> {
  return useLoader<T>(path, () => get<T>(path), outdated, (data) => data);
}

export interface Listed<T> extends Rows<T> {
  loaded: boolean;
  error: string | null;
  busy: boolean;
  older: () => void;
  reload: () => void;
}

/** The list `name` that `path` answers, newest first: a page of it, and older ones on demand. `fresh` is the row that an
 * event brings, if it brings one. */
export function useRows<T extends Row>(
  path: string,
  name: string,
  page: number,
  { outdated = never, fresh = () => null, most }: { outdated?: Outdated; fresh?: (event: LiveEvent) => T | null; most?: number },
): Listed<T> {
  type Answer = Record<string, T[]>;
  const first = query(path, { limit: page });
  const asked = useRef(0); // how many rows the operator asked for: those are not dropped again
  useEffect(() => {
    asked.current = 0;
  }, [first]);
  const amend: Amend<Rows<T>> = (old, event) => {
    const row = fresh(event);
    return row === null ? old : withRow(old, row, most === undefined ? Infinity : Math.max(most, asked.current));
  };
  const fetch: Fetch<Rows<T>> = async (old) => {
    const found = (await get<Answer>(first))[name]!;
    return newestPage(old(), found, page);
  };
  const loaded = useLoader<Rows<T>>(first, fetch, outdated, amend);
  const more = useAction(async () => {
    const loader = loaded.loader();
    asked.current = (loaded.data?.rows.length ?? 0) + 2 * page;
    const found = (await get<Answer>(query(first, { before: loaded.data!.rows.at(-1)?.id })))[name]!;
    loader?.change((old) => olderPage(old, found, page));
  });
  return {
    ...(loaded.data ?? NONE),
    loaded: loaded.data !== null,
    error: loaded.error ?? more.error,
    busy: more.busy,
    older: () => void more.run(),
    reload: loaded.reload,
  };
}

/** An action of the operator's: whether it runs, what went wrong, and the function that does it. */
export function useAction<A extends unknown[]>(
  act: (...given: A) => Promise<unknown>,
): { busy: boolean; error: string | null; run: (...given: A) => Promise<boolean>; clear: () => void } {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const run = async (...given: A): Promise<boolean> => {
    if (busy) return false;
    setBusy(true);
    setError(null);
    try {
      await act(...given);
      return true;
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, run, clear: () => setError(null) };
}

/** A text that the operator is writing; a reload of the page does not lose it. */
export function useDraft(key: string): [string, (text: string) => void] {
  const name = `draft:${key}`;
  const [text, setText] = useState(() => sessionStorage.getItem(name) ?? "");
  useEffect(() => setText(sessionStorage.getItem(name) ?? ""), [name]);
  const set = (value: string) => {
    setText(value);
    if (value) sessionStorage.setItem(name, value);
    else sessionStorage.removeItem(name);
  };
  return [text, set];
}
