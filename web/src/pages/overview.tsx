// What waits for the operator, then every agent at a glance.
import { useState } from "preact/hooks";
import { del, post, url } from "../api";
import { cost, duration, plural } from "../format";
import { useAction, useHive } from "../hooks";
import { Line } from "../hostile";
import { to } from "../router";
import { failed, type Hive, model } from "../state";
import type { Agent } from "../types";

import { Badge, Confirm, Empty, Failure, Section, useListKeys, When } from "../ui";

export function Overview() {
  const hive = useHive();
  const [creating, setCreating] = useState(false);
  useListKeys(".agents li");
  return (
    <>
      <Waiting hive={hive} />
      <Section
        title={`Agents (${hive.agents.length})`}
        actions={
          <button type="button" onClick={() => setCreating(!creating)} aria-expanded={creating}>
            New agent
          </button>
        }
      >
        {creating && <Create onDone={() => setCreating(false)} />}
        {hive.agents.length === 0 && <Empty>There are no agents yet.</Empty>}
        <ul class="agents">
          {hive.agents.map((agent) => (
            <Card key={agent.name} agent={agent} />
          ))}
        </ul>
      </Section>
    </>
  );
}

function Waiting({ hive }: { hive: Hive }) {
  const questions = hive.inbox.filter((message) => message.kind === "question");
  const others = hive.inbox.length - questions.length;
  const broken = failed(hive);
  const nothing = hive.waiting.length + hive.inbox.length + broken.length === 0;
  return (
    <section class="waiting" aria-label="What waits for you" aria-live="polite">
      {nothing && <p class="calm">Nothing waits for you.</p>}
      {hive.waiting.slice(0, 5).map((proposal) => (
        <a key={`p${proposal.id}`} class="todo proposal" href={to.proposal(proposal.id)}>
          <strong>
            {proposal.stale ? "Out of date: proposal" : "Decide proposal"} {proposal.id} for {proposal.agent}
          </strong>
          <Line text={proposal.reason} longest={160} />
        </a>
      ))}
      {hive.waiting.length > 5 && (
        <a class="todo proposal" href={to.proposals}>
          <strong>and {hive.waiting.length - 5} more proposals</strong>
        </a>
      )}
      {questions.slice(0, 5).map((question) => (
        <a key={`q${question.id}`} class="todo question" href={to.inbox}>
          <strong>{question.sender} asks</strong>
          <Line text={question.body} longest={160} />
        </a>
      ))}
      {others > 0 && (
        <a class="todo" href={to.inbox}>
          <strong>{plural(others, "unread message")}</strong>
        </a>
      )}
      {broken.map((agent) => (
        <a key={`a${agent.name}`} class="todo failed" href={to.agent(agent.name, "logs")}>
          <strong>{agent.name} has failed</strong>
          <span>it crashed too often and was given up; its log says more</span>
        </a>
      ))}
    </section>
  );
}

function Card({ agent }: { agent: Agent }) {
  const [asking, setAsking] = useState<"destroy" | "purge" | null>(null);
  const change = useAction(async (verb: string) => {
    await post(url`/v1/agents/${agent.name}/` + verb);
    model.refresh("agents");
  });
  const destroy = useAction(async (purge: boolean) => {
    await del(url`/v1/agents/${agent.name}` + `?purge=${purge ? 1 : 0}`);
    model.refresh("agents", "waiting");
  });
  const running = agent.state === "running" || agent.state === "starting";
  const turn = agent.last_turn;
  return (
    <li class={`card agent ${agent.state}`} tabIndex={-1}>
      <a class="name" href={to.agent(agent.name)}>
        {agent.name}
      </a>
      <span class="facts">
        <Badge kind={`state-${agent.state}`}>{agent.activity === "turn" ? "in a turn" : agent.state}</Badge>
        {agent.role === "manager" && <Badge kind="role">manager</Badge>}
        <span title={agent.model_override ? "overridden at run time" : undefined}>
          {agent.model ?? "no model"}
          {agent.model_override && <Badge kind="override">override</Badge>}
        </span>
        <span title="generation">gen {agent.generation || "–"}</span>
        {agent.unread > 0 && <Badge kind="unread">{agent.unread} unread</Badge>}
      </span>
      <span class="doing">
        {agent.doing !== null ? <Line text={agent.doing} longest={100} /> : agent.activity === "turn" ? "begins" : ""}
      </span>
      <span class="last">
        {turn === null ? (
          "no turn yet"
        ) : (
          <a href={to.agent(agent.name, "turns", turn.id)}>
            <When at={turn.started_at} />
            {turn.ended_at !== null && <> · {duration(turn.ended_at - turn.started_at)}</>}
            {turn.cost_usd !== null && <> · {cost(turn.cost_usd)}</>}
            {turn.outcome !== null && turn.outcome !== "completed" && <Badge kind="bad">{turn.outcome}</Badge>}
          </a>
        )}
      </span>
      <span class="actions">
        {running ? (
          <>
            <button type="button" disabled={change.busy} onClick={() => void change.run("stop")}>
              {change.busy ? "…" : "Stop"}
            </button>
            <button type="button" disabled={change.busy} onClick={() => void change.run("restart")}>
              Restart
            </button>
          </>
        ) : (
          <button type="button" disabled={change.busy} onClick={() => void change.run("start")}>
            {change.busy ? "…" : "Start"}
          </button>
        )}
        <button type="button" class="quiet" aria-label={`Destroy ${agent.name}`} onClick={() => setAsking("destroy")}>
          Destroy…
        </button>
      </span>
      <Failure error={change.error ?? destroy.error} />
      {asking === "destroy" && (
        <Confirm
          title={`Destroy ${agent.name}?`}
          action={`Destroy ${agent.name}`}
          onDo={() => destroy.run(false)}
          onClose={() => setAsking((now) => (now === "purge" ? now : null))}
        >
          <p>It is stopped and forgotten. Its state, its configuration and its mail stay on the host: create it again and it goes on.</p>
          <p>
            <button type="button" class="link" onClick={() => setAsking("purge")}>
              Remove its files too…
            </button>
          </p>
        </Confirm>
      )}
      {asking === "purge" && (
        <Confirm
          title={`Purge ${agent.name}?`}
          action="Remove everything"
          word={agent.name}
          onDo={() => destroy.run(true)}
          onClose={() => setAsking(null)}
        >
          <p>Its home, notes, configuration repository and applied flake are removed from the host, for good.</p>
        </Confirm>
      )}
    </li>
  );
}

function Create({ onDone }: { onDone: () => void }) {
  const [name, setName] = useState("");
  const create = useAction(async () => {
    await post("/v1/agents", { name });
    model.refresh("agents");
    onDone();
  });
  const submit = (event: Event) => {
    event.preventDefault();
    void create.run();
  };
  return (
    <form class="card inline" onSubmit={submit}>
      <label>
        Name{" "}
        <input
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
          pattern="[a-z][a-z0-9\-]{0,30}"
          required
          autocomplete="off"
          title="a small letter, then small letters, digits and dashes; at most 31"
        />
      </label>
      <button type="submit" class="primary" disabled={create.busy}>
        {create.busy ? "creating…" : "Create"}
      </button>
      <span class="hint">with the default agent.nix; the manager improves it</span>
      <Failure error={create.error} />
    </form>
  );
}
