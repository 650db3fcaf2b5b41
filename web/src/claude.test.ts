// An agent's own lines in its stream of events: nothing that they hold is an error of the page's.
import { expect, test } from "vitest";
import { oddEvents, REAL } from "../browser/odd";
import { cost, count } from "./format";
import { decode, decodeRow, decodeRows, type TurnEvent } from "./claude";
import { mainInput, mergeEvents, steps, usageOf, written } from "./turn";

const rows = (events: unknown[]): TurnEvent[] => decodeRows(events.map((event, index) => ({ seq: index + 1, at: null, event })));

test("what is as Claude Code writes it is kept", () => {
  const found = steps(rows(REAL));
  expect(found.map((step) => step.kind)).toEqual(["note", "text", "thinking", "call", "note", "note", "note"]);
  expect(found[3]).toMatchObject({ name: "Bash", result: "gave", denied: true });
  expect(usageOf(rows(REAL))).toEqual({ input: 13, output: 2, cost: 0.5 });
});

test("what does not fit is left out", () => {
  expect(decode({ type: "result", total_cost_usd: "1", permission_denials: 5, usage: [], is_error: "yes" })).toEqual({ type: "result", denied: [] });
  expect(decode({ type: "result", permission_denials: [null, 5, { tool_use_id: 7 }, { tool_use_id: "a" }] }).denied).toEqual(["a"]);
  expect([decode(null).type, decode([]).type, decode({ type: 5 }).type]).toEqual(["", "", ""]);
  const content = [null, 7, { type: 8 }, { type: "tool_use" }, { type: "tool_result", content: [null, 5, { type: "image" }, { type: "text", text: 5 }] }];
  expect(decode({ message: { content } }).message?.content).toEqual([
    { type: "tool_use", id: "", name: "?", input: undefined },
    { type: "tool_result", tool_use_id: "", content: "[?]\n[?]\n[image]\n", is_error: false },
  ]);
  expect([decodeRow(null), decodeRow({ seq: "1", event: {} }), decodeRows({}), decodeRows([7])]).toEqual([null, null, [], []]);
});

test.each([-1, Infinity, NaN, 1e300, "5", null, [5]])("%s is no amount", (wrong) => {
  const event = { type: "result", total_cost_usd: wrong, bytes: wrong, usage: { input_tokens: wrong } };
  expect(decode(event)).toEqual({ type: "result", denied: [], usage: {} });
});

/** All that the page makes of events, as words. */
function words(events: unknown[]): string[] {
  const all = mergeEvents([], rows(events));
  const used = usageOf(all);
  const found = [count(used.input), count(used.output), used.cost === null ? "" : cost(used.cost)];
  for (const step of steps(all, "coming")) {
    if (step.kind !== "call") found.push(step.text);
    else found.push(step.name, mainInput(step.input).text, JSON.stringify(step.input, null, 2) ?? "", step.result ?? "");
  }
  return found;
}

test("no value of the wrong kind in any field breaks anything", () => {
  const odd = oddEvents();
  expect(odd.length).toBeGreaterThan(1500);
  for (const event of odd) {
    for (const word of words([REAL[2], event, REAL[7]])) expect(typeof word, JSON.stringify(event)).toBe("string");
    written("x", 1, [{ kind: "turn_event", data: { turn: 1, event } }]);
  }
  expect(words(odd).join("")).not.toContain("[object Object]");
});
