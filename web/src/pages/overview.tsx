// What waits for the operator, then every agent at a glance.
import { useState } from "preact/hooks";
import { del, post, url } from "../api";
import { cost, duration, full, plural } from "../format";
import { useAction, useHive, useNow } from "../hooks";
import { Line, plain } from "../hostile";
import { live } from "../live";
import { memo } from "../memo";
import { isUndecided } from "../notify";
import { Power, usePower } from "../power";
import { to } from "../router";
import { decidable, failed, type Hive, model, stateWords, waitingFor } from "../state";
import type { Agent } from "../types";
import { Counts } from "./proposals";
import { Badge, Confirm, Empty, Failure, OverBudget, Section, useListKeys, When } from "../ui";

const MANY = 8;

/** Whether each word of the filter is in what is shown of the agent. */
export function holds(agent: Agent, filter: string): boolean {
  const state = stateWords(agent);
  const text = [agent.name, agent.role, state, agent.model ?? "", agent.last_turn?.outcome ?? "", agent.over_budget ? "over budget" : ""].join(" ").toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export function Overview() {
  const hive = useHive();
  const [creating, setCreating] = useState(false);
  const [filter, setFilter] = useState("");
  useListKeys(".agents li");
  return (
    <>
      <Paused hive={hive} />
      <Waiting hive={hive} />
      <NotifyMe />
      <Section
        title={`Agents (${hive.agents.length})`}
        actions={
          <span class="filter">
            {hive.agents.length > MANY && (
              <label>
                <span class="unseen">Filter agents</span>
                <input type="search" value={filter} placeholder="filter: name, state, model" onInput={(event) => setFilter(event.currentTarget.value)} />
              </label>
            )}
            <button type="button" onClick={() => setCreating(!creating)} aria-expanded={creating}>
              New agent
            </button>
          </span>
        }
      >
        {creating && <Create onDone={() => setCreating(false)} />}
        {hive.agents.length === 0 && <Empty>There are no agents yet.</Empty>}
        <ul class="agents">
          {hive.agents.filter((agent) => holds(agent, filter)).map((agent) => (
            <Card key={agent.name} agent={agent} />
          ))}
        </ul>
      </Section>
    </>
  );
}

/** A usage limit: nobody asks the model until then, unless the operator wants to try. */
function Paused({ hive }: { hive: Hive }) {
  const now = useNow();
  const resume = useAction(async () => {
    await post("/v1/resume");
    model.refresh("status");
  });
  const pause = hive.status.paused;
  if (pause === null || pause.until <= now) return null;
  return (
    <section class="waiting" aria-label="The hive is paused">
      <div class="todo failed" role="status">
        <strong>
          The hive is paused until {full(pause.until)}{" "}
          <button type="button" disabled={resume.busy} onClick={() => void resume.run()}>
            Try now
          </button>
        </strong>
        <span>
          Usage limit: <Line text={pause.reason} longest={160} />. Mail waits, and no turn begins.
        </span>
        <Failure error={resume.error} />
      </div>
    </section>
  );
}

/** Asks for the browser's notifications, but only who presses it; there are none from a page that shares no stream. */
function NotifyMe() {
  const [undecided, set] = useState(isUndecided());
  if (!undecided || !live.shared) return null;
  const ask = () => void Notification.requestPermission().then(() => set(isUndecided()));
  return (
    <p class="hint">
      <button type="button" onClick={ask} title="when something waits for you, and no page of the dashboard is visible">
        Notify me
      </button>
    </p>
  );
}

function Waiting({ hive }: { hive: Hive }) {
  const questions = hive.inbox.filter((message) => message.kind === "question");
  const others = hive.inbox.length - questions.length;
  const broken = failed(hive);
  const open = decidable(hive);
  const stale = hive.waiting.length - open.length;
  const nothing = waitingFor(hive) === 0;
  return (
    <section class="waiting" aria-label="What waits for you" aria-live="polite">
      {nothing && <p class="calm">Nothing waits for you.</p>}
      {open.slice(0, 5).map((proposal) => (
        <a key={`p${proposal.id}`} class="todo proposal" href={to.proposal(proposal.id)}>
          <strong>
            Decide proposal {proposal.id} for {proposal.agent} <Counts row={proposal} />
          </strong>
          <Line text={proposal.reason} longest={160} />
        </a>
      ))}
      {open.length > 5 && (
        <a class="todo proposal" href={to.proposals}>
          <strong>and {open.length - 5} more proposals</strong>
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
      {hive.status.dead_letters > 0 && (
        <a class="todo aside" href={to.deadLetters}>
          {plural(hive.status.dead_letters, "message was", "messages were")} given up: deliver again, or drop
        </a>
      )}
      {stale > 0 && (
        <a class="todo aside" href={to.proposals}>
          {plural(stale, "proposal is", "proposals are")} out of date and cannot be approved as {stale === 1 ? "it is" : "they are"}
        </a>
      )}
    </section>
  );
}

const Card = memo(function Card({ agent }: { agent: Agent }) {
  const [asking, setAsking] = useState<"destroy" | "purge" | null>(null);
  const power = usePower(agent.name);
  const destroy = useAction(async (purge: boolean) => {
    await del(url`/v1/agents/${agent.name}` + `?purge=${purge ? 1 : 0}`);
    model.refresh("agents", "waiting");
  });
  const turn = agent.last_turn;
  return (
    <li class={`card agent ${agent.state}`} tabIndex={-1}>
      <a class="name" href={to.agent(agent.name)}>
        {agent.name}
      </a>
      <span class="facts">
        <Badge kind={`state-${agent.state}`}>{stateWords(agent)}</Badge>
        {agent.role === "manager" && <Badge kind="role">manager</Badge>}
        <span title={agent.model_override ? "overridden at run time" : undefined}>
          <Line text={agent.model ?? "no model"} longest={40} /> {agent.model_override && <Badge kind="override">override</Badge>}
        </span>
        <span title="generation">gen {agent.generation || "–"}</span>
        {agent.unread > 0 && <Badge kind="unread">{agent.unread} unread</Badge>}
        <OverBudget agent={agent} />
      </span>
      <span class={agent.trouble === null ? "doing" : "doing trouble"} title={agent.trouble ?? undefined}>
        {agent.trouble !== null ? (
          <Line text={agent.trouble} longest={160} />
        ) : agent.doing !== null ? (
          <Line text={agent.doing} longest={100} />
        ) : agent.activity === "turn" ? (
          "begins"
        ) : (
          ""
        )}
      </span>
      <span class="last">
        {turn === null ? (
          "no turn yet"
        ) : (
          <a href={to.agent(agent.name, "turns", turn.id)}>
            <When at={turn.started_at} />
            {turn.ended_at !== null && <> · {duration(turn.ended_at - turn.started_at)}</>}
            {turn.cost_usd !== null && <> · {cost(turn.cost_usd)}</>}
            {turn.outcome !== null && turn.outcome !== "completed" && <Badge kind="bad">{plain(turn.outcome, 40)}</Badge>}
          </a>
        )}
      </span>
      <span class="actions">
        <Power agent={agent} power={power} />
        <button type="button" class="quiet" aria-label={`Destroy ${agent.name}`} onClick={() => setAsking("destroy")}>
          Destroy…
        </button>
      </span>
      <Failure error={power.error ?? destroy.error} />
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
});

function Create({ onDone }: { onDone: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState("agent");
  const create = useAction(async () => {
    await post("/v1/agents", { name, role });
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
      <label>
        Role{" "}
        <select value={role} onChange={(event) => setRole(event.currentTarget.value)}>
          <option>agent</option>
          <option>manager</option>
        </select>
      </label>
      <button type="submit" class="primary" disabled={create.busy}>
        {create.busy ? "creating…" : "Create"}
      </button>
      <span class="hint">{role === "manager" ? "a manager may propose changes of every agent" : "with the default agent.nix; the manager improves it"}</span>
      <Failure error={create.error} />
    </form>
  );
}
