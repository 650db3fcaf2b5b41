// The operator's mail: what is unread first. Looking marks nothing as read.
import { useState } from "preact/hooks";
import { post, query } from "../api";
import { left } from "../format";
import { useAction, useDraft, useHive, useNow, useRows, useSettled } from "../hooks";
import { Line } from "../hostile";
import { memo } from "../memo";
import { Card } from "../message";
import { model } from "../state";
import type { Message } from "../types";
import { Empty, Failure, Section, useListKeys } from "../ui";

const PAGE = 50;

/** Questions that can still be answered first, then the newest. */
export function order(messages: Message[]): Message[] {
  const open = (message: Message) => Number(message.kind === "question" && !message.expired && !message.replied);
  return [...messages].sort((one, other) => open(other) - open(one) || other.id - one.id);
}

export function InboxPage() {
  const hive = useHive();
  const [typed, setTyped] = useState("");
  const search = useSettled(typed.trim());
  const all = useRows<Message>(query("/v1/inbox", { all: 1, search, brief: 1 }), "messages", PAGE, {
    outdated: ({ kind, data }) => kind === "read" || (kind === "message" && data.recipient === "operator"),
  });
  useListKeys("article.message");
  const read = all.rows.filter((message) => search !== "" || message.read_at !== null);
  const readAll = useAction(async () => {
    for (const message of hive.inbox.filter((each) => each.kind === "event")) await markRead(message);
  });
  const events = hive.inbox.filter((message) => message.kind === "event").length;
  return (
    <>
      {search === "" && (
        <Section
          title={`Unread (${hive.inbox.length})`}
          actions={
            events > 1 && (
              <button type="button" disabled={readAll.busy} onClick={() => void readAll.run()}>
                Mark the hive's {events} events as read
              </button>
            )
          }
        >
          <div aria-live="polite">
            {hive.inbox.length === 0 && <Empty>Nothing is unread.</Empty>}
            {order(hive.inbox).map((message) => (
              <Open key={message.id} message={message} />
            ))}
          </div>
          <Failure error={readAll.error} />
        </Section>
      )}
      <Section
        title={search === "" ? "Read" : "Found"}
        actions={
          <label class="filter">
            <span class="unseen">Search</span>
            <input
              type="search"
              value={typed}
              placeholder="search all mail to you"
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>
        }
      >
        <Failure error={all.error} />
        {all.loaded && read.length === 0 && <Empty>{search === "" ? "No mail was read yet." : "Nothing holds that."}</Empty>}
        {read.map((message) => (message.read_at === null ? <Open key={message.id} message={message} /> : <Seen key={message.id} message={message} />))}
        {all.more && (
          <button type="button" class="more" disabled={all.busy} onClick={all.older}>
            Load older mail
          </button>
        )}
      </Section>
    </>
  );
}

async function markRead(message: Message): Promise<void> {
  await post(`/v1/inbox/${message.id}/read`);
  isRead(message);
}

/** It leaves what is unread at once; nothing has to be loaded for that. */
function isRead({ id }: Message): void {
  model.take([{ kind: "read", data: { id } }]);
}

const Seen = memo(function Seen({ message }: { message: Message }) {
  const [replying, setReplying] = useState(false);
  return (
    <Card message={message}>
      {message.kind !== "event" && !replying && (
        <p class="buttons">
          <button type="button" class="quiet" onClick={() => setReplying(true)}>
            Write again
          </button>
        </p>
      )}
      {replying && <Reply message={message} onSent={() => setReplying(false)} />}
    </Card>
  );
});

const Open = memo(function Open({ message }: { message: Message }) {
  const mark = useAction(() => markRead(message));
  return (
    <Card message={message}>
      {message.kind === "question" && message.expires_at !== null && <Limit message={message} />}
      {message.kind !== "event" && <Reply message={message} onSent={() => isRead(message)} />}
      <p class="buttons">
        <button type="button" class="quiet" disabled={mark.busy} onClick={() => void mark.run()}>
          Mark as read
        </button>
      </p>
      <Failure error={mark.error} />
    </Card>
  );
});

function Limit({ message }: { message: Message }) {
  const now = useNow(1000);
  const over = message.expired || message.expires_at! <= now;
  return (
    <p class={over ? "limit over" : "limit"}>
      {over ? `The time is over: ${message.sender} was told to do without. You may still answer.` : left(message.expires_at!, now)}
    </p>
  );
}

function Reply({ message, onSent }: { message: Message; onSent: () => void }) {
  const [text, setText] = useDraft(`reply-${message.id}`);
  const send = useAction(async (body: string) => {
    await post(`/v1/inbox/${message.id}/reply`, { body });
    setText("");
    onSent();
  });
  const submit = (event: Event) => {
    event.preventDefault();
    if (text.trim() !== "") void send.run(text);
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
  };
  return (
    <form class="reply" onSubmit={submit}>
      {message.options !== null && (
        <div class="options" role="group" aria-label="Answers">
          {message.options.map((option) => (
            <button key={option} type="button" disabled={send.busy} onClick={() => void send.run(option)}>
              <Line text={option} longest={2000} />
            </button>
          ))}
        </div>
      )}
      <textarea
        rows={2}
        value={text}
        placeholder={`answer ${message.sender}`}
        aria-label={`Answer to message ${message.id} of ${message.sender}`}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={key}
      />
      <button type="submit" class="primary" disabled={send.busy || text.trim() === ""}>
        {send.busy ? "…" : "Reply"}
      </button>
      <Failure error={send.error} />
    </form>
  );
}
