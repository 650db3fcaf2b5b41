// A turn's stream of events as steps that a person reads: each tool call with its result.
import { type Block, decode, type StreamEvent, type TurnEvent, type Usage } from "./claude";
import type { LiveEvent } from "./types";

export type Step =
  | { kind: "text"; key: string; text: string }
  | { kind: "thinking"; key: string; text: string }
  | { kind: "call"; key: string; name: string; input: unknown; result: string | null; failed: boolean; denied: boolean }
  | { kind: "note"; key: string; text: string; bad: boolean };

/** Events by number, each once, in order; the same list if there is nothing new. */
export function mergeEvents(old: TurnEvent[], fresh: TurnEvent[]): TurnEvent[] {
  const last = old.at(-1)?.seq ?? 0;
  if (fresh.length === 0) return old;
  if (fresh.every((event, index) => event.seq > (index === 0 ? last : fresh[index - 1]!.seq))) return [...old, ...fresh];
  const bySeq = new Map([...old, ...fresh].map((event) => [event.seq, event]));
  return bySeq.size === old.length ? old : [...bySeq.values()].sort((one, other) => one.seq - other.seq);
}

/** The steps of a turn, from all its events so far, and what is being written after them. */
export function steps(events: TurnEvent[], coming = ""): Step[] {
  const found: Step[] = [];
  const calls = new Map<string, Step & { kind: "call" }>();
  for (const { seq, event } of events) {
    for (const [index, block] of (event.message?.content ?? []).entries()) add(found, calls, `${seq}.${index}`, block);
    const note = noteOf(event);
    if (note !== null) found.push({ kind: "note", key: `${seq}`, ...note });
    for (const id of event.denied ?? []) {
      const call = calls.get(id);
      if (call) call.denied = call.failed = true;
    }
  }
  if (coming) found.push({ kind: "text", key: "coming", text: coming });
  return found;
}

const LONGEST_COMING = 64 * 1024;

/** What is being written in a turn after these events: pieces add up until the message that holds them whole. */
export function written(coming: string, turn: number, told: LiveEvent[]): string {
  for (const { kind, data } of told) {
    if (data.turn !== turn) continue;
    if (kind === "turn_text") coming = (coming + String(data.text)).slice(-LONGEST_COMING);
    else if (kind === "turn_event" && decode(data.event).type === "assistant") coming = "";
    else if (kind === "turn" && data.outcome !== null) coming = "";
  }
  return coming;
}

function add(found: Step[], calls: Map<string, Step & { kind: "call" }>, key: string, block: Block): void {
  switch (block.type) {
    case "text":
      if (block.text) found.push({ kind: "text", key, text: block.text });
      break;
    case "thinking":
      if (block.thinking) found.push({ kind: "thinking", key, text: block.thinking });
      break;
    case "tool_use": {
      const call = { kind: "call", key, name: block.name, input: block.input, result: null, failed: false, denied: false } as const;
      const step = { ...call } as Step & { kind: "call" };
      calls.set(block.id, step);
      found.push(step);
      break;
    }
    case "tool_result": {
      const call = calls.get(block.tool_use_id);
      if (!call) break;
      call.result = block.content;
      call.failed = block.is_error;
      call.denied = call.denied || (call.failed && isDenial(call.result));
    }
  }
}

export function isDenial(text: string): boolean {
  return /denied by the hive's Bash rules|has been denied|don't ask mode/.test(text);
}

function noteOf(event: StreamEvent): { text: string; bad: boolean } | null {
  switch (event.type) {
    case "result":
      if (!event.is_error) return null;
      return { text: `ended with an error: ${event.result ?? event.subtype ?? ""}`, bad: true };
    case "oversized":
      return { text: `an event of ${event.bytes ?? "?"} bytes was left out`, bad: false };
    case "malformed":
      return { text: `not JSON: ${event.text ?? ""}`, bad: true };
    case "system":
      if (event.subtype === "compact_boundary") return { text: "the conversation was compacted", bad: false };
      return null;
    default:
      return null;
  }
}

/** What a turn has used so far: the result's sum, or that of its messages. */
export function usageOf(events: TurnEvent[]): { input: number; output: number; cost: number | null } {
  const result = events.findLast(({ event }) => event.type === "result")?.event;
  if (result?.usage) return { ...tokens(result.usage), cost: result.total_cost_usd ?? null };
  let input = 0;
  let output = 0;
  for (const { event } of events) {
    if (event.type !== "assistant" || !event.message?.usage) continue;
    const used = tokens(event.message.usage);
    input = Math.max(input, used.input);
    output += used.output;
  }
  return { input, output, cost: null };
}

function tokens(usage: Usage): { input: number; output: number } {
  const input = (usage.input_tokens ?? 0) + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0);
  return { input, output: usage.output_tokens ?? 0 };
}

/** The part of a call's input that says most, and whether it is all of it. */
export function mainInput(input: unknown): { text: string; whole: boolean } {
  if (typeof input !== "object" || input === null) return { text: input === undefined ? "" : String(input), whole: true };
  const values = input as Record<string, unknown>;
  const names = Object.keys(values);
  const best = ["command", "file_path", "path", "pattern", "url", "to", "question", "agent"].find(
    (name) => typeof values[name] === "string",
  );
  if (best === undefined) return { text: names.length > 0 ? JSON.stringify(values) : "", whole: true };
  const others = names.filter((name) => name !== best && name !== "description");
  return { text: String(values[best]), whole: others.length === 0 };
}
