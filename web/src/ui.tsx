// Small parts that every page is made of.
import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ago, full } from "./format";
import { useNow } from "./hooks";
import { Long } from "./hostile";
import type { Agent } from "./types";

export function When({ at }: { at: number }) {
  const now = useNow(10_000);
  return (
    <time dateTime={new Date(at * 1000).toISOString()} title={full(at)}>
      {ago(at, now)}
    </time>
  );
}

export function Badge({ kind, children, title }: { kind: string; children: ComponentChildren; title?: string }) {
  return (
    <span class={`badge ${kind}`} title={title}>
      {children}
    </span>
  );
}

/** That an agent has used up its day, and when the next one begins. */
export function OverBudget({ agent }: { agent: Agent }) {
  if (agent.over_budget === null) return null;
  return (
    <Badge kind="bad" title={agent.over_budget.reason}>
      over budget until {full(agent.over_budget.until)}
    </Badge>
  );
}

/** What went wrong; it may quote what an agent wrote. */
export function Failure({ error }: { error: string | null }) {
  return error === null ? null : (
    <div class="error" role="alert">
      <Long text={error} longest={1000} tallest={12} />
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

export function Section({
  title,
  children,
  actions,
  id,
}: {
  title: ComponentChildren;
  children: ComponentChildren;
  actions?: ComponentChildren;
  id?: string;
}) {
  return (
    <section id={id}>
      <header class="head">
        <h2>{title}</h2>
        {actions}
      </header>
      {children}
    </section>
  );
}

/** A dialog that asks before something that cannot be taken back; with `word`, that has to be typed. */
export function Confirm({
  title,
  children,
  action,
  word,
  onDo,
  onClose,
}: {
  title: string;
  children: ComponentChildren;
  action: string;
  word?: string;
  onDo: () => Promise<boolean>;
  onClose: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const sure = word === undefined || typed === word;
  const act = async () => {
    setBusy(true);
    const done = await onDo();
    setBusy(false);
    if (done) onClose();
  };
  return (
    <dialog ref={dialog} onClose={onClose} aria-label={title}>
      <h2>{title}</h2>
      {children}
      {word !== undefined && (
        <label class="stack">
          Type <strong>{word}</strong> to go on
          <input value={typed} onInput={(event) => setTyped(event.currentTarget.value)} autocomplete="off" />
        </label>
      )}
      <p class="buttons">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="danger" disabled={!sure || busy} onClick={() => void act()}>
          {busy ? "…" : action}
        </button>
      </p>
    </dialog>
  );
}

/** For a box that grows at its end: it stays at the end, unless the reader scrolled away from it. */
export function useFollow<E extends HTMLElement>(what: unknown, begin = true): { ref: RefObject<E>; onScroll: () => void } {
  const ref = useRef<E>(null);
  const follows = useRef(begin);
  useLayoutEffect(() => {
    if (follows.current && ref.current) ref.current.scrollTop = ref.current.scrollHeight;
  }, [what]);
  const onScroll = () => {
    const box = ref.current;
    if (box) follows.current = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  };
  return { ref, onScroll };
}

/** j and k move through the elements that match `items`; Enter opens the link in the one that has the focus. */
export function useListKeys(items: string): void {
  useLayoutEffect(() => {
    const move = (event: KeyboardEvent) => {
      if (isTyping(event) || (event.key !== "j" && event.key !== "k")) return;
      const found = [...document.querySelectorAll<HTMLElement>(items)];
      const here = found.findIndex((each) => each === document.activeElement || each.contains(document.activeElement));
      const next = found[Math.max(0, Math.min(found.length - 1, here + (event.key === "j" ? 1 : -1)))];
      if (next) {
        event.preventDefault();
        next.focus();
        next.scrollIntoView({ block: "nearest" });
      }
    };
    addEventListener("keydown", move);
    return () => removeEventListener("keydown", move);
  }, [items]);
}

export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  const editable = target?.closest("input, textarea, select, dialog, .xterm, [contenteditable]") !== null;
  return editable || event.ctrlKey || event.metaKey || event.altKey;
}
