// The append-only log: who did what.
import { useState } from "preact/hooks";
import { get, query } from "../api";
import { full, plural } from "../format";
import { useAction, useLoaded } from "../hooks";
import { Line } from "../hostile";
import type { AuditEntry } from "../types";
import { Empty, Failure, Section } from "../ui";

const PAGE = 200;
const NEWS = new Set(["agent", "proposal", "read"]);

interface Verified {
  entries: number;
  head: string;
  broken: { id: number; what: string } | null;
}

export function AuditPage() {
  const [agent, setAgent] = useState("");
  const [older, setOlder] = useState<AuditEntry[]>([]);
  const [more, setMore] = useState(true);
  const [verified, setVerified] = useState<Verified | null>(null);
  const path = query("/v1/audit", { limit: PAGE, agent: agent.trim() });
  const newest = useLoaded<{ entries: AuditEntry[] }>(path, (event) => NEWS.has(event.kind) && event.data.event !== "doing");
  const newestFirst = [...(newest.data?.entries ?? [])].sort((one, other) => other.id - one.id);
  const entries = [...newestFirst, ...older];
  const load = async () => {
    const next = await get<{ entries: AuditEntry[] }>(`${path}&before=${entries.at(-1)?.id ?? 1}`);
    setOlder([...older, ...next.entries.sort((one, other) => other.id - one.id)]);
    setMore(next.entries.length === PAGE);
  };
  const verify = useAction(async () => setVerified(await get<Verified>("/v1/audit/verify")));
  return (
    <Section
      title="Audit"
      actions={
        <span class="filter">
          <label>
            <span class="unseen">Agent or user</span>
            <input
              type="search"
              value={agent}
              placeholder="of an agent or user"
              onInput={(event) => {
                setAgent(event.currentTarget.value);
                setOlder([]);
                setMore(true);
              }}
            />
          </label>{" "}
          <button type="button" disabled={verify.busy} onClick={() => void verify.run()}>
            {verify.busy ? "verifying…" : "Verify"}
          </button>
        </span>
      }
    >
      <Failure error={newest.error ?? verify.error} />
      {verified !== null &&
        (verified.broken === null ? (
          <p class="calm" role="status">
            {plural(verified.entries, "entry", "entries")}, whole. Head <code>{verified.head.slice(0, 16) || "none"}</code>
          </p>
        ) : (
          <p class="error" role="alert">
            NOT whole: entry {verified.broken.id}: {verified.broken.what}. Keep a copy of hive.db.
          </p>
        ))}
      {newest.data && entries.length === 0 && <Empty>No entries.</Empty>}
      <div class="scroll">
        <table class="audit">
          <thead>
            <tr>
              <th>When</th>
              <th>Who</th>
              <th>What</th>
              <th>On</th>
              <th>Detail</th>
            </tr>
          </thead>
          <tbody>
            {entries.map((entry) => (
              <tr key={entry.id}>
                <td class="at">{full(entry.at)}</td>
                <td>
                  <Line text={entry.actor} />
                </td>
                <td>{entry.action}</td>
                <td>{entry.subject}</td>
                <td>
                  <Line text={detail(entry.detail)} longest={160} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {more && entries.length >= PAGE && (
        <button type="button" class="more" onClick={() => void load()}>
          Load older entries
        </button>
      )}
    </Section>
  );
}

function detail(values: Record<string, unknown>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}
