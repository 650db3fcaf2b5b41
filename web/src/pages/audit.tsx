// The append-only log: who did what.
import { useState } from "preact/hooks";
import { get, query } from "../api";
import { full, plural } from "../format";
import { useAction, useRows, useSettled } from "../hooks";
import { Line, Long } from "../hostile";
import { memo } from "../memo";
import type { AuditEntry } from "../types";
import { Empty, Failure, Section } from "../ui";
import { Browsers } from "./browsers";

const PAGE = 200;
const NEWS = new Set(["agent", "proposal", "read", "hive"]);

interface Verified {
  entries: number;
  head: string;
  broken: { id: number; what: string } | null;
}

export function AuditPage() {
  return (
    <>
      <Browsers />
      <Log />
    </>
  );
}

function Log() {
  const [typed, setTyped] = useState("");
  const agent = useSettled(typed.trim());
  const [verified, setVerified] = useState<Verified | null>(null);
  const log = useRows<AuditEntry>(query("/v1/audit", { agent }), "entries", PAGE, {
    outdated: (event) => NEWS.has(event.kind) && event.data.event !== "doing",
  });
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
              value={typed}
              placeholder="of an agent or user"
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>{" "}
          <button type="button" disabled={verify.busy} onClick={() => void verify.run()}>
            {verify.busy ? "verifying…" : "Verify"}
          </button>
        </span>
      }
    >
      <Failure error={log.error ?? verify.error} />
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
      {log.loaded && log.rows.length === 0 && <Empty>No entries.</Empty>}
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
            {log.rows.map((entry) => (
              <Entry key={entry.id} entry={entry} />
            ))}
          </tbody>
        </table>
      </div>
      {log.more && (
        <button type="button" class="more" disabled={log.busy} onClick={log.older}>
          Load older entries
        </button>
      )}
    </Section>
  );
}

const Entry = memo(function Entry({ entry }: { entry: AuditEntry }) {
  return (
    <tr>
      <td class="at">{full(entry.at)}</td>
      <td>
        <Line text={entry.actor} />
      </td>
      <td>
        <Line text={entry.action} />
      </td>
      <td>
        <Line text={entry.subject} />
      </td>
      <td>
        <Long text={detail(entry.detail)} longest={160} tallest={4} />
      </td>
    </tr>
  );
});

function detail(values: Record<string, unknown>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}
