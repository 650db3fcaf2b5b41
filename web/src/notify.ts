// What calls the operator when no page is seen. The words hold no text of an agent's, only names that the host gave.
import type { LiveEvent } from "./types";

const AGENT = /^[a-z][a-z0-9-]{0,30}$/;

/** What an event calls the operator for, null if for nothing. */
export function callOf({ kind, data }: LiveEvent): string | null {
  const name = (value: unknown) => (AGENT.test(String(value)) && value !== "system" ? String(value) : "the hive");
  if (kind === "message" && data.recipient === "operator" && data.dead_at === null)
    return `${name(data.sender)} ${data.kind === "question" ? "asks you something" : "wrote to you"}`;
  if (kind === "proposal" && data.state === "checked") return `a proposal for ${name(data.agent)} waits`;
  if (kind === "agent" && data.state === "failed") return `${name(data.name)} has failed`;
  return null;
}

/** Whether the operator may still be asked for notifications. */
export function isUndecided(): boolean {
  return typeof Notification !== "undefined" && Notification.permission === "default";
}

export function call(words: string): void {
  if (typeof Notification === "undefined" || Notification.permission !== "granted") return;
  const shown = new Notification("hyperhive", { body: words });
  shown.onclick = () => {
    window.focus();
    shown.close();
  };
}
