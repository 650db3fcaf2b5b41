// An agent's turns: the running or chosen one step by step as it streams, where its time went, and the history.
import { useEffect, useMemo, useState } from "preact/hooks";
import { url } from "../api";
import { Boundary } from "../boundary";
import { bytes, cost, count, duration, plural } from "../format";
import { useEvents, useLoaded, useNow, useRows } from "../hooks";
import { Line, Long, plain } from "../hostile";
import { memo } from "../memo";
import { Body } from "../message";
import { to } from "../router";
import { decodeRow, decodeRows, type TurnEvent } from "../claude";
import { mainInput, mergeEvents, type Step, steps, usageOf, written } from "../turn";
import type { Agent, Timing, Turn, TurnDetails } from "../types";
import { Badge, Empty, Failure, Section, useFollow, When } from "../ui";

const PAGE = 20;

export function TurnsTab({ agent, turn }: { agent: Agent; turn?: number }) {
  const history = useRows<Turn>(url`/v1/agents/${agent.name}/turns`, "turns", PAGE, {
    outdated: ({ kind, data }) => kind === "turn" && data.agent === agent.name,
  });
  const shown = turn ?? history.rows[0]?.id;
  return (
    <>
      <Failure error={history.error} />
      {shown === undefined && history.loaded && <Empty>{agent.name} has not had a turn yet: write to it.</Empty>}
      {shown !== undefined && <TurnView key={shown} name={agent.name} id={shown} />}
      {history.rows.length > 0 && (
        <Section title="History">
          <ul class="rows turns">
            {history.rows.map((each) => (
              <li key={each.id}>
                <a href={to.agent(agent.name, "turns", each.id)} aria-current={each.id === shown ? "true" : undefined}>
                  <span class="id">{each.id}</span>
                  <Outcome turn={each} />
                  <span class="who">
                    <Line text={each.model} longest={40} />
                  </span>
                  <span class="what">{each.purpose === "mail" ? plural(each.message_ids.length, "message") : each.purpose}</span>
                  <span>{each.ended_at === null ? "" : duration(each.ended_at - each.started_at)}</span>
                  <span>{each.cost_usd === null ? "" : cost(each.cost_usd)}</span>
                  <span class="when">
                    <When at={each.started_at} />
                  </span>
                </a>
              </li>
            ))}
          </ul>
          {history.more && (
            <button type="button" class="more" disabled={history.busy} onClick={history.older}>
              Load older turns
            </button>
          )}
        </Section>
      )}
    </>
  );
}

function Outcome({ turn }: { turn: Turn }) {
  if (turn.outcome === null) return <Badge kind="state-running">running</Badge>;
  return <Badge kind={turn.outcome === "completed" ? "calm" : "bad"}>{plain(turn.outcome, 40)}</Badge>;
}

function TurnView({ name, id }: { name: string; id: number }) {
  const path = url`/v1/agents/${name}/turns/${id}`;
  const found = useLoaded<TurnDetails>(path, ({ kind, data }) => kind === "turn" && data.turn === id);
  const [events, setEvents] = useState<TurnEvent[]>([]);
  useEffect(() => {
    if (found.data) setEvents((old) => mergeEvents(old, decodeRows(found.data!.events)));
  }, [found.data]);
  const [coming, setComing] = useState("");
  useEvents((told) => {
    setComing((old) => written(old, id, told));
    const fresh = told
      .filter((each) => each.kind === "turn_event" && each.data.turn === id)
      .flatMap((each) => decodeRow(each.data) ?? []);
    if (fresh.length > 0) setEvents((old) => mergeEvents(old, fresh));
  });
  if (!found.data) return <Failure error={found.error} />;
  const { turn, timing, messages } = found.data;
  return (
    <Section
      title={
        <>
          Turn {id} <Outcome turn={turn} />
        </>
      }
      actions={<Used turn={turn} events={events} />}
    >
      {turn.detail && turn.outcome !== "completed" && (
        <div class="error">
          <Long text={turn.detail} longest={1000} />
        </div>
      )}
      <Times turn={turn} timing={timing} />
      <details class="mail">
        <summary>{plural(messages.length, "message")} that it is about</summary>
        {messages.map((message) => (
          <article key={message.id} class="message">
            <header>
              <strong>{message.sender}</strong> #{message.id}
            </header>
            <Boundary what="This message">
              <Body message={message} />
            </Boundary>
          </article>
        ))}
      </details>
      <Steps events={events} coming={coming} running={turn.outcome === null} />
    </Section>
  );
}

function Used({ turn, events }: { turn: Turn; events: TurnEvent[] }) {
  const used = usageOf(events);
  const dollars = turn.cost_usd ?? used.cost;
  return (
    <span class="facts">
      <span>
        {count(used.input)} in, {count(used.output)} out
      </span>
      {dollars !== null && <span>{cost(dollars)}</span>}
      {turn.cpu_seconds !== null && <span>{duration(turn.cpu_seconds)} CPU</span>}
      {turn.memory_peak !== null && <span>{bytes(turn.memory_peak)} memory</span>}
      <span>
        <Line text={turn.model} longest={60} />
      </span>
      <span title="What this turn was made of">
        generation {turn.generation}
        {turn.proposal !== null && (
          <>
            {" "}
            (<a href={to.proposal(turn.proposal)}>proposal {turn.proposal}</a>)
          </>
        )}
        , commit <code>{(turn.commit ?? "?").slice(0, 12)}</code>, session <code>{turn.session_id.slice(0, 8)}</code>
        {turn.notes !== null && (
          <>
            , notes <code>{turn.notes.slice(0, 8)}</code>
          </>
        )}
      </span>
    </span>
  );
}

const PARTS = [
  ["queued", "queued"],
  ["startup", "start-up"],
  ["model", "model"],
  ["tools", "tools"],
  ["other", "other"],
] as const;

function Times({ turn, timing }: { turn: Turn; timing: Timing }) {
  const now = useNow(1000);
  if (turn.ended_at === null) {
    return (
      <p class="hint">
        runs for {duration(Math.max(0, now - turn.started_at))}, was queued {duration(timing.queued)}
      </p>
    );
  }
  const known = PARTS.filter(([part]) => timing[part] !== null);
  const sum = known.reduce((all, [part]) => all + timing[part]!, 0);
  return (
    <div class="timing">
      <div class="barline" aria-hidden="true">
        {known.map(([part]) => (
          <span key={part} class={part} style={{ flexGrow: sum > 0 ? timing[part]! / sum : 0 }} />
        ))}
      </div>
      <dl>
        {known.map(([part, label]) => (
          <div key={part} class={part}>
            <dt>{label}</dt>
            <dd>{duration(timing[part]!)}</dd>
          </div>
        ))}
        <div>
          <dt>whole turn</dt>
          <dd>{duration(timing.total)}</dd>
        </div>
      </dl>
    </div>
  );
}

const SHOWN = 300;

function Steps({ events, coming, running }: { events: TurnEvent[]; coming: string; running: boolean }) {
  const [all, setAll] = useState(false);
  const [live] = useState(running); // a turn that ends while it is watched stays as it is laid out
  const found = useMemo(() => steps(events, coming), [events, coming]);
  const box = useFollow<HTMLDivElement>(found, running);
  const shown = all ? found : found.slice(-SHOWN);
  return (
    <div class={live ? "steps live" : "steps"} role="log" aria-live="polite" aria-label="What the agent does" tabIndex={live ? 0 : undefined} {...box}>
      {found.length > shown.length && (
        <button type="button" class="more" onClick={() => setAll(true)}>
          … {found.length - shown.length} earlier steps
        </button>
      )}
      {shown.map((step) => (
        <Boundary key={step.key} what="This step">
          <StepView {...step} />
        </Boundary>
      ))}
      {running && <p class="pulse">the turn goes on …</p>}
      {!running && found.length === 0 && <Empty>It came to no step.</Empty>}
    </div>
  );
}

// What a step consists of is compared, since the steps are made anew from the events.
const StepView = memo(function StepView(step: Step) {
  switch (step.kind) {
    case "text":
      return (
        <div class="step text-step">
          <Long text={step.text} />
        </div>
      );
    case "thinking":
      return (
        <details class="step thinking">
          <summary>thinking</summary>
          <Long text={step.text} />
        </details>
      );
    case "note":
      return (
        <div class={step.bad ? "step error" : "step note"}>
          <Long text={step.text} longest={1000} />
        </div>
      );
    case "call":
      return <Call step={step} />;
  }
});

function Call({ step }: { step: Step & { kind: "call" } }) {
  const main = mainInput(step.input);
  const status = step.denied ? "denied" : step.failed ? "failed" : step.result === null ? "open" : "done";
  return (
    <div class={`step call ${status}`}>
      <div class="called">
        <strong>
          <Line text={step.name.replace(/^mcp__hive__/, "")} longest={100} />
        </strong>
        {step.denied && <Badge kind="bad">denied</Badge>}
        {step.failed && !step.denied && <Badge kind="bad">failed</Badge>}
        {step.result === null && <Badge kind="state-running">…</Badge>}
        <Long text={main.text} code longest={600} />
      </div>
      {!main.whole && (
        <details>
          <summary>input</summary>
          <Long text={JSON.stringify(step.input, null, 2)} code />
        </details>
      )}
      {step.result !== null && step.result !== "" && (
        <details open={step.failed || step.result.length < 400}>
          <summary>result</summary>
          <Long text={step.result} code longest={2000} />
        </details>
      )}
    </div>
  );
}
