// One proposal's card: what the change means, then its text; the operator's decision; what the host did so far.
import { useEffect, useState } from "preact/hooks";
import { post, url } from "../api";
import { Diff } from "../diff";
import { useAction, useDraft, useHive, useLoaded } from "../hooks";
import { Long, Text } from "../hostile";
import { to } from "../router";
import { model } from "../state";
import type { Change, Proposal } from "../types";
import { Badge, Empty, Failure, Section, When } from "../ui";
import { Log } from "./proposal-log";

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
        <Long text={row.reason} tallest={12} />
      </blockquote>
      {row.error !== null && (
        <div class="error" role="alert">
          <Long text={row.error} tallest={20} />
        </div>
      )}
    </header>
  );
}

/** What the agent gains first; of each direction, what matters most first. */
export function ranked(delta: Change[]): Change[] {
  return [...delta].sort(
    (one, other) => ORDER[one.direction] - ORDER[other.direction] || (other.weight ?? 0) - (one.weight ?? 0),
  );
}

function Meaning({ row }: { row: Proposal }) {
  if (row.delta === null) return null;
  const changes = ranked(row.delta);
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

/** The way back, as long as what this proposal brought is what runs: an older one's is in the agent's generations. */
function Back({ row, base }: { row: Proposal; base: number }) {
  const agent = useHive().agents.find((each) => each.name === row.agent);
  const back = useAction(async () => {
    await post(url`/v1/agents/${row.agent}/rollback`, { generation: base });
    model.refresh("agents");
  });
  if (agent === undefined) return null;
  if (agent.generation !== row.generation) {
    return (
      <p class="hint">
        {row.agent} runs generation {agent.generation} now. <a href={to.agent(row.agent, "settings")}>All its generations</a>
      </p>
    );
  }
  return (
    <div class="decision">
      <button type="button" disabled={back.busy} onClick={() => void back.run()}>
        {back.busy ? "rolling back…" : `Roll ${row.agent} back to generation ${base}`}
      </button>
      <Failure error={back.error} />
    </div>
  );
}

function Decision({ row, blocked }: { row: Proposal; blocked: boolean }) {
  const [reason, setReason] = useDraft(`deny-${row.id}`);
  const decide = useAction(async (verb: string, body: unknown) => {
    await post(`/v1/proposals/${row.id}/${verb}`, body);
    model.refresh("waiting");
  });
  if (row.state === "applied" && row.base_generation) return <Back row={row} base={row.base_generation} />;
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
