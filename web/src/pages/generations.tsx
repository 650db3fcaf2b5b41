// An agent's past: its generations, with the way back to each, and what it used day by day.
import { post, url } from "../api";
import { cost, count, full } from "../format";
import { useAction } from "../hooks";
import { Line } from "../hostile";
import { to } from "../router";
import type { AgentDetails, Generation } from "../types";
import { Badge, Empty, Failure, Section } from "../ui";

export function Generations({ agent, onDone }: { agent: AgentDetails; onDone: () => void }) {
  const back = useAction(async (generation: number) => {
    await post(url`/v1/agents/${agent.name}/rollback`, { generation });
    onDone();
  });
  const row = (each: Generation) => (
    <tr key={each.number} aria-current={each.number === agent.generation ? "true" : undefined}>
      <td>{each.number}</td>
      <td>
        <code title={each.commit}>{each.commit.slice(0, 12)}</code>
      </td>
      <td>{each.proposal === null ? "" : <a href={to.proposal(each.proposal)}>proposal {each.proposal}</a>}</td>
      <td>
        <Line text={each.reason} longest={120} />
      </td>
      <td class="at">{full(each.created_at)}</td>
      <td>
        {each.number === agent.generation ? (
          <Badge kind="state-running">runs</Badge>
        ) : (
          <button type="button" disabled={back.busy} onClick={() => void back.run(each.number)}>
            {back.busy ? "…" : "Roll back to it"}
          </button>
        )}
        {!each.healthy && <Badge kind="warning">never answered</Badge>}
      </td>
    </tr>
  );
  return (
    <Section title="Generations">
      <Failure error={back.error} />
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>No.</th>
              <th>Commit</th>
              <th>From</th>
              <th>Reason</th>
              <th>When</th>
              <th />
            </tr>
          </thead>
          <tbody>{agent.generations.map(row)}</tbody>
        </table>
      </div>
    </Section>
  );
}

export function Tokens({ agent }: { agent: AgentDetails }) {
  const most = Math.max(1, ...agent.usage.map((use) => use.input_tokens + use.output_tokens));
  return (
    <Section title="Tokens a day">
      {agent.usage.length === 0 && <Empty>None yet.</Empty>}
      {agent.usage.length > 0 && (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>Day</th>
                <th>Model</th>
                <th>Requests</th>
                <th>In</th>
                <th>Out</th>
                <th>Cost</th>
                <th class="wide">
                  <span class="unseen">Share of the busiest</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {agent.usage.map((use) => (
                <tr key={`${use.day} ${use.model}`}>
                  <td>{use.day}</td>
                  <td>
                    <Line text={use.model} />
                  </td>
                  <td>{use.requests}</td>
                  <td>{count(use.input_tokens)}</td>
                  <td>{count(use.output_tokens)}</td>
                  <td>{cost(use.cost_usd)}</td>
                  <td>
                    <div class="use" aria-hidden="true" style={{ width: `${((use.input_tokens + use.output_tokens) / most) * 100}%` }} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Section>
  );
}
