// What the page knows of the hive: a snapshot, and the events since. One way: core -> here -> views.
import { get } from "./api";
import type { Agent, Brief, HiveStatus, LiveEvent, Message } from "./types";

export interface Hive {
  loaded: boolean;
  /** Why it could not be loaded the last time. */
  problem: string | null;
  agents: Agent[];
  waiting: Brief[];
  inbox: Message[];
  status: HiveStatus;
}

export const EMPTY: Hive = { loaded: false, problem: null, agents: [], waiting: [], inbox: [], status: { paused: null, dead_letters: 0 } };

/** The parts of a snapshot that an event makes out of date. */
export type Part = "agents" | "waiting" | "inbox" | "status";

/** Apply one event: the hive after it, and what has to be loaded again since the event does not say it all. */
export function apply(hive: Hive, { kind, data }: LiveEvent): { hive: Hive; reload: Part[] } {
  switch (kind) {
    case "reset":
      return { hive, reload: PARTS };
    case "hive":
      return { hive, reload: ["status"] };
    case "agent":
      return agentEvent(hive, data);
    case "turn":
      return { hive: patch(hive, String(data.agent), { doing: null }), reload: ["agents"] };
    case "proposal":
      return { hive, reload: ["waiting"] };
    case "message":
      return message(hive, data as unknown as Message);
    case "read":
      return { hive: { ...hive, inbox: hive.inbox.filter((each) => each.id !== data.id) }, reload: [] };
    default:
      return { hive, reload: [] };
  }
}

/** What an agent is in: a step of its work if it runs, else its container's state. */
export function stateWords(agent: Agent): string {
  const working = { turn: "in a turn", compacting: "compacting", waiting: "waiting" }[agent.activity as string];
  return agent.state === "running" && working !== undefined ? working : agent.state;
}

function agentEvent(hive: Hive, data: Record<string, unknown>): { hive: Hive; reload: Part[] } {
  const name = String(data.name);
  switch (data.event) {
    case "doing":
      return { hive: patch(hive, name, { doing: data.doing as string | null }), reload: [] };
    case "idle":
    case "turn":
    case "compacting":
    case "waiting":
      return { hive: patch(hive, name, { activity: data.event, trouble: (data.trouble ?? null) as string | null, state: "running" }), reload: [] };
    case "denied":
      return { hive, reload: [] };
    default: // a proposal may be out of date now
      return { hive, reload: ["agents", "waiting"] };
  }
}

function message(hive: Hive, told: Message): { hive: Hive; reload: Part[] } {
  if (told.dead_at !== null) return { hive, reload: [] };
  if (told.recipient !== "operator") {
    const agent = hive.agents.find((each) => each.name === told.recipient);
    return { hive: agent ? patch(hive, agent.name, { unread: agent.unread + 1 }) : hive, reload: [] };
  }
  if (hive.inbox.some((each) => each.id === told.id)) return { hive, reload: [] };
  return { hive: { ...hive, inbox: [told, ...hive.inbox] }, reload: [] };
}

function patch(hive: Hive, name: string, changes: Partial<Agent>): Hive {
  return { ...hive, agents: hive.agents.map((each) => (each.name === name ? { ...each, ...changes } : each)) };
}

/** Proposals that can be approved as they are: checked, against what the agent is now. */
export function decidable(hive: Hive): Brief[] {
  return hive.waiting.filter((proposal) => !proposal.stale);
}

/** How much waits for the operator: proposals that can be decided, unread mail and questions, agents that failed. */
export function waitingFor(hive: Hive): number {
  return decidable(hive).length + hive.inbox.length + failed(hive).length;
}

export function failed(hive: Hive): Agent[] {
  return hive.agents.filter((each) => each.state === "failed");
}

const LOADERS: Record<Part, () => Promise<Partial<Hive>>> = {
  agents: async () => ({ agents: (await get<{ agents: Agent[] }>("/v1/agents")).agents }),
  waiting: async () => ({
    waiting: (await get<{ proposals: Brief[] }>("/v1/proposals?state=checked&brief=1&limit=1000")).proposals,
  }),
  inbox: async () => ({ inbox: (await get<{ messages: Message[] }>("/v1/inbox?limit=1000&brief=1")).messages }),
  status: async () => ({ status: await get<HiveStatus>("/v1/status") }),
};

const PARTS = Object.keys(LOADERS) as Part[];
const SETTLE = 120;
const RETRY = 2000;

/** Events upon a snapshot that was asked for before they came: it may hold what they tell already, or may not yet. */
function replay(hive: Hive, events: LiveEvent[]): Hive {
  return events.reduce((before, event) => apply(before, event).hive, hive);
}

/** Mail to an agent is counted, so it cannot be told twice: whether the snapshot has it, only a newer one says. */
function isUncertain({ kind, data }: LiveEvent): boolean {
  return kind === "message" && data.recipient !== "operator";
}

/** The hive as it is now; `refresh` loads parts anew, many wishes that come together only once. */
export class Model {
  hive = EMPTY;
  private readonly listeners = new Set<(hive: Hive) => void>();
  private wanted = new Set<Part>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private during: LiveEvent[] | null = null;

  constructor(private readonly loaders = LOADERS) {}

  subscribe(listener: (hive: Hive) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Load everything; what fails is tried again until it works. */
  load(): Promise<void> {
    PARTS.forEach((part) => this.wanted.add(part));
    return this.reload();
  }

  take(events: LiveEvent[]): void {
    this.during?.push(...events);
    let hive = this.hive;
    for (const event of events) {
      const after = apply(hive, event);
      hive = after.hive;
      after.reload.forEach((part) => this.wanted.add(part));
    }
    if (this.during !== null && events.some(isUncertain)) this.wanted.add("agents");
    if (hive !== this.hive) this.set(hive);
    if (this.wanted.size > 0) this.soon();
  }

  refresh(...parts: Part[]): void {
    parts.forEach((part) => this.wanted.add(part));
    this.soon();
  }

  private soon(after = SETTLE): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.reload();
    }, after);
  }

  // An event that comes while a snapshot is on its way may be missing in it: it is applied to the snapshot again.
  private async reload(): Promise<void> {
    if (this.during !== null) return;
    this.during = [];
    const parts = [...this.wanted];
    this.wanted.clear();
    let pause = SETTLE;
    try {
      const found = await Promise.all(parts.map((part) => this.loaders[part]()));
      const snapshot = replay(Object.assign({}, this.hive, ...found) as Hive, this.during);
      const fresh = Object.fromEntries(parts.map((part) => [part, snapshot[part]]));
      this.set({ ...this.hive, ...fresh, loaded: this.hive.loaded || parts.length === PARTS.length, problem: null });
    } catch (failure) {
      parts.forEach((part) => this.wanted.add(part));
      pause = RETRY;
      this.set({ ...this.hive, problem: failure instanceof Error ? failure.message : String(failure) });
    } finally {
      this.during = null;
      if (this.wanted.size > 0) this.soon(pause);
    }
  }

  private set(hive: Hive): void {
    this.hive = hive;
    this.listeners.forEach((each) => each(hive));
  }
}

export const model = new Model();
