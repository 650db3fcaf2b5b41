// Numbers, events and lists as a person reads them.
import { expect, test } from "vitest";
import { query, url } from "./api";
import { ago, bytes, cost, count, duration, left, plural } from "./format";
import { eventLink, eventWords } from "./letter";
import { Batch } from "./live";
import { order } from "./pages/inbox";
import { fits, thread } from "./pages/mail";
import { mergeLog } from "./pages/proposal";
import { merge } from "./pages/proposals";
import { leaves } from "./pages/settings";
import type { Brief, LogLine, Message } from "./types";

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

test("rows and lines merge by their numbers", () => {
  const row = (id: number, state: string) => ({ id, state }) as Brief;
  expect(merge([row(2, "a"), row(1, "a")], [row(2, "b"), row(3, "a")]).map((each) => [each.id, each.state])).toEqual([[3, "a"], [2, "b"], [1, "a"]]);
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
