// The page's end of the stream (stream.ts).
import { key } from "./key";
import { gone, hold } from "./locks";
import { call } from "./notify";
import { type Ended, type Status, Stream, type Told, type Wish, WORLD } from "./stream";
import type { LiveEvent } from "./types";

export type { Ended, Status };
const PATIENCE = 1000;

type Listener = (events: LiveEvent[]) => void;

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

/** Where the stream is reached, and a lock by which it knows that this page is there. */
interface Line {
  port: MessagePort;
  lock: string | null;
}

async function sharedLine(fail: () => void): Promise<Line> {
  const worker = new SharedWorker(new URL("./worker.ts", import.meta.url), { type: "module", name: "hyperhive" });
  worker.onerror = fail;
  return { port: worker.port, lock: await hold() };
}

async function ownLine(): Promise<Line> {
  const { port1, port2 } = new MessageChannel();
  new Stream(WORLD, true).attach(port1);
  return { port: port2, lock: null };
}

class Live {
  /** Whether pages share a stream here; Chrome on Android has no worker for it, plain HTTP but to loopback no locks. */
  shared = typeof SharedWorker !== "undefined" && "locks" in navigator;
  status: Status = "connecting";
  private line: Promise<Line> | null = null;
  private user = "";
  private turns = "";
  private wanted = false;
  private begun: () => void = () => undefined;
  private hasBegun = false;
  private patience: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Set<Listener>();
  private readonly watchers = new Set<(status: Status) => void>();
  private ended: (why: Ended) => void = () => undefined;
  private readonly batch = new Batch<LiveEvent>((events) => this.listeners.forEach((each) => each(events)));

  /** Begin to listen. Resolves when nothing that happens from now on is missed: what is loaded then stays true. */
  start(user: string): Promise<void> {
    this.user = user;
    this.wanted = true;
    this.hasBegun = false;
    const begun = new Promise<void>((resolve) => (this.begun = resolve));
    this.patience = setTimeout(() => this.begin(), PATIENCE);
    document.addEventListener("visibilitychange", this.visibility);
    addEventListener("pageshow", this.shown);
    if (this.line === null) this.dial();
    else this.join();
    return begun;
  }

  stop(): void {
    this.wanted = false;
    clearTimeout(this.patience);
    document.removeEventListener("visibilitychange", this.visibility);
    removeEventListener("pageshow", this.shown);
    this.say({ do: "leave" });
  }

  /** Which agent's turn is watched; "" for none. */
  watch(agent: string): void {
    if (agent === this.turns) return;
    this.turns = agent;
    if (this.wanted) this.say({ do: "watch", turns: agent });
  }

  /** The operator has logged out: so have all pages of this browser. */
  logout(): void {
    this.say({ do: "logout" });
  }

  /** The core says that there is no session: that may be so for the other pages too. */
  check(): void {
    this.say({ do: "check" });
  }

  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  onStatus(watcher: (status: Status) => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  /** Who is told when the session is not this page's any more. */
  onEnded(listener: (why: Ended) => void): void {
    this.ended = listener;
  }

  private dial(): void {
    this.say({ do: "leave" }); // on the line of before, if there is one
    const alone = () => {
      if (this.line !== line) return;
      this.shared = false;
      this.dial();
    };
    const line = this.shared ? sharedLine(alone) : ownLine();
    this.line = line;
    void line.then(({ port }) => {
      port.onmessage = (event) => this.line === line && this.hear(event.data as Told);
    }, alone);
    if (this.wanted) this.join();
  }

  private join(): void {
    const { user, turns } = this;
    this.say((lock) => ({ do: "join", user, key: key(), turns, visible: !document.hidden, lock }));
  }

  private say(wish: Wish | ((lock: string | null) => Wish)): void {
    const send = ({ port, lock }: Line) => port.postMessage(typeof wish === "function" ? wish(lock) : wish);
    void this.line?.then(send, () => undefined); // a line that could not be had has been replaced
  }

  private hear(told: Told): void {
    if (told.told === "alive") return this.survive(told.lock);
    if (!this.wanted) return;
    switch (told.told) {
      case "status":
        this.status = told.status;
        return this.watchers.forEach((each) => each(told.status));
      case "joined":
        if (!this.hasBegun) return this.begin();
        return this.batch.add({ kind: "reset", data: {} }); // things were loaded before anybody listened
      case "event":
        return this.batch.add(told.event);
      case "call":
        return call(told.words);
      case "ended":
        return this.ended(told.why);
    }
  }

  // The worker lives in the process of one of its pages, and may end with that.
  private survive(lock: string): void {
    const { line } = this;
    void gone(lock).then(() => this.line === line && this.dial());
  }

  private begin(): void {
    if (this.hasBegun) return;
    this.hasBegun = true;
    this.begun();
  }

  // A page that the browser kept for its "back" was given up by the stream meanwhile.
  private readonly shown = (event: PageTransitionEvent): void => {
    if (event.persisted) this.dial();
  };

  private readonly visibility = (): void => this.say({ do: "seen", visible: !document.hidden });
}

export const live = new Live();
