import { expect, test } from "vitest";
import { isDenial, mainInput, mergeEvents, steps, usageOf, written } from "./turn";
import { decodeRow, type TurnEvent } from "./claude";

const at = (seq: number, event: unknown): TurnEvent => decodeRow({ seq, at: seq, event })!;
const says = (seq: number, ...content: unknown[]) => at(seq, { type: "assistant", message: { content } });
const call = (id: string, name: string, input: unknown) => ({ type: "tool_use", id, name, input });
const gave = (id: string, content: unknown, is_error = false): TurnEvent =>
  at(99, { type: "user", message: { content: [{ type: "tool_result", tool_use_id: id, content, is_error }] } });

test("events are kept by number, once, in order", () => {
  const one = mergeEvents([], [says(1), says(2)]);
  expect(mergeEvents(one, [])).toBe(one);
  expect(mergeEvents(one, [says(2)])).toBe(one);
  expect(mergeEvents(one, [says(4), says(3), says(2)]).map((each) => each.seq)).toEqual([1, 2, 3, 4]);
  expect(mergeEvents(one, [says(3)]).map((each) => each.seq)).toEqual([1, 2, 3]);
});

test("a call is one step with its result", () => {
  const found = steps([says(1, { type: "text", text: "hm" }, call("a", "Bash", { command: "ls" })), gave("a", [{ type: "text", text: "x" }])]);
  expect(found.map((step) => step.kind)).toEqual(["text", "call"]);
  expect(found[1]).toMatchObject({ name: "Bash", result: "x", failed: false, denied: false });
});

test("a denial is marked, whether the result or the end of the turn tells of it", () => {
  const told = steps([says(1, call("a", "Bash", {})), gave("a", "denied by the hive's Bash rules: no rule", true)]);
  expect(told[0]).toMatchObject({ denied: true, failed: true });
  const later = steps([
    says(1, call("a", "Write", {})),
    at(3, { type: "result", permission_denials: [{ tool_use_id: "a" }] }),
  ]);
  expect(later[0]).toMatchObject({ denied: true });
  expect(isDenial("exit 1")).toBe(false);
});

test("what is malformed, oversized or an error is said", () => {
  const found = steps([
    at(1, { type: "malformed", text: "<" }),
    at(2, { type: "oversized", bytes: 9 }),
    at(3, { type: "result", is_error: true, result: "API Error" }),
  ]);
  expect(found.map((step) => step.kind === "note" && step.text)).toEqual([
    "not JSON: <",
    "an event of 9 bytes was left out",
    "ended with an error: API Error",
  ]);
});

test("use is the result's, else what the messages say so far", () => {
  const running = [at(1, { type: "assistant", message: { content: [], usage: { input_tokens: 5, cache_read_input_tokens: 7, output_tokens: 2 } } })];
  expect(usageOf(running)).toEqual({ input: 12, output: 2, cost: null });
  const end = { type: "result", usage: { input_tokens: 20, output_tokens: 4 }, total_cost_usd: 0.5 };
  expect(usageOf([...running, at(2, end)])).toEqual({ input: 20, output: 4, cost: 0.5 });
});

test("the input that says most is shown first", () => {
  expect(mainInput({ command: "ls", description: "list" })).toEqual({ text: "ls", whole: true });
  expect(mainInput({ to: "operator", body: "x" })).toEqual({ text: "operator", whole: false });
  expect(mainInput({ odd: 1 })).toEqual({ text: '{"odd":1}', whole: true });
  expect(mainInput(undefined)).toEqual({ text: "", whole: true });
});

test("what is being written adds up until its message comes, for this turn alone", () => {
  const piece = (turn: number, text: string) => ({ kind: "turn_text", data: { agent: "worker", turn, text } });
  const whole = (turn: number, type: string) => ({ kind: "turn_event", data: { agent: "worker", turn, seq: 1, event: { type } } });
  expect(written("", 1, [piece(1, "It "), piece(2, "x"), piece(1, "begins")])).toBe("It begins");
  expect(written("It ", 1, [piece(1, "begins"), whole(1, "user"), whole(2, "assistant")])).toBe("It begins");
  expect(written("It ", 1, [piece(1, "begins"), whole(1, "assistant"), piece(1, "Next")])).toBe("Next");
  expect(written("It ", 1, [{ kind: "turn", data: { turn: 1, outcome: "interrupted" } }])).toBe("");
  expect(written("", 1, [piece(1, "x".repeat(200_000)), piece(1, "END")])).toMatch(/^x{65533}END$/);
  expect(steps([], "It be")).toEqual([{ kind: "text", key: "coming", text: "It be" }]);
});
