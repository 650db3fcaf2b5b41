// The queue of proposals, and the history below it.
import { useState } from "preact/hooks";
import { query } from "../api";
import { useHive, useRows } from "../hooks";
import { Line } from "../hostile";
import { memo } from "../memo";
import { to } from "../router";
import type { Brief } from "../types";
import { Badge, Empty, Failure, Section, useListKeys, When } from "../ui";

const PAGE = 200;
const MOVING = new Set(["requested", "checked", "approved", "building", "activating"]);

/** What is to be decided or under way, newest first: of the rows loaded here, and what waits however long ago it came. */
export function queue(rows: Brief[], waiting: Brief[], agent: string): Brief[] {
  const known = new Set(rows.map((row) => row.id));
  const old = waiting.filter((row) => !known.has(row.id) && (agent === "" || row.agent === agent));
  return [...rows.filter((row) => MOVING.has(row.state)), ...old].sort((one, other) => other.id - one.id);
}

export function ProposalsPage() {
  const hive = useHive();
  const [agent, setAgent] = useState("");
  const { rows, more, loaded, error, busy, older } = useRows<Brief>(query("/v1/proposals", { brief: 1, agent }), "proposals", PAGE, {
    outdated: ({ kind, data }) => kind === "agent" && data.event === "changed",
    fresh: ({ kind, data }) => {
      const row = data as unknown as Brief;
      return kind === "proposal" && (agent === "" || row.agent === agent) ? row : null;
    },
  });
  useListKeys(".proposals a");
  const open = queue(rows, hive.waiting, agent);
  const over = rows.filter((row) => !MOVING.has(row.state));
  return (
    <>
      <Section
        title={`Queue (${open.length})`}
        actions={
          <label class="filter">
            Agent{" "}
            <select value={agent} onChange={(event) => setAgent(event.currentTarget.value)}>
              <option value="">all</option>
              {hive.agents.map((each) => (
                <option key={each.name}>{each.name}</option>
              ))}
            </select>
          </label>
        }
      >
        <Failure error={error} />
        {loaded && open.length === 0 && <Empty>No proposal waits or is under way.</Empty>}
        <List rows={open} />
      </Section>
      <Section title="History">
        {loaded && over.length === 0 && <Empty>None yet.</Empty>}
        <List rows={over} />
        {more && (
          <button type="button" class="more" disabled={busy} onClick={older}>
            Load older ones
          </button>
        )}
      </Section>
    </>
  );
}

function List({ rows }: { rows: Brief[] }) {
  return (
    <ul class="proposals rows">
      {rows.map((row) => (
        <Item key={row.id} row={row} />
      ))}
    </ul>
  );
}

const Item = memo(function Item({ row }: { row: Brief }) {
  return (
    <li>
      <a href={to.proposal(row.id)}>
        <span class="id">{row.id}</span>
        <Badge kind={row.stale ? "stale" : `proposal-${row.state}`}>{row.stale ? "out of date" : row.state}</Badge>
        <span class="who">{row.agent}</span>
        <span class="what">
          <Line text={row.reason} longest={140} />
        </span>
        <Counts row={row} />
        <span class="when">
          <When at={row.updated_at} />
        </span>
      </a>
    </li>
  );
});

export function Counts({ row }: { row: Brief }) {
  const changes = row.changes;
  return (
    <span class="counts">
      {changes !== null && changes.widening > 0 && (
        <Badge kind="widening" title="the agent gains">
          +{changes.widening}
        </Badge>
      )}
      {changes !== null && changes.narrowing > 0 && (
        <Badge kind="narrowing" title="the agent loses">
          −{changes.narrowing}
        </Badge>
      )}
      {changes !== null && changes.neutral > 0 && (
        <Badge kind="neutral" title="other changes">
          ~{changes.neutral}
        </Badge>
      )}
      {row.warnings > 0 && (
        <Badge kind="warning" title="warnings">
          ! {row.warnings}
        </Badge>
      )}
    </span>
  );
}
