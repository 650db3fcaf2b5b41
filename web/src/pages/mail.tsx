// Who wrote to whom: all mail of the hive, live; or one exchange, each answer below what it answers.
import { useState } from "preact/hooks";
import { get, post, query } from "../api";
import { useAction, useDraft, useEvents, useHive, useLoaded } from "../hooks";
import { Card } from "../message";
import { to } from "../router";
import type { Message } from "../types";
import { Empty, Failure, Section, useListKeys } from "../ui";

const PAGE = 100;

/** Whether new mail belongs into a list with this filter. */
export function fits(message: Message, agent: string, search: string): boolean {
  const named = agent === "" || message.sender === agent || message.recipient === agent;
  const words = search.toLowerCase();
  const holds = [message.body, message.sender, message.recipient].some((text) => text.toLowerCase().includes(words));
  return named && holds;
}

/** The messages of an exchange in reading order, each with its depth: how many answers it is from the first. */
export function thread(messages: Message[]): { message: Message; depth: number }[] {
  const known = new Set(messages.map((message) => message.id));
  const answers = new Map<number, Message[]>();
  const roots: Message[] = [];
  for (const message of [...messages].sort((one, other) => one.id - other.id)) {
    const parent = message.reply_to ?? (message.chain || null);
    if (parent !== null && parent !== message.id && known.has(parent)) {
      answers.set(parent, [...(answers.get(parent) ?? []), message]);
    } else roots.push(message);
  }
  const found: { message: Message; depth: number }[] = [];
  const seen = new Set<number>();
  const stack = roots.reverse().map((message) => ({ message, depth: 0 }));
  while (stack.length > 0) {
    const next = stack.pop()!;
    if (seen.has(next.message.id)) continue;
    seen.add(next.message.id);
    found.push(next);
    const below = answers.get(next.message.id) ?? [];
    for (const message of [...below].reverse()) stack.push({ message, depth: next.depth + 1 });
  }
  return found;
}

export function MailPage({ chain }: { chain?: number }) {
  return chain === undefined ? <Flow /> : <Chain id={chain} />;
}

function Flow() {
  const hive = useHive();
  const [agent, setAgent] = useState("");
  const [search, setSearch] = useState("");
  const [older, setOlder] = useState<Message[]>([]);
  const [more, setMore] = useState(true);
  const path = query("/v1/messages", { limit: PAGE, agent, search });
  const newest = useLoaded<{ messages: Message[] }>(path);
  useEvents((events) => {
    const fresh = events
      .filter((each) => each.kind === "message")
      .map((each) => each.data as unknown as Message)
      .filter((each) => fits(each, agent, search));
    const had = newest.data?.messages;
    if (fresh.length > 0 && had) {
      const known = new Set(had.map((each) => each.id));
      const all = [...fresh.filter((each) => !known.has(each.id)), ...had];
      newest.set({ messages: all.sort((one, other) => other.id - one.id) });
    }
  });
  useListKeys("article.message");
  const found = [...(newest.data?.messages ?? []), ...older];
  const load = async () => {
    const next = await get<{ messages: Message[] }>(`${path}&before=${found.at(-1)?.id ?? 1}`);
    setOlder([...older, ...next.messages]);
    setMore(next.messages.length === PAGE);
  };
  const filter = (set: (value: string) => void) => (event: { currentTarget: { value: string } }) => {
    set(event.currentTarget.value);
    setOlder([]);
    setMore(true);
  };
  return (
    <>
      <Compose names={hive.agents.map((each) => each.name)} />
      <Section
        title="Mail"
        actions={
          <span class="filter">
            <label>
              <span class="unseen">Agent</span>
              <select value={agent} onChange={filter(setAgent)}>
                <option value="">everybody</option>
                {["operator", "system", ...hive.agents.map((each) => each.name)].map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            </label>{" "}
            <label>
              <span class="unseen">Search</span>
              <input type="search" value={search} placeholder="search" onInput={filter(setSearch)} />
            </label>
          </span>
        }
      >
        <Failure error={newest.error} />
        <div aria-live="off">
          {newest.data && found.length === 0 && <Empty>No mail.</Empty>}
          {found.map((message) => (
            <Card key={message.id} message={message} flow />
          ))}
        </div>
        {more && found.length >= PAGE && (
          <button type="button" class="more" onClick={() => void load()}>
            Load older mail
          </button>
        )}
      </Section>
    </>
  );
}

function Compose({ names }: { names: string[] }) {
  const [receiver, setReceiver] = useState("");
  const chosen = names.includes(receiver) ? receiver : (names.find((name) => name === "manager") ?? names[0] ?? "");
  const [text, setText] = useDraft("compose");
  const send = useAction(async () => {
    await post("/v1/messages", { to: chosen, body: text });
    setText("");
  });
  const submit = (event: Event) => {
    event.preventDefault();
    if (text.trim() !== "") void send.run();
  };
  if (names.length === 0) return null;
  return (
    <form class="reply compose" onSubmit={submit}>
      <label>
        <span class="unseen">To</span>
        <select value={chosen} onChange={(event) => setReceiver(event.currentTarget.value)}>
          {names.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <textarea
        rows={2}
        value={text}
        aria-label="Message"
        placeholder={`write to ${chosen}`}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit" class="primary" disabled={send.busy || text.trim() === ""}>
        Send
      </button>
      <Failure error={send.error} />
    </form>
  );
}

function Chain({ id }: { id: number }) {
  const found = useLoaded<{ messages: Message[] }>(
    query("/v1/messages", { chain: id, limit: 1000 }),
    ({ kind, data }) => kind === "message" && data.chain === id,
  );
  return (
    <Section title={`The exchange that message ${id} began`} actions={<a href={to.mail}>all mail</a>}>
      <Failure error={found.error} />
      {found.data?.messages.length === 0 && <Empty>None of it is kept any more.</Empty>}
      {thread(found.data?.messages ?? []).map(({ message, depth }) => (
        <div key={message.id} class="nested" style={{ "--depth": Math.min(depth, 8) }}>
          <Card message={message} flow />
        </div>
      ))}
    </Section>
  );
}
