// The terminal's place in the page; xterm.js is loaded when somebody opens one.
import { useEffect, useRef, useState } from "preact/hooks";
import { del, get, url } from "../api";
import { useAction } from "../hooks";
import { Long } from "../hostile";
import { Failure, Section } from "../ui";

interface Info {
  terminal: { id: string; opened_at: number; opened_by: string; attached: boolean } | null;
}

export function TerminalTab({ name, running }: { name: string; running: boolean }) {
  const path = url`/v1/agents/${name}/terminal`;
  const [open, setOpen] = useState(false);
  const [said, setSaid] = useState<string | null>(null);
  const end = useAction(() => del(path));
  useEffect(() => {
    // A terminal that is open already is shown again: the page was only reloaded.
    void get<Info>(path).then(
      (info) => info.terminal !== null && setOpen(true),
      () => undefined,
    );
  }, [path]);
  const start = () => {
    setSaid(null);
    setOpen(true);
  };
  return (
    <Section
      title="Terminal"
      actions={
        open && (
          <button type="button" disabled={end.busy} onClick={() => void end.run()}>
            End it
          </button>
        )
      }
    >
      <p class="hint">
        A shell in {name}'s container, as its user: it can do what the agent can, and nothing on the host. Opening and closing are in
        the audit log; nobody's Bash rules apply to what you type.
      </p>
      <Failure error={end.error} />
      {said !== null && (
        <div role="status" class="notice">
          <Long text={said} longest={1000} tallest={12} />
        </div>
      )}
      {!open && (
        <button type="button" class="primary" disabled={!running} onClick={start}>
          {running ? "Open a terminal" : `${name} does not run`}
        </button>
      )}
      {open && (
        <Screen
          name={name}
          onEnd={(why) => {
            setSaid(why);
            setOpen(false);
          }}
        />
      )}
    </Section>
  );
}

function Screen({ name, onEnd }: { name: string; onEnd: (why: string) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const ended = useRef(onEnd);
  ended.current = onEnd;
  useEffect(() => {
    let close: (() => void) | null = null;
    let gone = false;
    void import("../terminal").then(
      ({ mount }) => {
        if (!gone && box.current) close = mount(box.current, name, (why) => ended.current(why));
      },
      () => ended.current("the terminal could not be loaded; load the page again"),
    );
    return () => {
      gone = true;
      close?.();
    };
  }, [name]);
  return <div class="screen" ref={box} />;
}
