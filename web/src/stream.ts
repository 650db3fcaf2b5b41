// The browser's one stream of what happens, for all its pages: in a worker that they share, or in a page that has none.
// After a pause of any length it goes on where it was; if that cannot be, `reset` comes, and who shows something loads it
// again.
import { ApiError, get } from "./api";
import { borrow, withKey } from "./key";
import { gone } from "./locks";
import { callOf } from "./notify";
import type { LiveEvent, Session } from "./types";

export const KINDS = ["hello", "reset", "agent", "turn", "turn_event", "turn_text", "proposal", "proposal_log", "message", "read", "hive"];
const RETRY = 2000;
const HIDDEN = 60_000;
const TIDY = 10_000;
const RECENT = 200;
const MOST_TURNS = 50; // as the core's
const NAME = /^[a-z][a-z0-9-]{0,30}$/;

export type Status = "connecting" | "live" | "lost" | "paused";
/** Why a page has no session any more: it is over, or another user logged in. */
export type Ended = "over" | "other";

/** What a page says. `key` is the session's; `turns` is the agent whose turn it watches, "" for none; `lock` one that it holds while it lives. */
export type Wish =
  | { do: "join"; user: string; key: string; turns: string; visible: boolean; lock: string | null }
  | { do: "watch"; turns: string }
  | { do: "seen"; visible: boolean }
  | { do: "leave" | "check" | "logout" };

/** What a page is told. `joined`: nothing that happens from now on is missed. `alive`: a lock that the worker holds. */
export type Told =
  | { told: "alive"; lock: string }
  | { told: "status"; status: Status }
  | { told: "joined" }
  | { told: "event"; event: LiveEvent }
  | { told: "call"; words: string }
  | { told: "ended"; why: Ended };

export type Port = Pick<MessagePort, "postMessage" | "onmessage">;
type Source = Pick<EventSource, "addEventListener" | "close" | "onopen" | "onerror">;

export interface World {
  open: (url: string) => Source;
  /** The user who is logged in, null if none is; fails if the core is away. */
  user: () => Promise<string | null>;
  /** Resolves when who holds that lock is gone. */
  gone: (lock: string) => Promise<void>;
}

interface Page {
  user: string;
  turns: string;
  visible: boolean;
  joined: boolean;
}

export class Stream {
  private readonly pages = new Map<Port, Page>();
  private source: Source | null = null;
  private asked: Set<string> | null = new Set();
  private last: string | null = null;
  private greeted = false;
  private joins = 0;
  private recent: LiveEvent[] = [];
  private status: Status = "connecting";
  private retry: ReturnType<typeof setTimeout> | undefined;
  private hiding: ReturnType<typeof setTimeout> | undefined;
  private tidying: ReturnType<typeof setTimeout> | undefined;

  /** `rests`: a page that nobody sees gives its connection back. A browser has six to an origin, for all its pages. */
  constructor(
    private readonly world: World,
    private readonly rests = false,
  ) {}

  attach(port: Port): void {
    port.onmessage = (event) => this.obey(port, event.data as Wish);
  }

  private obey(port: Port, wish: Wish): void {
    const page = this.pages.get(port);
    switch (wish.do) {
      case "join":
        return this.join(port, wish);
      case "watch":
        return page && this.watch(port, page, wish.turns);
      case "seen":
        return page && this.seen(page, wish.visible);
      case "leave":
        return this.leave(port);
      case "check":
        return void this.check();
      case "logout":
        return this.end(() => true, "over");
    }
  }

  private join(port: Port, { user, key, turns, visible, lock }: Wish & { do: "join" }): void {
    borrow(key);
    this.joins++;
    const before = this.pages.size;
    this.end((page) => page.user !== user, "other");
    if (this.pages.size < before) this.close(); // it was that user's
    const page = { user, turns, visible, joined: false };
    this.pages.set(port, page);
    if (lock !== null) void this.world.gone(lock).then(() => this.leave(port));
    tell(port, { told: "status", status: this.status });
    this.seen(page, visible);
    if (this.source === null || !this.covers(turns)) this.connect();
    else if (this.greeted) this.welcome(port, page);
  }

  private welcome(port: Port, page: Page): void {
    if (!page.joined) tell(port, { told: "joined" });
    page.joined = true;
  }

  // What a page loads while its wish is on its way lacks what came meanwhile; that is told again, and merges.
  private watch(port: Port, page: Page, turns: string): void {
    page.turns = turns;
    if (this.source === null) return; // the next one asks for it
    if (!this.covers(turns)) return this.connect();
    for (const event of this.recent) if (event.data.agent === turns) tell(port, { told: "event", event });
    this.tidy();
  }

  private seen(page: Page, visible: boolean): void {
    page.visible = visible;
    if (!this.rests) return;
    clearTimeout(this.hiding);
    if (!visible) {
      this.hiding = setTimeout(() => {
        this.close();
        this.set("paused");
      }, HIDDEN);
    } else if (this.source === null) {
      this.connect();
    }
  }

  private leave(port: Port): void {
    if (!this.pages.delete(port)) return;
    if (this.pages.size > 0) return this.tidy();
    this.close();
    this.last = null; // who comes next loads everything
    this.recent = [];
    this.status = "connecting";
  }

  private end(which: (page: Page) => boolean, why: Ended): void {
    for (const [port, page] of [...this.pages]) {
      if (!which(page)) continue;
      tell(port, { told: "ended", why });
      this.leave(port);
    }
  }

  /** The agents whose turns some page watches; null for all, if they are too many to name. */
  private wanted(): Set<string> | null {
    const names = new Set([...this.pages.values()].map((page) => page.turns).filter((name) => NAME.test(name)));
    return names.size > MOST_TURNS ? null : names;
  }

  private covers(turns: string): boolean {
    return this.asked === null || this.asked.has(turns) || !NAME.test(turns);
  }

  // A name that is not watched any more is left out a little later: a page that is reloaded watches it again.
  private tidy(): void {
    this.tidying ??= setTimeout(() => {
      this.tidying = undefined;
      if (this.source !== null && this.asked?.size !== this.wanted()?.size) this.connect();
    }, TIDY);
  }

  private connect(): void {
    this.close();
    this.asked = this.wanted();
    const turns = this.asked === null ? "" : `&turns=${[...this.asked].sort().join(",")}`;
    const resume = this.last === null ? "" : `&last_event_id=${encodeURIComponent(this.last)}`;
    const source = this.world.open(`/v1/events?${`${turns}${resume}`.slice(1)}`);
    this.source = source;
    for (const kind of KINDS) source.addEventListener(kind, (event) => source === this.source && this.hear(kind, event as MessageEvent<string>));
    source.onopen = () => source === this.source && this.set("live");
    source.onerror = () => source === this.source && this.lost();
  }

  private hear(kind: string, { data, lastEventId }: MessageEvent<string>): void {
    if (lastEventId) this.last = lastEventId;
    if (!this.greeted) this.pages.forEach((page, port) => this.welcome(port, page));
    this.greeted = true;
    if (kind !== "hello") this.pass({ kind, data: JSON.parse(data) as Record<string, unknown> });
  }

  private pass(event: LiveEvent): void {
    const agent = event.kind === "turn_event" || event.kind === "turn_text" ? event.data.agent : null;
    if (event.kind === "turn_event") this.recent = [...this.recent.slice(1 - RECENT), event];
    for (const [port, page] of this.pages) if (agent === null || agent === page.turns) tell(port, { told: "event", event });
    const words = callOf(event);
    const [first] = this.pages.keys();
    if (words !== null && first !== undefined && ![...this.pages.values()].some((page) => page.visible)) tell(first, { told: "call", words });
  }

  // The browser's own retry would ask with the parameters of the first try; so it is made here. And a stream does not say
  // why it ended: whether the session did is asked after each try.
  private lost(): void {
    this.close();
    this.set("lost");
    this.retry = setTimeout(() => this.connect(), RETRY);
    void this.check();
  }

  private async check(): Promise<void> {
    const joins = this.joins;
    const user = await this.world.user().catch(() => undefined);
    if (user === undefined || joins !== this.joins) return; // away, or somebody has logged in since: the next try tells
    this.end((page) => page.user !== user, user === null ? "over" : "other");
  }

  private close(): void {
    for (const timer of [this.retry, this.tidying]) clearTimeout(timer);
    this.tidying = undefined;
    this.source?.close();
    this.source = null;
    this.greeted = false;
  }

  private set(status: Status): void {
    this.status = status;
    for (const port of this.pages.keys()) tell(port, { told: "status", status });
  }
}

function tell(port: Port, told: Told): void {
  port.postMessage(told);
}

export const WORLD: World = {
  open: (url) => new EventSource(withKey(url)),
  user: () =>
    get<Session>("/v1/session").then(
      (session) => session.user,
      (failure: ApiError) => {
        if (failure.status === 401) return null;
        throw failure;
      },
    ),
  gone,
};
