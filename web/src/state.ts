// What the page knows of the hive: a snapshot, and the events since. One way: core -> here -> views.
import { get } from "./api";
import type { Agent, Brief, LiveEvent, Message } from "./types";

export interface Hive {
  loaded: boolean;
  agents: Agent[];
  waiting: Brief[];
  inbox: Message[];
}

export const EMPTY: Hive = { loaded: false, agents: [], waiting: [], inbox: [] };

/** The parts of a snapshot that an event makes out of date. */
export type Part = "agents" | "waiting" | "inbox";

/** Apply one event: the hive after it, and what has to be loaded again since the event does not say it all. */
export function apply(hive: Hive, { kind, data }: LiveEvent): { hive: Hive; reload: Part[] } {
  switch (kind) {
    case "reset":
      return { hive, reload: ["agents", "waiting", "inbox"] };
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

function agentEvent(hive: Hive, data: Record<string, unknown>): { hive: Hive; reload: Part[] } {
  const name = String(data.name);
  switch (data.event) {
    case "doing":
      return { hive: patch(hive, name, { doing: data.doing as string | null }), reload: [] };
    case "idle":
    case "turn":
      return { hive: patch(hive, name, { activity: data.event, state: "running" }), reload: [] };
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

/** How much waits for the operator: proposals that can be decided, unread mail and questions, agents that failed. */
export function waitingFor(hive: Hive): number {
  return hive.waiting.length + hive.inbox.length + failed(hive).length;
}

export function failed(hive: Hive): Agent[] {
  return hive.agents.filter((each) => each.state === "failed");
}

const LOADERS: Record<Part, () => Promise<Partial<Hive>>> = {
  agents: async () => ({ agents: (await get<{ agents: Agent[] }>("/v1/agents")).agents }),
  waiting: async () => ({
    waiting: (await get<{ proposals: Brief[] }>("/v1/proposals?state=checked&brief=1&limit=1000")).proposals,
  }),
  inbox: async () => ({ inbox: (await get<{ messages: Message[] }>("/v1/inbox?limit=1000")).messages }),
};

const SETTLE = 120;

/** The hive as it is now; `refresh` loads parts anew, many wishes that come together only once. */
export class Model {
  hive = EMPTY;
  private readonly listeners = new Set<(hive: Hive) => void>();
  private wanted = new Set<Part>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private loading = false;

  constructor(private readonly loaders = LOADERS) {}

  subscribe(listener: (hive: Hive) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async load(): Promise<void> {
    const parts = await Promise.all(Object.values(this.loaders).map((load) => load()));
    this.set(Object.assign({}, this.hive, ...parts, { loaded: true }) as Hive);
  }

  take(events: LiveEvent[]): void {
    let hive = this.hive;
    for (const event of events) {
      const after = apply(hive, event);
      hive = after.hive;
      after.reload.forEach((part) => this.wanted.add(part));
    }
    if (hive !== this.hive) this.set(hive);
    if (this.wanted.size > 0) this.soon();
  }

  refresh(...parts: Part[]): void {
    parts.forEach((part) => this.wanted.add(part));
    this.soon();
  }

  private soon(): void {
    this.timer ??= setTimeout(() => void this.reload(), SETTLE);
  }

  // An event that comes while a snapshot is on its way may be missing in it: then the snapshot is taken again.
  private async reload(): Promise<void> {
    this.timer = undefined;
    if (this.loading) return;
    this.loading = true;
    try {
      const parts = [...this.wanted];
      this.wanted.clear();
      const found = await Promise.all(parts.map((part) => this.loaders[part]()));
      this.set(Object.assign({}, this.hive, ...found) as Hive);
    } catch {
      // The next event, or the stream's reset, asks again; the status line says that the core is away.
    } finally {
      this.loading = false;
      if (this.wanted.size > 0) this.soon();
    }
  }

  private set(hive: Hive): void {
    this.hive = hive;
    this.listeners.forEach((each) => each(hive));
  }
}

export const model = new Model();
