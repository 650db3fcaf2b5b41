// What an agent is: its settings and where each comes from, the model's override, generations, use, and the Bash rules.
import { useState } from "preact/hooks";
import { post, put, url } from "../api";
import { type Loaded, useAction } from "../hooks";
import { Line, Long } from "../hostile";
import { model as hiveModel } from "../state";
import type { AgentDetails } from "../types";
import { Badge, Empty, Failure, Section } from "../ui";
import { Generations, Tokens } from "./generations";

/** A settings object as rows of dotted paths, in the order of the object. */
export function leaves(value: unknown, path = ""): [string, unknown][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [[path, value]];
  return Object.entries(value).flatMap(([name, inner]) => leaves(inner, path ? `${path}.${name}` : name));
}

export function SettingsTab({ details }: { details: Loaded<AgentDetails> }) {
  const agent = details.data;
  if (agent === null) return <Failure error={details.error} />;
  const reload = () => {
    details.reload();
    hiveModel.refresh("agents");
  };
  return (
    <>
      <ModelOverride agent={agent} onDone={reload} />
      <Section title="Settings">
        {agent.settings === null ? <Empty>It has no generation yet.</Empty> : <Table agent={agent} />}
      </Section>
      <Explain name={agent.name} />
      <Generations agent={agent} onDone={reload} />
      <Tokens agent={agent} />
    </>
  );
}

function ModelOverride({ agent, onDone }: { agent: AgentDetails; onDone: () => void }) {
  const [chosen, setChosen] = useState("");
  const set = useAction(async (wanted: string | null) => {
    await put(url`/v1/agents/${agent.name}/model`, { model: wanted });
    setChosen("");
    onDone();
  });
  const submit = (event: Event) => {
    event.preventDefault();
    if (chosen.trim()) void set.run(chosen.trim());
  };
  return (
    <Section title="Model">
      <form class="inline" onSubmit={submit}>
        <span>
          <strong>
            <Line text={agent.model ?? "none"} />
          </strong>{" "}
          {agent.model_override ? <Badge kind="override">run-time override</Badge> : <span class="hint">from its configuration</span>}
        </span>
        <label>
          <span class="unseen">Model</span>
          <input
            list="models"
            value={chosen}
            placeholder="haiku, sonnet, opus or a full id"
            onInput={(event) => setChosen(event.currentTarget.value)}
          />
          <datalist id="models">
            <option>haiku</option>
            <option>sonnet</option>
            <option>opus</option>
          </datalist>
        </label>
        <button type="submit" disabled={set.busy || !chosen.trim()}>
          {set.busy ? "restarting…" : "Override"}
        </button>
        {agent.model_override && (
          <button type="button" disabled={set.busy} onClick={() => void set.run(null)}>
            Take the override away
          </button>
        )}
      </form>
      <Failure error={set.error} />
    </Section>
  );
}

function Table({ agent }: { agent: AgentDetails }) {
  const sources = agent.sources ?? {};
  const rows = leaves(agent.settings).filter(([path]) => path !== "schema");
  return (
    <div class="scroll">
      <table class="settings">
        <thead>
          <tr>
            <th>Setting</th>
            <th>Value</th>
            <th>From</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([path, value]) => (
            <tr key={path}>
              <td>
                <code>{path}</code>
              </td>
              <td>
                <Value value={value} />
              </td>
              <td>
                <Badge kind={`source-${(sources[path] ?? "unknown").replace(".", "-")}`}>{sources[path] ?? "not known"}</Badge>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Value({ value }: { value: unknown }) {
  if (Array.isArray(value)) {
    if (value.length === 0) return <span class="hint">none</span>;
    return (
      <ul class="values">
        {value.map((each, index) => (
          <li key={index}>
            <Long text={String(each)} longest={300} tallest={6} code />
          </li>
        ))}
      </ul>
    );
  }
  if (value === null || value === "") return <span class="hint">none</span>;
  return <Long text={String(value)} longest={600} tallest={20} />;
}

interface Verdict {
  allowed: boolean;
  reason: string;
}

function Explain({ name }: { name: string }) {
  const [command, setCommand] = useState("");
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  const ask = useAction(async () => setVerdict(await post<Verdict>(url`/v1/agents/${name}/explain`, { command })));
  const submit = (event: Event) => {
    event.preventDefault();
    if (command.trim()) void ask.run();
  };
  return (
    <Section title="Would it be allowed?">
      <form class="inline" onSubmit={submit}>
        <label class="wide">
          <span class="unseen">Command</span>
          <input
            class="code"
            value={command}
            placeholder="git log | head -3"
            spellcheck={false}
            onInput={(event) => {
              setCommand(event.currentTarget.value);
              setVerdict(null);
            }}
          />
        </label>
        <button type="submit" disabled={ask.busy || !command.trim()}>
          Ask the Bash rules
        </button>
      </form>
      {verdict !== null && (
        <p role="status" class={verdict.allowed ? "verdict yes" : "verdict no"}>
          <strong>{verdict.allowed ? "Allowed" : "Denied"}</strong>: <Line text={verdict.reason} longest={600} />
        </p>
      )}
      <Failure error={ask.error} />
    </Section>
  );
}
