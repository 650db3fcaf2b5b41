// Messages that were given up: delivered too often without an end, or parked by the loop guard.
import { useState } from "preact/hooks";
import { del, post, url } from "../api";
import { useAction, useLoaded } from "../hooks";
import { Card } from "../message";
import { to } from "../router";
import type { Message } from "../types";
import { Confirm, Empty, Failure, Section, useListKeys } from "../ui";

export function DeadLettersPage() {
  const found = useLoaded<{ messages: Message[] }>("/v1/dead-letters?brief=1", ({ kind, data }) => kind === "hive" && data.event === "dead_letters");
  useListKeys("article.message");
  return (
    <Section title="Dead letters" actions={<a href={to.mail}>all mail</a>}>
      <p class="hint">
        Each was delivered too often without an end, or was stopped by the loop guard. Delivered again it waits in its old place, with its attempts
        and answers counted anew.
      </p>
      <Failure error={found.error} />
      {found.data?.messages.length === 0 && <Empty>No message was given up.</Empty>}
      {found.data?.messages.map((message) => (
        <Card key={message.id} message={message} flow>
          <Choices message={message} />
        </Card>
      ))}
    </Section>
  );
}

function Choices({ message }: { message: Message }) {
  const [asking, setAsking] = useState(false);
  const requeue = useAction(async () => void (await post(url`/v1/dead-letters/${message.id}/requeue`)));
  const drop = useAction(async () => void (await del(url`/v1/dead-letters/${message.id}`)));
  return (
    <p class="buttons">
      <button type="button" disabled={requeue.busy} onClick={() => void requeue.run()}>
        Deliver again
      </button>
      <button type="button" class="quiet" onClick={() => setAsking(true)}>
        Drop…
      </button>
      <Failure error={requeue.error ?? drop.error} />
      {asking && (
        <Confirm title={`Drop message ${message.id}?`} action="Drop it" onDo={() => drop.run()} onClose={() => setAsking(false)}>
          <p>It is deleted for good; the audit log keeps that it was.</p>
        </Confirm>
      )}
    </p>
  );
}
