// The browsers that are logged in, and their end.
import { del, url } from "../api";
import { full } from "../format";
import { useAction, useLoaded } from "../hooks";
import { Line } from "../hostile";
import type { LoggedIn } from "../types";
import { Badge, Empty, Failure, Section, When } from "../ui";

export function Browsers() {
  const found = useLoaded<{ sessions: LoggedIn[] }>("/v1/sessions", (event) => event.kind === "hive" && event.data.event === "sessions");
  const end = useAction(async (id: number) => {
    await del(url`/v1/sessions/${id}`);
    found.reload(); // if it was this one, that says so
  });
  const sessions = found.data?.sessions;
  return (
    <Section title="Logged-in browsers" id="browsers">
      <Failure error={end.error ?? found.error} />
      {sessions?.length === 0 && <Empty>None by a link.</Empty>}
      {sessions !== undefined && sessions.length > 0 && (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>Who</th>
                <th>Since</th>
                <th>Last used</th>
                <th>Until</th>
                <th>
                  <span class="unseen">End</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {sessions.map((session) => (
                <tr key={session.id}>
                  <td>
                    <Line text={session.user} /> {session.current && <Badge kind="role">this one</Badge>}
                  </td>
                  <td class="at">{full(session.created_at)}</td>
                  <td class="at">
                    <When at={session.used_at} />
                  </td>
                  <td class="at">{full(session.expires_at)}</td>
                  <td>
                    <button
                      type="button"
                      disabled={end.busy}
                      aria-label={`Log out browser ${session.id}, ${session.user}`}
                      onClick={() => void end.run(session.id)}
                    >
                      Log out
                    </button>
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
