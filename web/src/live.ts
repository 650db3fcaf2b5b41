// What happens, as server-sent events. After a pause of any length it goes on where it was; if that cannot be, `reset`
// comes, and whoever shows something loads it again.
import type { LiveEvent } from "./types";

export const KINDS = ["hello", "reset", "agent", "turn", "turn_event", "turn_text", "proposal", "proposal_log", "message", "read", "hive"];
const RETRY = 2000;
const HIDDEN = 60_000;
const PATIENCE = 1000;

type Listener = (events: LiveEvent[]) => void;
export type Status = "connecting" | "live" | "lost" | "paused";

/** Collects what comes and hands it on once a frame (a hidden page has no frames: then by a timer). */
export class Batch<T> {
  private waiting: T[] = [];

  constructor(
    private readonly deliver: (items: T[]) => void,
    private readonly soon: (then: () => void) => void = nextFrame,
  ) {}

  add(item: T): void {
    this.waiting.push(item);
    if (this.waiting.length === 1) this.soon(() => this.flush());
  }

  flush(): void {
    const items = this.waiting;
    this.waiting = [];
    if (items.length > 0) this.deliver(items);
  }
}

function nextFrame(then: () => void): void {
  if (document.hidden) setTimeout(then, 200);
  else requestAnimationFrame(then);
}

/** One stream for the page. `turns` names the agent whose turn's events are wanted. */
class Live {
  private source: EventSource | null = null;
  private turns = "";
  private last: string | null = null;
  private wanted = false;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private hiding: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Set<Listener>();
  private readonly watchers = new Set<(status: Status) => void>();
  private readonly batch = new Batch<LiveEvent>((events) => this.listeners.forEach((each) => each(events)));
  private begun: () => void = () => undefined;
  private hasBegun = false;
  status: Status = "connecting";

  /** Begin to listen. Resolves when nothing that happens from now on is missed: what is loaded then stays true. */
  start(): Promise<void> {
    this.wanted = true;
    this.last = null; // what came before is in the snapshot that is loaded now
    this.hasBegun = false;
    const begun = new Promise<void>((resolve) => (this.begun = resolve));
    setTimeout(() => this.begin(), PATIENCE);
    document.addEventListener("visibilitychange", this.visibility);
    this.connect();
    return begun;
  }

  stop(): void {
    this.wanted = false;
    document.removeEventListener("visibilitychange", this.visibility);
    this.close();
  }

  /** Which agent's turn is watched; "" for none. */
  watch(agent: string): void {
    if (agent === this.turns) return;
    this.turns = agent;
    if (this.source !== null) this.connect();
  }

  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  onStatus(watcher: (status: Status) => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  private connect(): void {
    this.close();
    const resume = this.last === null ? "" : `&last_event_id=${encodeURIComponent(this.last)}`;
    const source = new EventSource(`/v1/events?turns=${encodeURIComponent(this.turns)}${resume}`);
    this.source = source;
    for (const kind of KINDS) source.addEventListener(kind, (event) => this.take(kind, event));
    source.onopen = () => this.set("live");
    source.onerror = () => this.lost();
  }

  private take(kind: string, event: MessageEvent<string>): void {
    const resumed = this.last !== null;
    if (event.lastEventId) this.last = event.lastEventId;
    if (kind !== "hello") this.batch.add({ kind, data: JSON.parse(event.data) as Record<string, unknown> });
    else if (!this.hasBegun) this.begin();
    else if (!resumed) this.batch.add({ kind: "reset", data: {} }); // things were loaded before anybody listened
  }

  private begin(): void {
    this.hasBegun = true;
    this.begun();
  }

  // The browser's own retry would ask with the parameters of the first try; so it is made here.
  private lost(): void {
    this.close();
    this.set("lost");
    this.retry = setTimeout(() => this.connect(), RETRY);
  }

  private close(): void {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
  }

  // A browser has six connections to an origin, for all its pages together: one that nobody sees gives its own back.
  private readonly visibility = (): void => {
    clearTimeout(this.hiding);
    if (document.hidden) {
      this.hiding = setTimeout(() => {
        this.close();
        this.set("paused");
      }, HIDDEN);
    } else if (this.wanted && this.source === null) {
      this.connect();
    }
  };

  private set(status: Status): void {
    this.status = status;
    this.watchers.forEach((each) => each(status));
  }
}

export const live = new Live();
