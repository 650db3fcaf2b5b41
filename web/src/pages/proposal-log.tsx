// What the host did with a proposal, line by line as it does it.
import { useEffect, useState } from "preact/hooks";
import { get } from "../api";
import { clock } from "../format";
import { useEvents } from "../hooks";
import { Text, withoutColours } from "../hostile";
import { memo } from "../memo";
import type { LogLine } from "../types";
import { Empty, Failure, Section, useFollow } from "../ui";

const LogRow = memo(function LogRow({ line }: { line: LogLine }) {
  return (
    <div class="line">
      <span class="at">{clock(line.at)}</span>
      <span class="step">{line.step}</span>
      <Text text={withoutColours(line.text)} />
    </div>
  );
});

/** Lines by number, each once, in order. */
export function mergeLog(old: LogLine[], fresh: LogLine[]): LogLine[] {
  const last = old.at(-1)?.seq ?? 0;
  if (fresh.every((line, index) => line.seq === last + 1 + index)) return fresh.length > 0 ? [...old, ...fresh] : old;
  const bySeq = new Map([...old, ...fresh].map((line) => [line.seq, line]));
  return [...bySeq.values()].sort((one, other) => one.seq - other.seq);
}

export function Log({ id }: { id: number }) {
  const [lines, setLines] = useState<LogLine[]>([]);
  const [error, setError] = useState<string | null>(null);
  const box = useFollow<HTMLDivElement>(lines);
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
  return (
    <Section title="Log">
      <Failure error={error} />
      {lines.length === 0 && <Empty>Nothing was done yet.</Empty>}
      {lines.length > 0 && (
        <div class="log code" role="log" tabIndex={0} aria-label="Check and build log" {...box}>
          {lines.map((line) => (
            <LogRow key={line.seq} line={line} />
          ))}
        </div>
      )}
    </Section>
  );
}
