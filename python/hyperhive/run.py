"""`hyperhive run`: a hive on this machine, and the loop shown once from the operator's wish to the applied change.

It starts the core (and, without credentials, the rehearsal model) as processes, then is nothing but an operator: it
uses the operator's socket like every other client.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperhive import process
from hyperhive.api.server import bind_loopback
from hyperhive.cli.card import card
from hyperhive.cli.output import clean
from hyperhive.client import Client
from hyperhive.config import Dashboard
from hyperhive.errors import BadInput, Conflict, HyperhiveError, Unavailable
from hyperhive.story import Approve, Story

REAL_API = "https://api.anthropic.com"
CORE_START = 30.0
ONCE_LIMIT = 600.0


@dataclass(frozen=True)
class RunOptions:
    """What `hyperhive run` was asked: `yes` approves by itself, `once` ends after the loop."""

    state: Path
    yes: bool = False
    once: bool = False
    model_api: str | None = None


def main(options: RunOptions) -> int:
    """Run the hive until Ctrl-C (or, with `once`, until the loop was shown). Returns the exit code."""
    state = options.state.resolve()
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        runtime = runtime_directory(state)
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}; choose another directory with --state") from error
    client = Client(runtime / "operator.sock")
    _refuse_second(client, state)
    signal.signal(signal.SIGTERM, _terminate)
    with ExitStack() as stack:
        url, said = _model(options, stack, state)
        print(f"hyperhive: state in {state}")
        print(f"model:     {said}", flush=True)
        config = write_config(state, runtime, url)
        log = state / "log" / "core.log"
        core = stack.enter_context(_program([process.find_own("hive-c0re"), "--config", str(config)], log))
        _wait_for_core(client, core, log)
        print(f"dashboard: {client.dashboard_link()}", flush=True)
        try:
            return _operate(options, client)
        except KeyboardInterrupt:
            print("\nstopping; a running turn may end first (at most a minute)", file=sys.stderr, flush=True)
            raise


def _refuse_second(client: Client, state: Path) -> None:
    with suppress(Unavailable):
        client.status()
        raise Conflict(f"a hive runs on {state} already: talk to it (`hyperhive status`), or choose another --state")


def _operate(options: RunOptions, client: Client) -> int:
    story = Story(client, approve=_approver(options))
    shown = story.play(limit=ONCE_LIMIT if options.once else None)
    if options.once:
        return 0 if shown else 1
    print("\nThe hive stays up. Another terminal: `hyperhive status`, `hyperhive inbox`, `hyperhive send manager …`.")
    print("`hyperhive dashboard` gives another link. Ctrl-C ends the hive; its state stays.", flush=True)
    story.follow()
    return 0


def _model(options: RunOptions, stack: ExitStack, state: Path) -> tuple[str, str]:
    """The Messages API's URL, and the words for it. Starts the rehearsal where there are no credentials."""
    if options.model_api:
        return options.model_api, f"{options.model_api} (--model-api)"
    if os.environ.get("ANTHROPIC_API_KEY"):
        return REAL_API, "the Anthropic API, with the key from ANTHROPIC_API_KEY"
    port = stack.enter_context(_rehearsal(state / "log" / "rehearsal.log"))
    return f"http://127.0.0.1:{port}", (
        "rehearsal, a scripted Messages API on loopback: nobody thinks here, everything else is real.\n"
        "           Set ANTHROPIC_API_KEY or give --model-api URL to let the same agents think."
    )


@contextmanager
def _rehearsal(log: Path) -> Iterator[int]:
    """The rehearsal model as a process; gives its port."""
    read, write = os.pipe()
    argv = [sys.executable, "-m", "hyperhive.rehearsal", "--port", "0"]
    with _program(argv, log, stdout=write):
        os.close(write)
        with os.fdopen(read) as line:
            first = line.readline()
            if not first:
                raise Unavailable(f"the rehearsal model did not start; see {log}")
            yield int(json.loads(first)["port"])


@contextmanager
def _program(argv: list[str], log: Path, *, stdout: int | None = None) -> Iterator[process.Popen[bytes]]:
    """A process for the time of the block, and not longer than this one; its output goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        bound = [process.find("setpriv", "install util-linux"), "--pdeathsig", "TERM", "--", *argv]
        child = process.Popen(
            bound, stdin=process.DEVNULL, stdout=stdout or output, stderr=output, start_new_session=True
        )
    try:
        yield child
    finally:
        child.terminate()
        child.wait()


def _wait_for_core(client: Client, core: process.Popen[bytes], log: Path) -> None:
    """Until the core answers. Raises Unavailable with what it said last if it ended instead."""
    deadline = time.monotonic() + CORE_START
    while time.monotonic() < deadline:
        if core.poll() is not None:
            last = log.read_text(errors="replace").splitlines()[-1:] or ["it said nothing"]
            raise Unavailable(f"the core did not start: {last[0].removeprefix('error: ')}")
        try:
            client.status()
        except Unavailable:
            time.sleep(0.05)
        else:
            return
    raise Unavailable(f"the core did not answer within {CORE_START:g} s; see {log}")


def runtime_directory(state: Path) -> Path:
    """Where the sockets go: `state`/run, or a short path that it links to where a socket's path would be too long."""
    wanted = state / "run"
    longest = wanted / "agents" / ("n" * 31) / "harness.sock"
    if len(os.fsencode(longest)) <= 107:
        wanted.mkdir(mode=0o700, exist_ok=True)
        return wanted
    digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    short = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"hyperhive-{os.getuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid != os.getuid():
        raise Conflict(f"{short} belongs to somebody else; choose a shorter path with --state")
    if not wanted.is_symlink():
        wanted.symlink_to(short)
    return short


def write_config(state: Path, runtime: Path, url: str) -> Path:
    """Write core.json for a hive on this machine and return its path."""
    path = state / "core.json"
    value: dict[str, Any] = {
        "backend": "local",
        "stateDir": str(state),
        "runtimeDir": str(runtime),
        "modelApi": {"url": url, "keyFile": None},
        "dashboard": {"enable": True, "port": _free_port()},
    }
    path.write_text(json.dumps(value, indent=2) + "\n")
    return path


def _free_port() -> int:
    """The dashboard's usual port, so that bookmarks hold; any other if it is taken."""
    try:
        bind_loopback(Dashboard.port).close()
    except Unavailable:
        return 0
    return Dashboard.port


def _approver(options: RunOptions) -> Approve:
    """The function that the story asks: shows the card and answers whether the operator approves."""

    def approve(proposal: dict[str, Any]) -> bool:
        print("\n" + card(proposal), flush=True)
        if options.yes:
            print("approved by --yes", flush=True)
            return True
        if not sys.stdin.isatty():
            raise HyperhiveError("there is no terminal to ask at; give --yes, or use `hyperhive apply approve`")
        try:
            answer = input(f"Apply this to {clean(proposal['agent'])}? [y/N] ")
        except EOFError:
            raise HyperhiveError("no answer came; the proposal waits: `hyperhive apply list`") from None
        return answer.strip().lower() in ("y", "yes")

    return approve


def _terminate(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
