// The queue of proposals, and the history below it.
import { useState } from "preact/hooks";
import { get, query } from "../api";
import { useEvents, useHive, useLoaded } from "../hooks";
import { Line } from "../hostile";
import { to } from "../router";
import type { Brief } from "../types";
import { Badge, Empty, Failure, Section, useListKeys, When } from "../ui";

const PAGE = 200;
const MOVING = new Set(["requested", "checked", "approved", "building", "activating"]);

/** Lists of rows by id, newest first; a row of `fresh` replaces the one it is a newer state of. */
export function merge(old: Brief[], fresh: Brief[]): Brief[] {
  const byId = new Map(old.map((row) => [row.id, row]));
  fresh.forEach((row) => byId.set(row.id, row));
  return [...byId.values()].sort((one, other) => other.id - one.id);
}

export function ProposalsPage() {
  const hive = useHive();
  const [agent, setAgent] = useState("");
  const [older, setOlder] = useState<Brief[]>([]);
  const [more, setMore] = useState(true);
  const path = query("/v1/proposals", { brief: 1, limit: PAGE, agent });
  const newest = useLoaded<{ proposals: Brief[] }>(path, (event) => event.kind === "agent" && event.data.event === "changed");
  useEvents((events) => {
    const fresh = events
      .filter((each) => each.kind === "proposal")
      .map((each) => each.data as unknown as Brief)
      .filter((each) => agent === "" || each.agent === agent);
    if (fresh.length > 0 && newest.data) newest.set({ proposals: merge(newest.data.proposals, fresh) });
  });
  useListKeys(".proposals a");
  const rows = merge(older, newest.data?.proposals ?? []);
  const load = async () => {
    const found = await get<{ proposals: Brief[] }>(query(path, {}) + `&before=${rows.at(-1)?.id ?? 1}`);
    setOlder(merge(older, found.proposals));
    setMore(found.proposals.length === PAGE);
  };
  const open = rows.filter((row) => MOVING.has(row.state));
  const over = rows.filter((row) => !MOVING.has(row.state));
  return (
    <>
      <Section
        title={`Queue (${open.length})`}
        actions={
          <label class="filter">
            Agent{" "}
            <select
              value={agent}
              onChange={(event) => {
                setAgent(event.currentTarget.value);
                setOlder([]);
                setMore(true);
              }}
            >
              <option value="">all</option>
              {hive.agents.map((each) => (
                <option key={each.name}>{each.name}</option>
              ))}
            </select>
          </label>
        }
      >
        <Failure error={newest.error} />
        {newest.data && open.length === 0 && <Empty>No proposal waits or is under way.</Empty>}
        <List rows={open} />
      </Section>
      <Section title="History">
        {newest.data && over.length === 0 && <Empty>None yet.</Empty>}
        <List rows={over} />
        {more && rows.length >= PAGE && (
          <button type="button" class="more" onClick={() => void load()}>
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
        <li key={row.id}>
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
      ))}
    </ul>
  );
}

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
