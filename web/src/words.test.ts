// Numbers, events and lists as a person reads them.
import { expect, test } from "vitest";
import { query, url } from "./api";
import { ago, bytes, cost, count, duration, left, plural } from "./format";
import { eventLink, eventWords } from "./letter";
import { Batch } from "./live";
import { order } from "./pages/inbox";
import { fits, thread } from "./pages/mail";
import { holds } from "./pages/overview";
import { ranked } from "./pages/proposal";
import { mergeLog } from "./pages/proposal-log";
import { queue } from "./pages/proposals";
import { leaves } from "./pages/settings";
import type { Agent, Brief, Change, LogLine, Message } from "./types";

test("times", () => {
  expect([0, 30, 90, 7200, 200_000].map((seconds) => ago(1000, 1000 + seconds))).toEqual(["now", "30 s ago", "1 min ago", "2 h ago", "2 d ago"]);
  expect([-1, 30, 600, 7200, 200_000].map((seconds) => left(1000 + seconds, 1000))).toEqual([
    "the time is over",
    "30 s left",
    "10 min left",
    "2 h left",
    "3 d left",
  ]);
  expect([0, 0.25, 1.23, 42.4, 61, 59.7, 3700].map(duration)).toEqual(["0 s", "250 ms", "1.2 s", "42 s", "1 min 1 s", "60 s", "1 h 1 min"]);
});

test("amounts", () => {
  expect([cost(0.01234), cost(2.5)]).toEqual(["$0.0123", "$2.50"]);
  expect([count(999), count(41_525), count(2_500_000)]).toEqual(["999", "41.5 k", "2.5 M"]);
  expect([bytes(5), bytes(2048), bytes(3 * 1024 * 1024)]).toEqual(["5 B", "2.0 KiB", "3.0 MiB"]);
  expect([plural(1, "message"), plural(2, "entry", "entries")]).toEqual(["1 message", "2 entries"]);
});

test("the hive's events are sentences, and what is none stays as it is", () => {
  const result = { event: "apply_result", proposal: 3, agent: "worker", state: "denied", decided_by: "operator:ann", reason: "no" };
  expect(eventWords(JSON.stringify(result))).toBe("Proposal 3 for worker is denied (decided by operator:ann): no");
  expect(eventWords(JSON.stringify({ event: "question_expired", question: 5, reason: "late" }))).toBe("Question 5 got no answer in time: late");
  const paused = { event: "hive_paused", until: "2026-11-25T08:00:00Z", reason: "the model API's" };
  expect(eventWords(JSON.stringify(paused))).toBe("The hive pauses until 2026-11-25T08:00:00Z: the model API's. All mail waits.");
  const over = { event: "over_budget", agent: "worker", until: "2026-11-25T00:00:00Z", reason: "it used $3.00 of $2.50 today" };
  expect(eventWords(JSON.stringify(over))).toBe(
    "worker is over its budget until 2026-11-25T00:00:00Z: it used $3.00 of $2.50 today. Its mail waits.",
  );
  for (const odd of ["", "{", "null", "7", '{"event": "unknown"}', "[]"]) expect(eventWords(odd)).toBe(null);
  expect(eventLink(JSON.stringify(result))).toEqual({ proposal: 3, agent: "worker" });
  expect(eventLink('{"agent": "../x", "proposal": "7"}')).toEqual({ proposal: undefined, agent: undefined });
});

test("addresses are encoded", () => {
  expect(url`/v1/agents/${"a/../b?c"}/notes`).toBe("/v1/agents/a%2F..%2Fb%3Fc/notes");
  expect(query("/v1/x", { a: "", b: null, c: "é&", d: 0 })).toBe("/v1/x?c=%C3%A9%26&d=0");
});

const mail = (id: number, changes: Partial<Message> = {}) => ({ id, sender: "a", recipient: "b", body: "Hello", chain: 0, reply_to: null, kind: "mail", ...changes }) as Message;

test("open questions are first in the inbox", () => {
  const found = order([mail(1, { kind: "question", expired: false, replied: false }), mail(3), mail(2, { kind: "question", expired: true, replied: false })]);
  expect(found.map((each) => each.id)).toEqual([1, 3, 2]);
});

test("an exchange is told in order, each answer below what it answers, each message once", () => {
  const found = thread([mail(4, { reply_to: 2, chain: 1 }), mail(1), mail(2, { reply_to: 1, chain: 1 }), mail(3, { chain: 1 }), mail(5, { reply_to: 5 })]);
  expect(found.map(({ message, depth }) => [message.id, depth])).toEqual([[1, 0], [2, 1], [4, 2], [3, 1], [5, 0]]);
  expect(thread([mail(1, { reply_to: 2 }), mail(2, { reply_to: 1 })])).toEqual([]);
});

test("a filter of mail looks at names and text", () => {
  expect([fits(mail(1), "", "hell"), fits(mail(1), "b", ""), fits(mail(1), "c", ""), fits(mail(1), "", "x")]).toEqual([true, true, false, false]);
});

test("a proposal that waits is in the queue however many came after it", () => {
  const row = (id: number, state: string, agent = "a") => ({ id, state, agent }) as Brief;
  const waiting = [row(9, "checked"), row(2, "checked"), row(1, "checked", "b")];
  expect(queue([row(9, "checked"), row(8, "building"), row(7, "applied")], waiting, "").map(({ id }) => id)).toEqual([9, 8, 2, 1]);
  expect(queue([], waiting, "b").map(({ id }) => id)).toEqual([1]);
});

test("what an agent gains is told first, and what matters most before the rest", () => {
  const change = (direction: Change["direction"], weight: number) => ({ area: "x", text: "x", direction, weight });
  const found = ranked([change("neutral", 9), change("widening", 1), change("narrowing", 5), change("widening", 4)]);
  expect(found.map(({ direction, weight }) => `${direction} ${weight}`)).toEqual(["widening 4", "widening 1", "narrowing 5", "neutral 9"]);
});

test("agents are filtered by each word", () => {
  const agent = { name: "worker", role: "agent", state: "running", activity: "turn", model: "haiku", last_turn: null, over_budget: null } as Agent;
  expect([holds(agent, ""), holds(agent, "HAIKU turn"), holds(agent, "worker stopped")]).toEqual([true, true, false]);
});

test("lines merge by their numbers", () => {
  const line = (seq: number) => ({ seq }) as LogLine;
  const log = mergeLog([], [line(1), line(2)]);
  expect(mergeLog(log, [])).toBe(log);
  expect(mergeLog(log, [line(4), line(3), line(2)]).map((each) => each.seq)).toEqual([1, 2, 3, 4]);
});

test("settings are rows of dotted names", () => {
  expect(leaves({ a: 1, b: { c: [1], d: null } })).toEqual([["a", 1], ["b.c", [1]], ["b.d", null]]);
});

test("what comes within a frame is handed on together", () => {
  const given: number[][] = [];
  let frame = () => undefined as void;
  const batch = new Batch<number>((items) => given.push(items), (then) => (frame = then));
  batch.add(1);
  batch.add(2);
  frame();
  batch.add(3);
  frame();
  expect(given).toEqual([[1, 2], [3]]);
});
