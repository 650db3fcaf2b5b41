// Claude Code's stream of events as far as it is shown. An agent can write a line of its own into it, so an event may hold
// anything: what comes from here has the kinds of values that it says, and what did not fit is left out.

export interface StreamEvent {
  type: string;
  subtype?: string;
  message?: { content: Block[]; usage?: Usage };
  usage?: Usage;
  result?: string;
  is_error?: boolean;
  total_cost_usd?: number;
  /** The ids of the calls that were denied. */
  denied?: string[];
  bytes?: number;
  text?: string;
}

export type Block =
  | { type: "text"; text: string }
  | { type: "thinking"; thinking: string }
  | { type: "tool_use"; id: string; name: string; input: unknown }
  | { type: "tool_result"; tool_use_id: string; content: string; is_error: boolean };

export interface Usage {
  input_tokens?: number;
  output_tokens?: number;
  cache_read_input_tokens?: number;
  cache_creation_input_tokens?: number;
}

export interface TurnEvent {
  seq: number;
  event: StreamEvent;
}

const MOST = 1e15;
type Fields = Record<string, unknown>;

function fields(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function amount(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value <= MOST ? value : undefined;
}

function flag(value: unknown): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

/** An event of the stream, or what stands for one if it is none. */
export function decode(value: unknown): StreamEvent {
  const given = fields(value) ?? {};
  return {
    type: text(given.type) ?? "",
    subtype: text(given.subtype),
    message: message(given.message),
    usage: usage(given.usage),
    result: text(given.result),
    is_error: flag(given.is_error),
    total_cost_usd: amount(given.total_cost_usd),
    denied: list(given.permission_denials).flatMap((each) => text(fields(each)?.tool_use_id) ?? []),
    bytes: amount(given.bytes),
    text: text(given.text),
  };
}

/** A row of a turn's events, or null if it is none. */
export function decodeRow(value: unknown): TurnEvent | null {
  const seq = amount(fields(value)?.seq);
  return seq === undefined ? null : { seq, event: decode(fields(value)?.event) };
}

export function decodeRows(values: unknown): TurnEvent[] {
  return list(values).flatMap((each) => decodeRow(each) ?? []);
}

function message(value: unknown): StreamEvent["message"] {
  const given = fields(value);
  return given && { content: list(given.content).flatMap((each) => block(each) ?? []), usage: usage(given.usage) };
}

function usage(value: unknown): Usage | undefined {
  const given = fields(value);
  return (
    given && {
      input_tokens: amount(given.input_tokens),
      output_tokens: amount(given.output_tokens),
      cache_read_input_tokens: amount(given.cache_read_input_tokens),
      cache_creation_input_tokens: amount(given.cache_creation_input_tokens),
    }
  );
}

function block(value: unknown): Block | undefined {
  const given = fields(value) ?? {};
  switch (given.type) {
    case "text":
      return { type: "text", text: text(given.text) ?? "" };
    case "thinking":
      return { type: "thinking", thinking: text(given.thinking) ?? "" };
    case "tool_use":
      return { type: "tool_use", id: text(given.id) ?? "", name: text(given.name) ?? "?", input: given.input };
    case "tool_result":
      return {
        type: "tool_result",
        tool_use_id: text(given.tool_use_id) ?? "",
        content: result(given.content),
        is_error: given.is_error === true,
      };
    default:
      return undefined;
  }
}

function result(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return content === undefined ? "" : JSON.stringify(content);
  return content.map(part).join("\n");
}

function part(value: unknown): string {
  const given = fields(value) ?? {};
  const kind = text(given.type) ?? "?";
  return kind === "text" ? (text(given.text) ?? "") : `[${kind}]`;
}
