// Who wrote to whom: all mail of the hive, live; or one exchange, each answer below what it answers.
import { useState } from "preact/hooks";
import { post, query } from "../api";
import { useAction, useDraft, useHive, useLoaded, useRows, useSettled } from "../hooks";
import { Card } from "../message";
import { to } from "../router";
import type { Message } from "../types";
import { Empty, Failure, Section, useListKeys } from "../ui";

const PAGE = 100;
/** So many are kept of mail that comes while nobody scrolls. */
const KEPT = 400;

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
  const [typed, setTyped] = useState("");
  const search = useSettled(typed.trim());
  const mail = useRows<Message>(query("/v1/messages", { agent, search, brief: 1 }), "messages", PAGE, {
    fresh: ({ kind, data }) => {
      const message = data as unknown as Message;
      return kind === "message" && fits(message, agent, search) ? message : null;
    },
    most: KEPT,
  });
  useListKeys("article.message");
  return (
    <>
      <Compose names={hive.agents.map((each) => each.name)} />
      <Section
        title="Mail"
        actions={
          <span class="filter">
            <label>
              <span class="unseen">Agent</span>
              <select value={agent} onChange={(event) => setAgent(event.currentTarget.value)}>
                <option value="">everybody</option>
                {["operator", "system", ...hive.agents.map((each) => each.name)].map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            </label>{" "}
            <label>
              <span class="unseen">Search</span>
              <input type="search" value={typed} placeholder="search" onInput={(event) => setTyped(event.currentTarget.value)} />
            </label>
          </span>
        }
      >
        <Failure error={mail.error} />
        <div aria-live="off">
          {mail.loaded && mail.rows.length === 0 && <Empty>No mail.</Empty>}
          {mail.rows.map((message) => (
            <Card key={message.id} message={message} flow />
          ))}
        </div>
        {mail.more && (
          <button type="button" class="more" disabled={mail.busy} onClick={mail.older}>
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
    query("/v1/messages", { chain: id, limit: 1000, brief: 1 }),
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
