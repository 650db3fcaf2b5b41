// One stream for many pages: who gets what, and what happens when a page, the connection or the session ends.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { callOf } from "./notify";
import { KINDS, type Port, Stream, type Told, type Wish, type World } from "./stream";

class Source {
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  closed = false;
  private readonly listeners = new Map<string, (event: MessageEvent) => void>();

  constructor(readonly url: string) {}

  addEventListener(kind: string, listener: unknown): void {
    this.listeners.set(kind, listener as (event: MessageEvent) => void);
  }

  close(): void {
    this.closed = true;
  }

  say(kind: string, data: object = {}, lastEventId = ""): void {
    this.listeners.get(kind)!({ data: JSON.stringify(data), lastEventId } as MessageEvent);
  }

  greet(id = "x-1"): void {
    this.onopen?.();
    this.say("hello", {}, id);
  }
}

class Page {
  told: Told[] = [];
  onmessage: Port["onmessage"] = null;

  postMessage(told: Told): void {
    this.told.push(told);
  }

  wish(wish: Wish): void {
    this.onmessage!.call(undefined as never, { data: wish } as MessageEvent);
  }

  get words(): string[] {
    return this.told.map((each) => (each.told === "event" ? `${each.event.kind} ${JSON.stringify(each.event.data)}` : Object.values(each).join(" ")));
  }

  take(): string[] {
    const { words } = this;
    this.told = [];
    return words;
  }
}

let sources: Source[] = [];
let user: string | null | Error = "ann";
let closed = new Map<string, () => void>();
const world = {
  open: (url: string) => (sources.push(new Source(url)), sources.at(-1)!),
  user: () => (user instanceof Error ? Promise.reject(user) : Promise.resolve(user)),
  gone: (lock: string) => new Promise<void>((resolve) => closed.set(lock, resolve)),
} as unknown as World;
const current = () => sources.at(-1)!;
const asked = () => sources.map((each) => decodeURIComponent(each.url.replace("/v1/events?", "")));

function join(stream: Stream, more: Partial<Wish & { do: "join" }> = {}): Page {
  const page = new Page();
  stream.attach(page as unknown as Port);
  page.wish({ do: "join", key: "k", user: "ann", turns: "", visible: true, lock: null, ...more });
  return page;
}

beforeEach(() => {
  vi.useFakeTimers();
  sources = [];
  user = "ann";
  closed = new Map();
});
afterEach(() => vi.useRealTimers());

test("pages share one stream; one that comes later is told at once that it is live, and gets all from then on", () => {
  const stream = new Stream(world);
  const first = join(stream);
  expect(first.take()).toEqual(["status connecting"]);
  current().greet();
  expect(first.take()).toEqual(["status live", "joined"]);
  current().say("read", { id: 1 }, "x-2");
  const second = join(stream);
  expect(second.take()).toEqual(["status live", "joined"]);
  current().say("read", { id: 2 }, "x-3");
  expect([first.take(), second.take()]).toEqual([['event', 'event'].map((_, index) => `read {"id":${index + 1}}`), ['read {"id":2}']]);
  expect(sources.length).toBe(1);
});

test("the core is asked for all that is watched, each page gets what it watches, and a change goes on where it was", () => {
  const stream = new Stream(world);
  const first = join(stream, { turns: "bob" });
  current().greet();
  const second = join(stream, { turns: "amy" });
  expect(asked()).toEqual(["turns=bob", "turns=amy,bob&last_event_id=x-1"]);
  expect(sources[0]!.closed).toBe(true);
  current().greet("");
  for (const page of [first, second]) page.take();
  current().say("turn_event", { agent: "amy", seq: 1 }, "x-2");
  current().say("turn_text", { agent: "bob", text: "t" });
  current().say("turn", { agent: "amy" }, "x-3");
  expect(first.take()).toEqual(['turn_text {"agent":"bob","text":"t"}', 'turn {"agent":"amy"}']);
  expect(second.take()).toEqual(['turn_event {"agent":"amy","seq":1}', 'turn {"agent":"amy"}']);
});

test("who begins to watch what others watch gets what came while its wish was on its way", () => {
  const stream = new Stream(world);
  join(stream, { turns: "bob" });
  const second = join(stream);
  current().greet();
  current().say("turn_event", { agent: "bob", seq: 1 }, "x-2");
  second.take();
  second.wish({ do: "watch", turns: "bob" });
  expect(second.take()).toEqual(['turn_event {"agent":"bob","seq":1}']);
  expect(sources.length).toBe(1);
});

test("what is no agent's name is not asked for, and more than the core takes by name are all", () => {
  const stream = new Stream(world);
  join(stream, { turns: "No Name&x=" });
  expect(asked()).toEqual(["turns="]);
  for (let number = 0; number < 51; number++) join(stream, { turns: `a${number}` });
  expect(asked().at(-2)!.split(",").length).toBe(50);
  expect(asked().at(-1)).toBe("");
});

test("a page that is gone, however, gets nothing more, and what it watched is left out a little later", async () => {
  const stream = new Stream(world);
  const first = join(stream, { turns: "bob", lock: "one" });
  const second = join(stream, { turns: "amy", lock: "two" });
  current().greet();
  closed.get("one")!();
  await vi.advanceTimersByTimeAsync(0);
  first.take();
  current().say("read", { id: 1 }, "x-2");
  expect(first.take()).toEqual([]);
  expect(sources.length).toBe(2);
  await vi.advanceTimersByTimeAsync(11_000);
  expect(asked().at(-1)).toBe("turns=amy&last_event_id=x-2");
  second.wish({ do: "leave" });
  expect(current().closed).toBe(true);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sources.length).toBe(3);
  join(stream);
  expect(asked().at(-1), "who comes then loads everything").toBe("turns=");
});

test("a lost connection is tried again from the last event on, and a page that came meanwhile is told when it hears", async () => {
  const stream = new Stream(world);
  const first = join(stream);
  current().greet("x-7");
  first.take();
  user = new Error("away");
  current().onerror!();
  expect(first.take()).toEqual(["status lost"]);
  await vi.advanceTimersByTimeAsync(2000);
  expect(asked().at(-1)).toBe("turns=&last_event_id=x-7");
  const second = join(stream);
  expect(second.take()).toEqual(["status lost"]);
  current().onopen!();
  current().say("reset", {}, "y-1");
  expect(first.take()).toEqual(["status live", "reset {}"]);
  expect(second.take()).toEqual(["status live", "joined", "reset {}"]);
});

test("a stream that was closed is not heard any more", () => {
  const stream = new Stream(world);
  const page = join(stream);
  const old = current();
  old.greet();
  page.wish({ do: "watch", turns: "bob" });
  page.take();
  old.say("read", { id: 1 }, "x-9");
  old.onerror!();
  expect(page.take()).toEqual([]);
  expect(asked().at(-1)).toBe("turns=bob&last_event_id=x-1");
});

test("a session that ended while the core was away is noticed when it is back", async () => {
  const stream = new Stream(world);
  const pages = [join(stream), join(stream)];
  current().greet();
  user = new Error("away");
  current().onerror!();
  await vi.advanceTimersByTimeAsync(2000);
  current().onerror!();
  await vi.advanceTimersByTimeAsync(0);
  expect(pages.flatMap((page) => page.take()).filter((word) => word.startsWith("ended"))).toEqual([]);
  user = null;
  await vi.advanceTimersByTimeAsync(2000);
  current().onerror!();
  await vi.advanceTimersByTimeAsync(0);
  expect(pages.map((page) => page.take().at(-1))).toEqual(["ended over", "ended over"]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([sources.length, current().closed], "nobody asks any more").toEqual([3, true]);
});

test("an answer about a session that is older than a login does not end that", async () => {
  const stream = new Stream(world);
  join(stream);
  user = null;
  current().onerror!();
  const fresh = join(stream);
  await vi.advanceTimersByTimeAsync(0);
  expect(fresh.take().filter((word) => word.startsWith("ended"))).toEqual([]);
});

test("who logs out, or logs in as another user, ends the session of the other pages", async () => {
  const stream = new Stream(world);
  const [first, second] = [join(stream), join(stream)];
  current().greet();
  first.wish({ do: "logout" });
  expect([first.take().at(-1), second.take().at(-1)]).toEqual(["ended over", "ended over"]);
  first.wish({ do: "join", key: "k", user: "ann", turns: "", visible: true, lock: null });
  current().greet();
  first.take();
  const other = join(stream, { user: "eve" });
  expect(first.take()).toEqual(["ended other"]);
  current().greet();
  expect([sources.length, other.take().at(-1)]).toEqual([3, "joined"]);
  user = "ann";
  other.wish({ do: "check" });
  await vi.advanceTimersByTimeAsync(0);
  expect(other.take()).toEqual(["ended other"]);
});

test("hidden pages keep a stream that they share; a page alone gives its own back and goes on later", async () => {
  const shared = join(new Stream(world), { visible: false });
  await vi.advanceTimersByTimeAsync(200_000);
  expect([sources.length, current().closed]).toEqual([1, false]);
  expect(shared.take()).toEqual(["status connecting"]);
  const alone = join(new Stream(world, true));
  expect(sources.length).toBe(2);
  current().greet("x-3");
  alone.wish({ do: "seen", visible: false });
  await vi.advanceTimersByTimeAsync(61_000);
  expect([alone.take().at(-1), current().closed]).toEqual(["status paused", true]);
  alone.wish({ do: "seen", visible: true });
  expect(asked().at(-1)).toBe("turns=&last_event_id=x-3");
});

test("one page calls the operator, and only while none is seen", () => {
  const stream = new Stream(world);
  const pages = [join(stream, { visible: false }), join(stream)];
  current().greet();
  const question = { sender: "worker", recipient: "operator", kind: "question", dead_at: null, body: "<b>?" };
  const calls = () => pages.map((page) => page.take().filter((word) => word.startsWith("call")));
  current().say("message", question, "x-2");
  expect(calls()).toEqual([[], []]);
  pages[1]!.wish({ do: "seen", visible: false });
  current().say("message", question, "x-3");
  expect(calls()).toEqual([["call worker asks you something"], []]);
});

test("what calls the operator has no text of an agent's", () => {
  const message = { sender: "worker", recipient: "operator", kind: "message", dead_at: null, body: "evil" };
  const words = [
    callOf({ kind: "message", data: message }),
    callOf({ kind: "message", data: { ...message, sender: "system" } }),
    callOf({ kind: "message", data: { ...message, recipient: "worker" } }),
    callOf({ kind: "proposal", data: { agent: "worker", state: "checked", reason: "evil" } }),
    callOf({ kind: "proposal", data: { agent: "worker", state: "applied" } }),
    callOf({ kind: "agent", data: { name: "worker", event: "crashed", state: "failed" } }),
    callOf({ kind: "agent", data: { name: "worker", event: "idle" } }),
  ];
  expect(words).toEqual(["worker wrote to you", "the hive wrote to you", null, "a proposal for worker waits", null, "worker has failed", null]);
});

test("every kind of event has a listener", () => {
  const stream = new Stream(world);
  const page = join(stream);
  current().greet();
  page.take();
  for (const kind of KINDS) current().say(kind, { agent: "" });
  expect(page.take().length).toBe(KINDS.length - 1);
});
