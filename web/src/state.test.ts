import { expect, test, vi } from "vitest";
import { apply, EMPTY, type Hive, Model, waitingFor } from "./state";
import type { Agent, Brief, Message } from "./types";

const agent = (name: string, changes: Partial<Agent> = {}): Agent => ({
  name,
  role: "agent",
  state: "running",
  desired: "running",
  generation: 1,
  model: "haiku",
  model_override: false,
  unread: 0,
  last_turn: null,
  activity: "idle",
  trouble: null,
  doing: null,
  over_budget: null,
  ...changes,
});

const message = (id: number, changes: Partial<Message> = {}): Message => ({
  id,
  sender: "worker",
  recipient: "operator",
  kind: "mail",
  body: "x",
  reply_to: null,
  chain: 0,
  hops: 0,
  sent_at: 1,
  attempts: 0,
  dead_at: null,
  read_at: null,
  replied: false,
  options: null,
  expires_at: null,
  expired: false,
  ...changes,
});

const HIVE: Hive = { ...EMPTY, loaded: true, agents: [agent("worker"), agent("other")] };
const data = (value: unknown) => value as Record<string, unknown>;

test("what an agent does is shown without loading anything", () => {
  const after = apply(HIVE, { kind: "agent", data: { name: "worker", event: "doing", doing: "Bash: ls" } });
  expect(after.hive.agents[0]!.doing).toBe("Bash: ls");
  expect(after.hive.agents[1]).toBe(HIVE.agents[1]);
  expect(after.reload).toEqual([]);
});

test("a change of an agent makes agents and proposals be loaded", () => {
  expect(apply(HIVE, { kind: "agent", data: { name: "worker", event: "changed" } }).reload).toEqual(["agents", "waiting"]);
  expect(apply(HIVE, { kind: "agent", data: { name: "worker", event: "denied" } }).reload).toEqual([]);
});

test("a pause of the hive, or a message given up, makes its status be loaded", () => {
  expect(apply(HIVE, { kind: "hive", data: { event: "pause" } }).reload).toEqual(["status"]);
});

test("mail to the operator is in the inbox once, newest first, and goes when it is read", () => {
  let { hive } = apply(HIVE, { kind: "message", data: data(message(1)) });
  ({ hive } = apply(hive, { kind: "message", data: data(message(2)) }));
  ({ hive } = apply(hive, { kind: "message", data: data(message(2)) }));
  expect(hive.inbox.map((each) => each.id)).toEqual([2, 1]);
  ({ hive } = apply(hive, { kind: "read", data: { id: 1 } }));
  expect(hive.inbox.map((each) => each.id)).toEqual([2]);
});

test("mail to an agent counts there; a dead letter nowhere", () => {
  let { hive } = apply(HIVE, { kind: "message", data: data(message(1, { recipient: "worker" })) });
  ({ hive } = apply(hive, { kind: "message", data: data(message(2, { recipient: "worker", dead_at: 3 })) }));
  expect(hive.agents[0]!.unread).toBe(1);
});

test("what waits is proposals, mail and agents that failed", () => {
  const hive = { ...HIVE, waiting: [{ id: 1 } as Brief], inbox: [message(1)], agents: [agent("a", { state: "failed" })] };
  expect(waitingFor(hive)).toBe(3);
});

function loaders() {
  const asked = { agents: 0, waiting: 0, inbox: 0, status: 0 };
  let agents = [agent("worker")];
  return {
    asked,
    set: (next: Agent[]) => (agents = next),
    load: {
      agents: async () => (asked.agents++, { agents }),
      waiting: async () => (asked.waiting++, { waiting: [] }),
      inbox: async () => (asked.inbox++, { inbox: [] }),
      status: async () => (asked.status++, { status: { paused: null, dead_letters: 0 } }),
    },
  };
}

test("events that come together load a part once, and an event during a load loads it again", async () => {
  vi.useFakeTimers();
  const from = loaders();
  const model = new Model(from.load);
  await model.load();
  for (let number = 0; number < 50; number++) model.take([{ kind: "turn", data: { agent: "worker" } }]);
  from.set([agent("worker", { generation: 2 })]);
  await vi.advanceTimersByTimeAsync(1000);
  expect(from.asked.agents).toBe(2);
  expect(model.hive.agents[0]!.generation).toBe(2);
  const slow = from.load.agents;
  from.load.agents = async () => {
    model.take([{ kind: "turn", data: { agent: "worker" } }]);
    from.load.agents = slow;
    return slow();
  };
  model.refresh("agents");
  await vi.advanceTimersByTimeAsync(1000);
  expect(from.asked.agents).toBe(4);
  vi.useRealTimers();
});

test("mail that comes while the inbox is loaded stays in it, and a failed load is tried again", async () => {
  vi.useFakeTimers();
  const from = loaders();
  const model = new Model(from.load);
  from.load.inbox = async () => {
    model.take([{ kind: "message", data: data(message(7)) }]);
    from.load.inbox = () => Promise.reject(new Error("the core is away"));
    return { inbox: [] };
  };
  await model.load();
  expect(model.hive.inbox.map((each) => each.id)).toEqual([7]);
  const { asked } = from;
  model.refresh("inbox");
  await vi.advanceTimersByTimeAsync(1000);
  expect(model.hive.problem).toBe("the core is away");
  from.load.inbox = async () => (asked.inbox++, { inbox: [] });
  await vi.advanceTimersByTimeAsync(3000);
  expect([asked.inbox, model.hive.problem, model.hive.inbox]).toEqual([1, null, []]);
  vi.useRealTimers();
});

test("a reset loads everything", async () => {
  vi.useFakeTimers();
  const from = loaders();
  const model = new Model(from.load);
  model.take([{ kind: "reset", data: {} }]);
  await vi.advanceTimersByTimeAsync(1000);
  expect(from.asked).toEqual({ agents: 1, waiting: 1, inbox: 1, status: 1 });
  vi.useRealTimers();
});
