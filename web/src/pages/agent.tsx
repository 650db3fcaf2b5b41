// One agent: its head, and the tabs below it.
import { useState } from "preact/hooks";
import { url } from "../api";
import { Boundary } from "../boundary";
import { Line, Long, withoutColours } from "../hostile";
import { useHive, useLoaded } from "../hooks";
import { Card } from "../message";
import { isUp, Power, usePower } from "../power";
import { TABS, to } from "../router";
import { stateWords } from "../state";
import type { AgentDetails, Message } from "../types";
import { Badge, Empty, Failure, OverBudget, Section } from "../ui";
import { NotesTab } from "./notes";
import { SettingsTab } from "./settings";
import { TerminalTab } from "./terminal-tab";
import { TurnsTab } from "./turns";

const TITLES: Record<string, string> = {
  turns: "Turns",
  inbox: "Inbox",
  settings: "Settings",
  notes: "Notes",
  logs: "Log",
  terminal: "Terminal",
};

export function AgentPage({ name, tab, turn }: { name: string; tab: string; turn?: number }) {
  const hive = useHive();
  const agent = hive.agents.find((each) => each.name === name);
  const details = useLoaded<AgentDetails>(
    url`/v1/agents/${name}`,
    ({ kind, data }) => kind === "agent" && data.name === name && !["doing", "denied", "idle", "turn"].includes(String(data.event)),
  );
  const power = usePower(name);
  if (agent === undefined) {
    return (
      <p class="empty">
        There is no agent of that name. <a href={to.overview}>All agents</a>
      </p>
    );
  }
  return (
    <article class="agent-page">
      <p class="back">
        <a href={to.overview}>← all agents</a>
      </p>
      <header class="head">
        <h1>{name}</h1>
        <span class="facts">
          <Badge kind={`state-${agent.state}`}>{stateWords(agent)}</Badge>
          <Badge kind="role">{agent.role}</Badge>
          <span>
            <Line text={agent.model ?? "no model"} longest={60} /> {agent.model_override && <Badge kind="override">run-time override</Badge>}
          </span>
          <span>generation {agent.generation || "–"}</span>
          {agent.unread > 0 && <Badge kind="unread">{agent.unread} unread</Badge>}
          <OverBudget agent={agent} />
        </span>
        <span class="actions">
          <Power agent={agent} power={power} />
        </span>
      </header>
      {agent.trouble !== null && (
        <p class="trouble">
          <Line text={agent.trouble} longest={500} />
        </p>
      )}
      <Failure error={power.error ?? details.error} />
      <nav class="tabs" aria-label={`Of ${name}`}>
        {TABS.map((each) => (
          <a key={each} href={to.agent(name, each)} aria-current={tab === each ? "page" : undefined}>
            {TITLES[each]}
          </a>
        ))}
      </nav>
      <Boundary place={`${tab} ${turn}`} what="This tab">
        {tab === "turns" && <TurnsTab key={turn} agent={agent} turn={turn} />}
        {tab === "inbox" && <InboxTab name={name} />}
        {tab === "settings" && <SettingsTab details={details} />}
        {tab === "notes" && <NotesTab name={name} />}
        {tab === "logs" && <LogsTab name={name} />}
        {tab === "terminal" && <TerminalTab name={name} running={isUp(agent)} />}
      </Boundary>
    </article>
  );
}

function InboxTab({ name }: { name: string }) {
  const found = useLoaded<{ messages: Message[] }>(
    url`/v1/agents/${name}/inbox` + "?limit=50&brief=1",
    ({ kind, data }) => (kind === "message" && data.recipient === name) || (kind === "turn" && data.agent === name),
  );
  return (
    <Section title="The last messages to it">
      <Failure error={found.error} />
      {found.data?.messages.length === 0 && <Empty>It has had no mail.</Empty>}
      {(found.data?.messages ?? []).map((message) => (
        <Card key={message.id} message={message}>
          <p class="hint">{message.read_at !== null ? "delivered" : message.dead_at !== null ? "given up" : "waits, or is in work"}</p>
        </Card>
      ))}
    </Section>
  );
}

function LogsTab({ name }: { name: string }) {
  const [lines, setLines] = useState(200);
  const found = useLoaded<{ log: string }>(
    url`/v1/agents/${name}/logs` + `?lines=${lines}`,
    ({ kind, data }) => kind === "agent" && data.name === name && data.event !== "doing",
  );
  return (
    <Section
      title="Log"
      actions={
        <span>
          <button type="button" onClick={found.reload}>
            Load again
          </button>{" "}
          {lines < 5000 && (
            <button type="button" onClick={() => setLines(lines * 5)}>
              More
            </button>
          )}
        </span>
      }
    >
      <Failure error={found.error} />
      {found.data?.log === "" && <Empty>The log is empty.</Empty>}
      {found.data && found.data.log !== "" && (
        <div class="log">
          <Long text={withoutColours(found.data.log)} code longest={200_000} tallest={10_000} />
        </div>
      )}
    </Section>
  );
}
