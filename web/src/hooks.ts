// What views use of the state: the hive, the time, things that are loaded for one view.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get } from "./api";
import { live, type Status } from "./live";
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

/** The time in Unix seconds, anew each `every` milliseconds. */
export function useNow(every = 5000): number {
  const [now, setNow] = useState(Date.now() / 1000);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now() / 1000), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

export function useStatus(): Status {
  const [status, setStatus] = useState(live.status);
  useEffect(() => live.onStatus(setStatus), []);
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

/** What `path` answers, loaded again when an event is one for which `outdated` holds, or all may be. */
export function useLoaded<T>(path: string | null, outdated: (event: LiveEvent) => boolean = () => false): Loaded<T> {
  const [data, setData] = useState<T | null>(null);
  const [error, setError] = useState<string | null>(null);
  const newest = useRef(0);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const load = useCallback(() => {
    if (path === null) return;
    const mine = ++newest.current;
    get<T>(path).then(
      (found) => {
        if (mine !== newest.current) return;
        setData(found);
        setError(null);
      },
      (failure: ApiError) => {
        if (mine === newest.current) setError(failure.message);
      },
    );
  }, [path]);
  useEffect(() => {
    setData(null);
    setError(null);
    load();
    return () => {
      newest.current++;
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, [load]);
  useEvents((events) => {
    if (timer.current === undefined && events.some((each) => each.kind === "reset" || outdated(each))) {
      timer.current = setTimeout(() => {
        timer.current = undefined;
        load();
      }, 100);
    }
  });
  return { data, error, reload: load, set: setData };
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
