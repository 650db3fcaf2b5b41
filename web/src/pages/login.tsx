// Log in with the link that `hyperhive dashboard` prints: from the address, or pasted.
import { useEffect, useState } from "preact/hooks";
import { ApiError, post } from "../api";
import { keep } from "../key";
import { linkIn } from "../router";
import type { Session } from "../types";
import { Failure } from "../ui";

export function Login({ problem, onSession }: { problem: string | null; onSession: (session: Session) => void }) {
  const [text, setText] = useState("");
  const [error, setError] = useState(problem);
  const use = (link: string) =>
    post<Session>("/v1/session", { link }).then(
      (session) => {
        keep(session.key);
        onSession(session);
      },
      (failure: ApiError) => setError(failure.message),
    );
  useEffect(() => {
    const link = location.hash.startsWith("#link=") ? linkIn(location.hash) : null;
    if (link === null) return;
    history.replaceState(null, "", "/"); // it works once, and has no business in the history
    void use(link);
  }, []);
  const submit = (event: Event) => {
    event.preventDefault();
    const link = linkIn(text);
    if (link === null) setError("that is no link of `hyperhive dashboard`");
    else void use(link);
  };
  return (
    <main class="center">
      <h1>hyperhive</h1>
      <p>
        Run <code>hyperhive dashboard</code> on the hive's host and open the link that it prints. It works once.
      </p>
      <form onSubmit={submit} class="stack">
        <label>
          Or paste it here
          <input
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
            autocomplete="off"
            spellcheck={false}
            placeholder="http://127.0.0.1:8420/#link=…"
          />
        </label>
        <button type="submit" class="primary">
          Log in
        </button>
      </form>
      <Failure error={error} />
    </main>
  );
}
