// The frame: log in, then navigation, the page, and what is true everywhere (title, connection, keys).
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError, del, get, onLoggedOut } from "./api";
import { Boundary } from "./boundary";
import { plural } from "./format";
import { useEvents, useHive, useStatus } from "./hooks";
import { keep } from "./key";
import { live } from "./live";
import { AgentPage } from "./pages/agent";
import { AuditPage } from "./pages/audit";
import { DeadLettersPage } from "./pages/dead-letters";
import { InboxPage } from "./pages/inbox";
import { Login } from "./pages/login";
import { MailPage } from "./pages/mail";
import { Overview } from "./pages/overview";
import { ProposalPage } from "./pages/proposal";
import { ProposalsPage } from "./pages/proposals";
import { type Route, to, useRoute } from "./router";
import { decidable, model, waitingFor } from "./state";
import { chosenTheme, nextTheme, setTheme } from "./theme";
import type { Session } from "./types";
import { Failure, isTyping } from "./ui";

export function App() {
  const [session, setSession] = useState<Session | null | undefined>(undefined);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    live.onEnded((why) => {
      setError(why === "other" ? "another user has logged in in this browser; reload the page to go on as that one" : null);
      setSession(null);
    });
    onLoggedOut(() => {
      live.check();
      setSession(null);
    });
    get<Session>("/v1/session").then(setSession, (failure: ApiError) => {
      if (failure.status !== 401) setError(failure.message);
      setSession(null);
    });
  }, []);
  if (session === undefined) return <main class="center" aria-busy="true" />;
  const begin = (fresh: Session) => {
    setError(null);
    setSession(fresh);
  };
  if (session === null) return <Login problem={error} onSession={begin} />;
  return <Frame session={session} onLogout={() => setSession(null)} />;
}

function Frame({ session, onLogout }: { session: Session; onLogout: () => void }) {
  const route = useRoute();
  const hive = useHive();
  useEvents((events) => model.take(events));
  useLayoutEffect(() => {
    // before what it shows is loaded, so that nothing falls between
    live.watch(route.page === "agent" && route.tab === "turns" ? (route.name ?? "") : "");
  }, [route.page, route.tab, route.name]);
  useEffect(() => {
    void live.start(session.user).then(() => model.load());
    return () => live.stop();
  }, []);
  useArrival(route);
  const waiting = waitingFor(hive);
  useEffect(() => {
    document.title = waiting > 0 ? `(${waiting}) hyperhive` : "hyperhive";
  }, [waiting]);
  return (
    <>
      <a class="skip" href="#content" onClick={skip}>
        Skip to the content
      </a>
      <Bar route={route} session={session} onLogout={onLogout} />
      <main id="content" tabIndex={-1}>
        <Failure error={hive.problem} />
        {hive.loaded && (
          <Boundary place={placeOf(route)} what="This page">
            <Page route={route} />
          </Boundary>
        )}
      </main>
      <p class="unseen" role="status">
        {waiting > 0 ? `${plural(waiting, "thing waits", "things wait")} for you` : ""}
      </p>
      <Keys />
    </>
  );
}

function placeOf(route: Route): string {
  return [route.page, route.name, route.tab, route.id].join("/");
}

/** Another page begins at its top, and the keyboard goes on there; what is typed in keeps the focus. */
function useArrival(route: Route): void {
  const place = placeOf(route);
  const first = useRef(true);
  useLayoutEffect(() => {
    // at once: later it would take the focus from what a key has given it to meanwhile
    if (!first.current) {
      scrollTo(0, 0);
      document.getElementById("content")?.focus({ preventScroll: true });
    }
    first.current = false;
  }, [place]);
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

function Page({ route }: { route: Route }) {
  switch (route.page) {
    case "overview":
      return <Overview />;
    case "proposals":
      return route.id === undefined ? <ProposalsPage /> : <ProposalPage key={route.id} id={route.id} />;
    case "inbox":
      return <InboxPage />;
    case "mail":
      return <MailPage key={route.id} chain={route.id} />;
    case "dead-letters":
      return <DeadLettersPage />;
    case "agent":
      return <AgentPage key={route.name} name={route.name!} tab={route.tab ?? "turns"} turn={route.id} />;
    case "audit":
      return <AuditPage />;
    default:
      return (
        <p class="empty">
          There is no such page. <a href={to.overview}>The overview</a>
        </p>
      );
  }
}

function Bar({ route, session, onLogout }: { route: Route; session: Session; onLogout: () => void }) {
  const hive = useHive();
  const [theme, set] = useState(chosenTheme());
  const change = () => {
    const next = nextTheme(theme);
    setTheme(next);
    set(next);
  };
  const over = () => {
    keep(undefined);
    live.logout();
    onLogout();
  };
  const logout = () => void del("/v1/session").then(over, over);
  const link = (page: Route["page"], href: string, label: string, number = 0) => (
    <a href={href} aria-current={route.page === page ? "page" : undefined}>
      {label}
      {number > 0 && <span class="count">{number}</span>}
    </a>
  );
  return (
    <header class="bar">
      <a class="brand" href={to.overview} aria-label="hyperhive, overview">
        <svg viewBox="0 0 32 32" width="20" height="20" aria-hidden="true">
          <path fill="var(--accent)" d="M16 2l12 7v14l-12 7-12-7V9z" />
          <path fill="var(--page)" d="M16 9l6 3.5v7L16 23l-6-3.5v-7z" />
        </svg>
        <span>{session.hive}</span>
      </a>
      <nav aria-label="Pages">
        {link("overview", to.overview, "Agents")}
        {link("proposals", to.proposals, "Proposals", decidable(hive).length)}
        {link("inbox", to.inbox, "Inbox", hive.inbox.length)}
        {link("mail", to.mail, "Mail")}
        {link("audit", to.audit, "Audit")}
      </nav>
      <Connection />
      <button type="button" class="quiet" onClick={change} title={`colours: ${theme}`} aria-label={`Colours: ${theme}`}>
        {theme === "auto" ? "◐" : theme === "light" ? "☀" : "☾"}
      </button>
      {session.by === "link" && (
        <button type="button" class="quiet" onClick={logout} title={`logged in as ${session.user}`}>
          Log out
        </button>
      )}
    </header>
  );
}

function Connection() {
  const status = useStatus();
  const words = { connecting: "connecting", live: "live", lost: "no connection, trying again", paused: "paused" };
  return (
    <span class={`connection ${status}`} role="status" title={words[status]}>
      {status === "lost" ? words.lost : <span class="unseen">{words[status]}</span>}
    </span>
  );
}

const GO: Record<string, string> = { a: to.overview, p: to.proposals, i: to.inbox, m: to.mail, u: to.audit };

function Keys() {
  const [help, setHelp] = useState(false);
  const going = useRef(false);
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (isTyping(event)) return;
      if (going.current && GO[event.key]) location.hash = GO[event.key]!;
      going.current = event.key === "g";
      if (event.key === "?") setHelp(true);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
  return help ? <Help onClose={() => setHelp(false)} /> : null;
}

function Help({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const keys = [
    ["g a", "agents"],
    ["g p", "proposals"],
    ["g i", "inbox"],
    ["g m", "mail"],
    ["g u", "audit"],
    ["j, k", "next, previous in a list"],
    ["?", "this help"],
  ];
  return (
    <dialog ref={dialog} onClose={onClose} aria-label="Keys">
      <h2>Keys</h2>
      <dl class="keys">
        {keys.map(([key, what]) => (
          <>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </>
        ))}
      </dl>
      <p class="buttons">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </p>
    </dialog>
  );
}
