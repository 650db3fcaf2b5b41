// Events of a turn as Claude Code writes them, and each with every field of the wrong kind: an agent can write what it likes.

const USAGE = { input_tokens: 5, output_tokens: 2, cache_read_input_tokens: 7, cache_creation_input_tokens: 1 };
const CALL = { type: "tool_use", id: "a", name: "Bash", input: { command: "ls", description: "list", more: { deep: [1] } } };

export const REAL: Record<string, unknown>[] = [
  { type: "system", subtype: "init", model: "haiku" },
  { type: "system", subtype: "compact_boundary" },
  { type: "assistant", message: { content: [{ type: "text", text: "said" }, { type: "thinking", thinking: "hm" }, CALL], usage: USAGE } },
  { type: "user", message: { content: [{ type: "tool_result", tool_use_id: "a", content: [{ type: "text", text: "gave" }], is_error: true }] } },
  { type: "user", message: { content: [{ type: "tool_result", tool_use_id: "a", content: "gave", is_error: false }] } },
  { type: "oversized", bytes: 9 },
  { type: "malformed", text: "<" },
  {
    type: "result", subtype: "error", is_error: true, result: "API Error", usage: USAGE, total_cost_usd: 0.5, num_turns: 1,
    duration_ms: 5, duration_api_ms: 4, permission_denials: [{ tool_use_id: "a", tool_name: "Bash" }],
  },
];

export const WRONG: unknown[] = [
  null, true, 0, 5, -1, 1e300, 1e-300, "", "1", "text", "\u202e", "__proto__", [], [null], [5], ["x"], [[]], [{}], {}, { type: 5 }, { length: 3 },
  { a: null }, { toString: null }, [{ type: "text" }], [{ type: "tool_use" }, { type: "tool_result" }], { content: [null, 7, { type: 8 }] },
  { tool_use_id: [] }, [[[[[[{ a: [[[]]] }]]]]]],
];

/** Each of REAL once for each of its fields, at any depth, and each of WRONG in that field's place; and WRONG themselves. */
export function oddEvents(): unknown[] {
  const made: unknown[] = [...WRONG];
  for (const event of REAL) for (const wrong of WRONG) made.push(...replaced(event, wrong));
  return made;
}

function replaced(value: unknown, wrong: unknown): unknown[] {
  if (typeof value !== "object" || value === null) return [];
  const found: unknown[] = [];
  for (const [name, inner] of Object.entries(value)) {
    const put = (other: unknown) => (Array.isArray(value) ? value.with(Number(name), other) : { ...value, [name]: other });
    found.push(put(wrong), ...replaced(inner, wrong).map(put));
  }
  return found;
}
