// The buttons that start and stop an agent.
import { post, url } from "./api";
import { useAction } from "./hooks";
import { model } from "./state";
import type { Agent } from "./types";

export function isUp(agent: Agent): boolean {
  return agent.state === "running" || agent.state === "starting";
}

/** What the buttons need: whether something is on its way, and what went wrong, for a place of its own on the page. */
export function usePower(agent: string) {
  return useAction(async (verb: "start" | "stop" | "restart") => {
    await post(url`/v1/agents/${agent}/` + verb);
    model.refresh("agents");
  });
}

export function Power({ agent, power }: { agent: Agent; power: ReturnType<typeof usePower> }) {
  const button = (verb: "start" | "stop" | "restart", label: string) => (
    <button type="button" disabled={power.busy} onClick={() => void power.run(verb)}>
      {power.busy && verb !== "restart" ? "…" : label}
    </button>
  );
  if (!isUp(agent)) return button("start", "Start");
  return (
    <>
      {button("stop", "Stop")}
      {button("restart", "Restart")}
    </>
  );
}
