// The hive's own events in words: their bodies are JSON.

interface Told {
  event?: string;
  [name: string]: unknown;
}

/** What an event's body says, or null if it is none that is known. */
export function eventWords(body: string): string | null {
  let told: Told;
  try {
    told = JSON.parse(body) as Told;
  } catch {
    return null;
  }
  if (typeof told !== "object" || told === null) return null;
  const text = (name: string) => (told[name] === undefined || told[name] === null ? "" : String(told[name]));
  const because = (name: string) => (text(name) ? `: ${text(name)}` : "");
  switch (told.event) {
    case "apply_result":
      return `Proposal ${text("proposal")} for ${text("agent")} is ${text("state")}${
        text("generation") ? `, generation ${text("generation")}` : ""
      }${text("decided_by") ? ` (decided by ${text("decided_by")})` : ""}${because("reason")}`;
    case "container_crash":
      return `${text("agent")} crashed (${text("ending")}, exit ${text("exit_code")})${
        told.given_up === true ? " and was given up" : ""
      }. The end of its log:\n${text("log")}`;
    case "dead_letter":
    case "loop_guard":
      return `Message ${text("message")} from ${text("from")} to ${text("to")} was parked${because("reason")}`;
    case "create_failed":
      return `${text("agent")} could not be created${because("reason")}`;
    case "over_budget":
      return `${text("agent")} is over its budget until ${text("until")}${because("reason")}. Its mail waits.`;
    case "hive_paused":
      return `The hive pauses until ${text("until")}${because("reason")}. All mail waits.`;
    case "question_expired":
      return `Question ${text("question")} got no answer in time${because("reason")}`;
    default:
      return null;
  }
}

/** The page that an event is about, if there is one. */
export function eventLink(body: string): { proposal?: number; agent?: string } {
  try {
    const told = JSON.parse(body) as Told;
    return {
      proposal: typeof told.proposal === "number" ? told.proposal : undefined,
      agent: typeof told.agent === "string" && /^[a-z][a-z0-9-]{0,30}$/.test(told.agent) ? told.agent : undefined,
    };
  } catch {
    return {};
  }
}
