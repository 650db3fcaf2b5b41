"""One turn: one Claude Code process in a cage, from the prompt to the verdict; its events are handed on at once."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import IO, Any

from hyperhive import process, working_directory
from hyperhive.harness import sandbox
from hyperhive.harness.claude import MODEL_PORT, command, environment
from hyperhive.harness.config import HarnessConfig
from hyperhive.harness.outcome import NO_HIVE, TOO_MUCH_MEMORY, Events, Outcome, Verdict, judge
from hyperhive.harness.resources import Meter, descendants
from hyperhive.harness.session import Session

TICK = 1.0  # seconds between looks at the clock
SHOW = 0.1
"""Seconds between pieces of what is being written."""
INTERRUPT_TIME = 2.0
EMPTY_TIME = 5.0
UNIT_TIME = 30.0
MAX_LINE = 8 * 1024 * 1024
MAX_STDERR = 64 * 1024
MAX_BATCH = 512 * 1024


@dataclass(frozen=True)
class TurnHooks:
    """What the loop wants of a running turn: `lines` takes NDJSON, `tick` is called each second and answers whether
    the turn must end now. `text` takes what is being written, piece by piece; its whole block comes with `lines` then.
    """

    lines: Callable[[bytes], None]
    tick: Callable[[], bool]
    text: Callable[[str], None] = lambda _: None


@dataclass
class _Pipes:
    """What has been read of a turn's outputs."""

    hooks: TurnHooks
    events: Events = field(default_factory=Events)
    partial: bytes = b""
    stderr: bytes = b""
    coming: str = ""
    shown_at: float = 0.0

    def take_stdout(self, data: bytes) -> None:
        """Cut the stream into lines, look at each and hand them on together."""
        *lines, self.partial = (self.partial + data).split(b"\n")
        if len(self.partial) > MAX_LINE:
            self.partial = b""
        for batch in _batches([line for line in lines if line.strip() and self._look(line)]):
            self.hooks.lines(batch)

    def _look(self, line: bytes) -> bool:
        """Look at a line; whether it is to be kept. What is being written is shown, and comes whole later."""
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return True
        if not isinstance(event, dict):
            return True
        if event.get("type") == "stream_event":
            self.coming += _written(event)
            return False
        if event.get("type") == "assistant":
            self.coming = ""
        self.events.take(event)
        return True

    def show(self) -> None:
        """Hand on what was written since the last time, now and then."""
        if self.coming and time.monotonic() - self.shown_at >= SHOW:
            self.hooks.text(self.coming)
            self.coming, self.shown_at = "", time.monotonic()


def _written(event: dict[str, Any]) -> str:
    """The piece of the agent's own text (no subagent's) in an event of a message that is being written."""
    match event:
        case {"parent_tool_use_id": str()}:
            return ""
        case {"event": {"type": "content_block_delta", "delta": {"type": "text_delta", "text": str(text)}}}:
            return text
    return ""


def _batches(lines: list[bytes]) -> Iterator[bytes]:
    """Lines joined to NDJSON of at most about MAX_BATCH bytes; a longer line is replaced by a note of its size."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        short = line if len(line) <= MAX_BATCH else json.dumps({"type": "oversized", "bytes": len(line)}).encode()
        if batch and size + len(short) > MAX_BATCH:
            yield b"\n".join(batch)
            batch, size = [], 0
        batch.append(short)
        size += len(short)
    if batch:
        yield b"\n".join(batch)


def run_turn(config: HarnessConfig, session: Session, prompt: str, hooks: TurnHooks) -> tuple[Verdict, Events]:
    """Run one turn to its end. When it returns, no process of it is left.

    Raises OSError if the cage itself cannot be started.
    """
    return run_claude(config, command(config.claude, config.settings, session), prompt, hooks)


def run_claude(
    config: HarnessConfig, words: Sequence[str], prompt: str, hooks: TurnHooks, *, hive: bool = True
) -> tuple[Verdict, Events]:
    """Run that command of Claude Code in the cage; `hive`: it must have the hive's tools. Raises OSError."""
    deadline = time.monotonic() + config.settings.session.turnTimeout
    with contextlib.suppress(OSError):  # the cage says what is wrong
        working_directory.restore(config.state)
    pipes = _Pipes(hooks, Events(needs_hive=hive))
    inside, outside = os.pipe()
    with os.fdopen(outside, "wb") as lifeline:
        try:
            child = _Child(_start(argv(config, words, inside), prompt, inside), lifeline, config.turn_end)
        finally:
            os.close(inside)
        try:
            meter = Meter(child.process.pid, config.cgroup, config.memory_max)
            ended = _pump(child, pipes, deadline, meter)
            pipes.events.resources = meter.total()
        finally:
            child.end()
    if ended is not None:
        return ended, pipes.events
    return judge(pipes.events, pipes.stderr.decode(errors="replace")), pipes.events


def _start(argv: list[str], prompt: str, lifeline: int) -> process.Popen[bytes]:
    with tempfile.TemporaryFile() as stdin:
        stdin.write(prompt.encode(errors="replace"))
        stdin.seek(0)
        return process.Popen(
            argv, stdin=stdin, stdout=process.PIPE, stderr=process.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath)}, start_new_session=True, pass_fds=[lifeline],
        )  # fmt: skip


@dataclass(frozen=True)
class _Child:
    """A running turn: the program that made its cage, the pipe that a bubblewrap lives by, what ends a unit, and a
    descriptor of the first process inside, once there is one.
    """

    process: process.Popen[bytes]
    lifeline: IO[bytes]
    unit_end: tuple[str, ...]
    first: list[int] = field(default_factory=list)

    def interrupt(self) -> None:
        """SIGINT to Claude Code, which ends its own children, and a moment for that; then the whole cage."""
        self._end_unit()
        for pid in claude_processes(self.process.pid):
            _signal(pid, signal.SIGINT)
        deadline = time.monotonic() + INTERRUPT_TIME
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill()

    def kill(self) -> None:
        """End the whole cage."""
        self.watch()
        sandbox.kill(self.process)
        self.lifeline.close()

    def watch(self) -> None:
        """Get hold of the cage's first process: it dies last."""
        if not self.first:
            self.first.extend(sandbox.first(self.process))

    def end(self) -> None:
        """Leave nothing of it; a unit runs on also when systemd-run was killed, or lost the bus."""
        if self.process.poll() != 0:
            self._end_unit()
        self.kill()
        self.process.wait()
        for descriptor in self.first:
            _await_death(descriptor)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()

    def _end_unit(self) -> None:
        """A unit outlives the program that started it; its stop is a SIGINT, and a SIGKILL for what is left."""
        if self.unit_end:
            with (
                contextlib.suppress(OSError),  # no process can be started now
                process.Popen(list(self.unit_end), stdout=process.DEVNULL, stderr=process.DEVNULL) as ending,
            ):
                try:
                    ending.wait(UNIT_TIME)
                except process.TimeoutExpired:  # systemd goes on with it
                    ending.kill()


def _await_death(descriptor: int) -> None:
    """Of that process, and close it; one that the kernel holds is not waited for any longer."""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            selector.select(EMPTY_TIME)
    finally:
        os.close(descriptor)


def argv(config: HarnessConfig, words: Sequence[str], lifeline: int) -> list[str]:
    """The whole command: the cage, the environment, the relay to the model, Claude Code.

    `lifeline` is a descriptor that reaches into a bubblewrap: when the pipe's other end is closed, by us or by our
    death, everything in there ends. Its own --die-with-parent has no effect while the sandbox is being made.
    """
    variables = {**environment(config.settings), "PORT": str(MODEL_PORT), "LIFELINE": str(lifeline)}
    return [
        *(config.turn or config.cage),
        *_set(variables),
        *("sh", "-c", _script(), "hive-turn"),
        *words,
    ]


def in_cage(config: HarnessConfig, variables: dict[str, str]) -> list[str]:
    """The argv prefix that runs a command in the agent's cage with these variables."""
    return [*config.cage, *_set(variables)]


def _set(variables: dict[str, str]) -> list[str]:
    return ["env", *(f"{name}={value}" for name, value in variables.items())]


def _script() -> str:
    return resources.files("hyperhive").joinpath("harness/turn.sh").read_text()


def _pump(child: _Child, pipes: _Pipes, deadline: float, meter: Meter) -> Verdict | None:
    """Read both outputs to their end. Returns a verdict if the turn had to be ended from here."""
    ended: Verdict | None = None
    next_tick = 0.0
    results = 0
    running = child.process
    with selectors.DefaultSelector() as selector:
        assert running.stdout and running.stderr
        selector.register(running.stdout, selectors.EVENT_READ)
        selector.register(running.stderr, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(SHOW if pipes.coming else TICK)
            for key, _ in ready:
                _read(selector, key, pipes, running)
            pipes.show()
            if pipes.events.results > results:  # it is about to end
                results = pipes.events.results
                meter.look()
            if not ready and running.poll() is not None:  # something outlived it, silent, and holds the pipes
                if child.lifeline.closed:
                    break
                child.lifeline.close()
            if ended is None and pipes.events.lacks_hive:
                ended = NO_HIVE
            elif ended is not None or time.monotonic() < next_tick:
                continue
            else:
                next_tick = time.monotonic() + TICK
                meter.look()
                child.watch()
                ended = _must_end(pipes.hooks, deadline, meter)
            if ended is TOO_MUCH_MEMORY:  # that has no time for a farewell
                child.kill()
            elif ended is not None:
                child.interrupt()
    pipes.take_stdout(b"\n")
    return ended


def _read(
    selector: selectors.BaseSelector, key: selectors.SelectorKey, pipes: _Pipes, child: process.Popen[bytes]
) -> None:
    data = os.read(key.fd, 65536)
    if not data:
        selector.unregister(key.fileobj)
    elif key.fileobj is child.stdout:
        pipes.take_stdout(data)
    else:
        pipes.stderr = (pipes.stderr + data)[-MAX_STDERR:]


def _must_end(hooks: TurnHooks, deadline: float, meter: Meter) -> Verdict | None:
    if meter.is_over:
        return TOO_MUCH_MEMORY
    if hooks.tick():
        return Verdict(Outcome.INTERRUPTED, "the harness was told to stop")
    if time.monotonic() > deadline:
        return Verdict(Outcome.TIMEOUT, "the turn took longer than session.turnTimeout")
    return None


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def claude_processes(root: int) -> list[int]:
    """The pids of `claude` processes (also `.claude-wrapped`) below the process `root`."""
    return [pid for pid, name in descendants(root).items() if "claude" in name]
