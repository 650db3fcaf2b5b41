"""A terminal: a shell on a PTY in the agent's kind of cage, for the operator. Its frames: hyperhive.terminals."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import selectors
import socket
import struct
import termios
from dataclasses import dataclass, field

from hyperhive import process
from hyperhive.harness import sandbox
from hyperhive.harness.claude import environment
from hyperhive.harness.config import HarnessConfig

CHUNK = 64 * 1024
MAX_WAITING = 4 * 1024 * 1024
"""Bytes of input that a program which does not read may leave waiting; what is typed beyond them is lost."""
END_TIME = 5.0
_SHELL = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "HISTFILE": "/dev/null", "INPUTRC": "/dev/null"}
"""No file of the agent's says how the operator's shell behaves (and --norc)."""
_KEPT = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")


@dataclass
class _Terminal:
    """The PTY's master, the core's connection, and what waits for either."""

    master: int
    core: socket.socket
    to_core: bytearray = field(default_factory=bytearray)
    to_shell: bytearray = field(default_factory=bytearray)
    frames: bytearray = field(default_factory=bytearray)

    def pump(self) -> bool:
        """Carry bytes until one side ends; True if it was the shell."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.master, selectors.EVENT_READ)
            selector.register(self.core, selectors.EVENT_READ)
            while True:
                writing = selectors.EVENT_WRITE if self.to_shell else 0
                reading = (
                    selectors.EVENT_READ if not self.to_core else 0
                )  # the shell waits while the core does not read
                _watch(selector, self.master, reading | writing)
                _watch(selector, self.core, selectors.EVENT_READ | (selectors.EVENT_WRITE if self.to_core else 0))
                for key, events in selector.select():
                    step = self._shell if key.fileobj == self.master else self._core
                    if not step(events):
                        return key.fileobj == self.master

    def _shell(self, events: int) -> bool:
        """False when no program has the terminal any more."""
        try:
            if events & selectors.EVENT_WRITE:
                del self.to_shell[: os.write(self.master, self.to_shell[:CHUNK])]
            if events & selectors.EVENT_READ:
                data = os.read(self.master, CHUNK)
                self.to_core += _frame(b"d", data)
                return bool(data)
        except BlockingIOError:
            pass
        except OSError:  # EIO: the last program closed it
            return False
        return True

    def _core(self, events: int) -> bool:
        """False when the core has ended the connection."""
        try:
            if events & selectors.EVENT_WRITE:
                del self.to_core[: self.core.send(self.to_core)]
            if events & selectors.EVENT_READ:
                data = self.core.recv(CHUNK)
                self.frames += data
                self._take_frames()
                return bool(data)
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def _take_frames(self) -> None:
        while len(self.frames) >= 5:
            size = struct.unpack(">I", self.frames[1:5])[0]
            if len(self.frames) < 5 + size:
                return
            kind, data = bytes(self.frames[:1]), bytes(self.frames[5 : 5 + size])
            del self.frames[: 5 + size]
            if kind == b"d":
                self.to_shell += data[: MAX_WAITING - len(self.to_shell)]
            elif kind == b"r":
                _resize(self.master, *struct.unpack(">HH", data))


def run_terminal(config: HarnessConfig, core: socket.socket, columns: int, rows: int) -> None:
    """Open the terminal, serve it on the connection `core` to its end, and leave no process of it."""
    master, slave = pty.openpty()
    _resize(master, columns, rows)
    try:
        # setsid gives the shell this terminal as its own. The sandbox dies with the thread that started it: this one.
        argv = ["setsid", "--ctty", *config.terminal, "env", *_variables(config), "bash", "--norc", "-i"]
        child = process.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=_environment())
    except OSError as error:
        core.sendall(_frame(b"d", f"the terminal does not start: {error}\r\n".encode()))
        os.close(master)
        return
    finally:
        os.close(slave)
    os.set_blocking(master, False)
    core.setblocking(False)
    terminal = _Terminal(master, core)
    try:
        if terminal.pump():
            _say_goodbye(terminal, child)
    finally:
        os.close(master)
        _end(config, child)


def _say_goodbye(terminal: _Terminal, child: process.Popen[bytes]) -> None:
    """The shell ended: send the rest, and how."""
    with contextlib.suppress(process.TimeoutExpired):
        child.wait(END_TIME)
    terminal.core.settimeout(END_TIME)
    terminal.core.sendall(terminal.to_core + _frame(b"x", str(child.returncode).encode()))


def _end(config: HarnessConfig, child: process.Popen[bytes]) -> None:
    sandbox.kill(child)
    child.wait()
    if config.terminal_end:  # a unit outlives the program that started it
        with process.Popen(list(config.terminal_end), stdout=process.DEVNULL, stderr=process.DEVNULL) as ending:
            ending.wait(30)


def _variables(config: HarnessConfig) -> list[str]:
    """What the shell gets besides the cage's environment: no key is in there, and none of Claude Code's settings."""
    git = {name: value for name, value in environment(config.settings).items() if name in _KEPT}
    prompt = f"{config.settings.name}:\\w\\$ "
    return [f"{name}={value}" for name, value in {**_SHELL, "PS1": prompt, **git}.items()]


def _environment() -> dict[str, str]:
    """What starts the cage gets; systemd-run is to leave the terminal's title and colours alone."""
    plain = {"SYSTEMD_ADJUST_TERMINAL_TITLE": "0", "SYSTEMD_TINT_BACKGROUND": "0"}
    return {"PATH": os.environ.get("PATH", os.defpath), "TERM": "xterm-256color", **plain}


def _frame(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack(">I", len(data)) + data


def _resize(master: int, columns: int, rows: int) -> None:
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _watch(selector: selectors.BaseSelector, file: int | socket.socket, events: int) -> None:
    """Watch for these events; none at all: not for now."""
    known = file in selector.get_map()
    if events and known:
        selector.modify(file, events)
    elif events:
        selector.register(file, events)
    elif known:
        selector.unregister(file)
