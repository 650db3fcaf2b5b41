// What the core's HTTP API sends. Times are Unix seconds. Every string of an agent is hostile: show it by hostile.tsx.

export interface Session {
  user: string;
  hive: string;
  version: string;
  /** How the user came: by a link, or a reverse proxy that logs in (and out). */
  by: "link" | "proxy";
  /** Of a new session only. */
  key?: string;
}

/** A browser that is logged in; `current` is this one. */
export interface LoggedIn {
  id: number;
  user: string;
  created_at: number;
  used_at: number;
  expires_at: number;
  current: boolean;
}

export interface Turn {
  id: number;
  agent: string;
  generation: number;
  model: string;
  session_id: string;
  message_ids: number[];
  started_at: number;
  ended_at: number | null;
  outcome: string | null;
  detail: string | null;
  cost_usd: number | null;
  purpose: "mail" | "compaction";
  commit: string | null;
  proposal: number | null;
  notes: string | null;
  cpu_seconds: number | null;
  memory_peak: number | null;
}

export type Activity = "idle" | "turn" | "compacting" | "waiting";

export interface Agent {
  name: string;
  role: "agent" | "manager";
  state: "stopped" | "starting" | "running" | "failed";
  desired: "running" | "stopped";
  generation: number;
  model: string | null;
  model_override: boolean;
  unread: number;
  last_turn: Turn | null;
  activity: Activity | null;
  trouble: string | null;
  doing: string | null;
  over_budget: { until: number; reason: string } | null;
}

/** Of the whole hive: whether a usage limit holds it up, how many messages were given up. */
export interface HiveStatus {
  paused: { until: number; reason: string } | null;
  dead_letters: number;
}

export interface Generation {
  number: number;
  commit: string;
  proposal: number | null;
  reason: string;
  healthy: boolean;
  created_at: number;
}

export interface AgentDetails extends Agent {
  settings: Record<string, unknown> | null;
  sources?: Record<string, string>;
  overrides: Record<string, unknown>;
  generations: Generation[];
  usage: { day: string; model: string; requests: number; input_tokens: number; output_tokens: number; cost_usd: number }[];
}

export interface Timing {
  queued: number;
  startup: number | null;
  model: number | null;
  tools: number | null;
  other: number | null;
  total: number;
}

export interface TurnDetails {
  turn: Turn;
  timing: Timing;
  /** Decode them by claude.ts. */
  events: unknown[];
  messages: Message[];
}

export interface Message {
  id: number;
  sender: string;
  recipient: string;
  kind: "mail" | "question" | "event";
  body: string;
  reply_to: number | null;
  chain: number;
  hops: number;
  sent_at: number;
  attempts: number;
  dead_at: number | null;
  read_at: number | null;
  replied: boolean;
  options: string[] | null;
  expires_at: number | null;
  expired: boolean;
  /** How many characters of the body are left out, where only its beginning was asked for. */
  cut?: number;
}

export type ProposalState =
  | "requested"
  | "checked"
  | "approved"
  | "building"
  | "activating"
  | "applied"
  | "rejected"
  | "denied"
  | "superseded"
  | "withdrawn"
  | "failed";

export interface Brief {
  id: number;
  agent: string;
  commit: string;
  reason: string;
  requester: string;
  state: ProposalState;
  base_generation: number | null;
  generation: number | null;
  error: string | null;
  decided_by: string | null;
  decision: string | null;
  created_at: number;
  updated_at: number;
  stale: boolean;
  changes: { widening: number; narrowing: number; neutral: number } | null;
  warnings: number;
}

export interface Change {
  area: string;
  direction: "widening" | "narrowing" | "neutral";
  text: string;
  weight?: number;
}

export interface Proposal extends Brief {
  delta: Change[] | null;
  lint: string[] | null;
  diff: string | null;
  fingerprint: string | null;
}

export interface LogLine {
  seq: number;
  at: number;
  step: string;
  text: string;
}

export interface Notes {
  text: string;
  bytes: number;
  max_bytes: number;
  enabled: boolean;
  version: string;
  modified: number | null;
}

export interface AuditEntry {
  id: number;
  at: number;
  actor: string;
  action: string;
  subject: string;
  detail: Record<string, unknown>;
}

export interface LiveEvent {
  kind: string;
  data: Record<string, unknown>;
}
