// One proposal's card: what the change means, then its text; the operator's decision; what the host did so far.
import { useEffect, useRef, useState } from "preact/hooks";
import { get, post } from "../api";
import { Diff } from "../diff";
import { clock } from "../format";
import { useAction, useDraft, useEvents, useLoaded } from "../hooks";
import { Long, Text, withoutColours } from "../hostile";
import { to } from "../router";
import { model } from "../state";
import type { Change, LogLine, Proposal } from "../types";
import { Badge, Empty, Failure, Section, When } from "../ui";

const ORDER = { widening: 0, narrowing: 1, neutral: 2 };
const SIGN = { widening: "+", narrowing: "−", neutral: "~" };

export function ProposalPage({ id }: { id: number }) {
  const loaded = useLoaded<Proposal>(
    `/v1/proposals/${id}`,
    ({ kind, data }) => (kind === "proposal" && data.id === id) || (kind === "agent" && data.event === "changed"),
  );
  const [shown, setShown] = useState<Proposal | null>(null);
  const now = loaded.data;
  useEffect(() => {
    // What the operator reads stays until they ask for the new one: nothing is swapped under a finger on the button.
    if (now !== null && (shown === null || shown.fingerprint === null || shown.fingerprint === now.fingerprint)) setShown(now);
    else if (now !== null && now.state !== "checked" && now.state !== "requested") setShown(now);
  }, [now]);
  if (shown === null) return loaded.error === null ? <p class="empty">…</p> : <Failure error={loaded.error} />;
  const moved = now !== null && now.fingerprint !== shown.fingerprint;
  return (
    <article class="proposal">
      <Head row={moved ? shown : (now ?? shown)} />
      {(moved || shown.stale) && (
        <p class="notice" role="alert">
          <strong>This card is out of date.</strong> {shown.agent} changed since it was checked, so it cannot be approved as it
          stands.{" "}
          {moved && now.state === "checked" && !now.stale ? (
            <button type="button" onClick={() => setShown(now)}>
              Show it as it is now
            </button>
          ) : (
            <Again row={shown} />
          )}
        </p>
      )}
      <Meaning row={shown} />
      <Decision row={shown} blocked={moved || shown.stale} />
      <Section title="Text">
        {shown.diff ? <Diff text={shown.diff} /> : <Empty>{shown.diff === null ? "Not known yet." : "No text changes."}</Empty>}
      </Section>
      <Log id={id} />
    </article>
  );
}

/** Ask for the check anew: the core does so when an approval comes for a card that is out of date. */
function Again({ row }: { row: Proposal }) {
  const again = useAction(() => post("/v1/proposals", { agent: row.agent, commit: row.commit, reason: row.reason }).then(follow));
  return (
    <>
      <button type="button" disabled={again.busy} onClick={() => void again.run()}>
        Check the same commit again
      </button>
      <Failure error={again.error} />
    </>
  );
}

function follow(made: unknown): void {
  location.hash = to.proposal((made as Proposal).id);
}

function Head({ row }: { row: Proposal }) {
  return (
    <header>
      <h1>
        Proposal {row.id} for <a href={to.agent(row.agent)}>{row.agent}</a>{" "}
        <Badge kind={row.stale ? "stale" : `proposal-${row.state}`}>{row.stale ? "out of date" : row.state}</Badge>
      </h1>
      <p class="facts">
        <span>
          asked for by <strong>{row.requester}</strong>
        </span>
        <When at={row.created_at} />
        <code title={row.commit}>{row.commit.slice(0, 12)}</code>
        {row.base_generation !== null && <span>compared with generation {row.base_generation}</span>}
        {row.generation !== null && <span>generation {row.generation}</span>}
        {row.decided_by !== null && (
          <span>
            decided by {row.decided_by}
            {row.decision && (
              <>
                : <Text text={row.decision} />
              </>
            )}
          </span>
        )}
      </p>
      <blockquote>
        <Long text={row.reason} />
      </blockquote>
      {row.error !== null && (
        <div class="error" role="alert">
          <Long text={row.error} />
        </div>
      )}
    </header>
  );
}

function Meaning({ row }: { row: Proposal }) {
  if (row.delta === null) return null;
  const changes = [...row.delta].sort((one, other) => ORDER[one.direction] - ORDER[other.direction]);
  return (
    <Section title="What it means">
      {changes.length === 0 && <Empty>Nothing that the agent may or has changes.</Empty>}
      <ul class="delta">
        {changes.map((change, index) => (
          <Meant key={index} change={change} />
        ))}
      </ul>
      {(row.lint ?? []).length > 0 && (
        <ul class="lint" aria-label="Warnings">
          {row.lint!.map((warning, index) => (
            <li key={index}>
              <Long text={warning} longest={600} />
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

const MEANS = { widening: "the agent gains", narrowing: "the agent loses", neutral: "changes" };

function Meant({ change }: { change: Change }) {
  return (
    <li class={change.direction}>
      <span class="sign" title={MEANS[change.direction]}>
        {SIGN[change.direction]}
        <span class="unseen">{MEANS[change.direction]}: </span>
      </span>
      <Long text={change.text} longest={1200} code={change.text.includes("\n")} />
    </li>
  );
}

function Decision({ row, blocked }: { row: Proposal; blocked: boolean }) {
  const [reason, setReason] = useDraft(`deny-${row.id}`);
  const decide = useAction(async (verb: string, body: unknown) => {
    await post(`/v1/proposals/${row.id}/${verb}`, body);
    model.refresh("waiting");
  });
  const back = useAction(async () => {
    await post(`/v1/agents/${encodeURIComponent(row.agent)}/rollback`, { generation: row.base_generation });
    model.refresh("agents");
  });
  if (row.state === "applied" && row.base_generation) {
    return (
      <div class="decision">
        <button type="button" disabled={back.busy} onClick={() => void back.run()}>
          {back.busy ? "rolling back…" : `Roll ${row.agent} back to generation ${row.base_generation}`}
        </button>
        <Failure error={back.error} />
      </div>
    );
  }
  if (row.state !== "checked" && row.state !== "requested") return null;
  return (
    <div class="decision" role="group" aria-label="Decision">
      {row.state === "checked" && (
        <button
          type="button"
          class="primary"
          disabled={blocked || decide.busy || row.fingerprint === null}
          onClick={() => void decide.run("approve", { fingerprint: row.fingerprint })}
        >
          Apply to {row.agent}
        </button>
      )}
      <label>
        <span class="unseen">Reason for the denial</span>
        <input
          value={reason}
          onInput={(event) => setReason(event.currentTarget.value)}
          placeholder="why not (the requester reads it)"
          maxLength={4000}
        />
      </label>
      <button
        type="button"
        class="danger"
        disabled={decide.busy || reason.trim() === ""}
        onClick={() => void decide.run("deny", { reason }).then((done) => done && setReason(""))}
      >
        Deny
      </button>
      <button type="button" class="quiet" disabled={decide.busy} onClick={() => void decide.run("withdraw", {})}>
        Withdraw
      </button>
      <Failure error={decide.error} />
    </div>
  );
}

/** Lines by number, each once, in order. */
export function mergeLog(old: LogLine[], fresh: LogLine[]): LogLine[] {
  const last = old.at(-1)?.seq ?? 0;
  if (fresh.every((line, index) => line.seq === last + 1 + index)) return fresh.length > 0 ? [...old, ...fresh] : old;
  const bySeq = new Map([...old, ...fresh].map((line) => [line.seq, line]));
  return [...bySeq.values()].sort((one, other) => one.seq - other.seq);
}

function Log({ id }: { id: number }) {
  const [lines, setLines] = useState<LogLine[]>([]);
  const [error, setError] = useState<string | null>(null);
  const end = useRef<HTMLDivElement>(null);
  const load = () =>
    get<{ lines: LogLine[] }>(`/v1/proposals/${id}/log`).then(
      (found) => setLines((old) => mergeLog(old, found.lines)),
      (failure: Error) => setError(failure.message),
    );
  useEffect(() => void load(), [id]);
  useEvents((events) => {
    if (events.some((each) => each.kind === "reset")) void load();
    const fresh = events
      .filter((each) => each.kind === "proposal_log" && each.data.proposal === id)
      .map((each) => each.data as unknown as LogLine);
    if (fresh.length > 0) setLines((old) => mergeLog(old, fresh));
  });
  useEffect(() => {
    const box = end.current?.parentElement;
    if (box && box.scrollHeight - box.scrollTop - box.clientHeight < 80) end.current?.scrollIntoView({ block: "nearest" });
  }, [lines]);
  return (
    <Section title="Log">
      <Failure error={error} />
      {lines.length === 0 && <Empty>Nothing was done yet.</Empty>}
      {lines.length > 0 && (
        <div class="log code" role="log" tabIndex={0} aria-label="Check and build log">
          {lines.map((line) => (
            <div key={line.seq} class="line">
              <span class="at">{clock(line.at)}</span>
              <span class="step">{line.step}</span>
              <Text text={withoutColours(line.text)} />
            </div>
          ))}
          <div ref={end} />
        </div>
      )}
    </Section>
  );
}
