// One message, as every page shows it.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { get, url } from "./api";
import { Boundary } from "./boundary";
import { useAction } from "./hooks";
import { Long } from "./hostile";
import { eventLink, eventWords } from "./letter";
import { memo } from "./memo";
import { to } from "./router";
import type { Message } from "./types";
import { Badge, Failure, When } from "./ui";

/** What a message says; of one that is here in part, the rest is fetched when somebody wants to see it. */
export function Body({ message }: { message: Message }) {
  const [rest, setRest] = useState<string | null>(null);
  const load = useAction(async () => setRest((await get<Message>(url`/v1/messages/${message.id}`)).body));
  const body = rest ?? message.body;
  const words = message.kind === "event" && message.sender === "system" ? eventWords(body) : null;
  const about = words === null ? {} : eventLink(body);
  return (
    <>
      <Long text={words ?? body} missing={rest === null ? message.cut : 0} onAll={() => void load.run()} />
      <Failure error={load.error} />
      {about.proposal !== undefined && <a href={to.proposal(about.proposal)}>proposal {about.proposal}</a>}
      {about.proposal === undefined && about.agent !== undefined && <a href={to.agent(about.agent)}>{about.agent}</a>}
    </>
  );
}

interface CardProps {
  message: Message;
  children?: ComponentChildren;
  flow?: boolean;
}

export const Card = memo(function Card(props: CardProps) {
  return (
    <Boundary what={`Message ${props.message.id}`}>
      <Letter {...props} />
    </Boundary>
  );
});

function Letter({ message, children, flow = false }: CardProps) {
  return (
    <article class={`message ${message.kind} ${message.read_at === null ? "unread" : "read"}`} tabIndex={-1}>
      <header>
        <Name name={message.sender} />
        {flow && (
          <>
            {" → "}
            <Name name={message.recipient} />
          </>
        )}
        {message.kind !== "mail" && <Badge kind={`kind-${message.kind}`}>{message.kind}</Badge>}
        {message.dead_at !== null && <Badge kind="bad">dead letter</Badge>}
        {message.attempts > 1 && <Badge kind="warning">delivery {message.attempts}</Badge>}
        {message.replied && <Badge kind="calm">answered</Badge>}
        {message.expired && !message.replied && <Badge kind="stale">no answer in time</Badge>}
        <span class="when">
          <a href={to.chain(message.chain || message.id)} title="the exchange that it belongs to">
            #{message.id}
          </a>{" "}
          <When at={message.sent_at} />
        </span>
      </header>
      <Body message={message} />
      {children}
    </article>
  );
}

export function Name({ name }: { name: string }) {
  if (name === "operator" || name === "system") return <strong class="name">{name}</strong>;
  return (
    <a class="name" href={to.agent(name)}>
      {name}
    </a>
  );
}
