// xterm.js on the core's WebSocket. What is printed is told back as drawn, so that the shell waits instead of the page.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { url } from "./api";
import { withKey } from "./key";

const RETRY = [200, 500, 1000, 2000, 5000];
const PASTE = 64 * 1024;

/** Show the agent's terminal in `box` until the returned function is called; `onEnd` says why it ended. */
export function mount(box: HTMLElement, agent: string, onEnd: (why: string) => void): () => void {
  const terminal = new Terminal({
    cursorBlink: true,
    scrollback: 10_000,
    fontFamily: "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace",
    fontSize: 13,
    theme: { background: "#101418", foreground: "#d8dee4" },
    linkHandler: { activate: () => undefined }, // a link of a program's leads nowhere
    screenReaderMode: false,
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(box);
  fit.fit();
  terminal.focus();

  let socket: WebSocket | null = null;
  let tries = 0;
  let over = false;
  let replaying = 0;
  let retry: ReturnType<typeof setTimeout> | undefined;

  const say = (what: unknown) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(what));
  const finish = (why: string) => {
    if (over) return;
    over = true;
    onEnd(why);
  };

  const connect = () => {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const path = url`/v1/agents/${agent}/terminal` + `?cols=${terminal.cols}&rows=${terminal.rows}`;
    const mine = new WebSocket(`${scheme}://${location.host}${withKey(path)}`);
    mine.binaryType = "arraybuffer";
    socket = mine;
    let first = true;
    mine.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
      if (typeof event.data === "string") {
        const told = JSON.parse(event.data) as { replay?: number; end?: string; error?: string };
        if (told.replay !== undefined) {
          if (first) terminal.reset();
          first = false;
          replaying += told.replay;
        }
        const why = told.end ?? told.error;
        if (why !== undefined) finish(why);
        return;
      }
      tries = 0;
      const data = new Uint8Array(event.data);
      const old = replaying > 0;
      terminal.write(data, () => {
        if (old) replaying -= data.length;
        if (socket === mine) say({ ack: data.length });
      });
    };
    mine.onclose = (event) => {
      if (over || socket !== mine) return;
      replaying = 0;
      if (event.code === 1008) finish("you are not logged in any more");
      else if (tries >= 20) finish("the core does not answer");
      else retry = setTimeout(connect, RETRY[Math.min(tries++, RETRY.length - 1)]);
    };
  };

  // What a program asks the terminal (its kind, the cursor's place) was answered when it was printed first.
  terminal.onData((text) => {
    if (replaying === 0) send(new TextEncoder().encode(text));
  });
  terminal.onBinary((text) => send(Uint8Array.from(text, (each) => each.charCodeAt(0))));
  const send = (data: Uint8Array) => {
    if (socket?.readyState !== WebSocket.OPEN) return;
    for (let start = 0; start < data.length; start += PASTE) socket.send(data.slice(start, start + PASTE));
  };
  terminal.onResize(({ cols, rows }) => say({ resize: [cols, rows] }));
  const observer = new ResizeObserver(() => fit.fit());
  observer.observe(box);
  connect();

  return () => {
    over = true;
    clearTimeout(retry);
    observer.disconnect();
    socket?.close();
    terminal.dispose();
  };
}
