"""Machine: what NixOS' test driver calls one, over a Debian root that systemd-nspawn boots.

Names, arguments, defaults and meaning are those of nixos/lib/test-driver, so that one testScript runs under both.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

from checks.driver import backdoor
from checks.driver.log import Log, MachineError, TestFailed, retry, seconds
from checks.driver.nspawn import Nspawn
from checks.driver.workspace import Workspace

Duration = float | timedelta
BOOT = 120.0
"""Seconds within which a machine answers its first command."""


class Machine:
    """One machine. It is made switched off; `destroy` ends it for good and removes everything of it.

    Before the start, files can be put into `workspace.root` and `workspace.plain(…)`, and directories of this side be
    added by `bind`. With `limits`, its systemd's limits of resources are enforced.
    """

    def __init__(self, name: str, image: Path, parent: Path, log: Log | None = None, *, limits: bool = False) -> None:
        self.name = name
        self.logger = log or Log()
        self.workspace = Workspace.create(image, parent, name)
        self._nspawn = Nspawn(name, self.workspace, limits=limits)
        self._allow_reboot = False
        self._connected = False

    def bind(self, source: Path, target: str, *, read_only: bool = True) -> None:
        """Let the machine see a directory of this side from its next start on."""
        self._nspawn.bind(source, target, read_only=read_only)

    # Power

    def start(self, allow_reboot: bool = False) -> None:
        """Switch it on; nothing if it is. It boots on its own, and the first command waits for it.

        Without `allow_reboot` a machine that reboots stays off, as with NixOS.
        """
        if not self._nspawn.running:
            self.log("starting")
            self._allow_reboot, self._connected = allow_reboot, False
            self._nspawn.start()

    def is_up(self) -> bool:
        """Whether it is switched on and has answered."""
        return self._nspawn.running and self._connected

    def shutdown(self) -> None:
        """Switch it off in order, and wait."""
        if self._nspawn.running:
            self._connect()
            self.log("shutting down")
            self._nspawn.power_off()
            self.wait_for_shutdown(BOOT)

    def crash(self) -> None:
        """Cut its power: every process in it is killed at once."""
        self.log("power cut")
        self._nspawn.kill()
        self._connected = False

    def reboot(self) -> None:
        """Reboot it; the next command waits for it. It must have been started with allow_reboot=True."""
        if not self._allow_reboot:
            raise MachineError(f"{self.name} would stay off: start it with start(allow_reboot=True)")
        self._connect()
        self.log("rebooting")
        self._nspawn.reboot()
        self.wait_for_shutdown(BOOT)
        self._nspawn.start()

    def wait_for_shutdown(self, timeout: Duration | None = None) -> None:
        """Wait until it is off."""
        if not self._nspawn.wait(None if timeout is None else seconds(timeout)):
            raise MachineError(f"{self.name} is still on after {timeout} s")
        self._connected = False

    def destroy(self, *, keep: bool = False) -> None:
        """Cut its power and remove everything that is there for it; with `keep` its files stay."""
        try:
            self._nspawn.kill()
        finally:
            if keep:
                self.log(f"its files stay in {self.workspace.keep()}")
            self.workspace.remove()

    def dbus_address(self) -> str:
        """The machine's system bus, for a client on this side."""
        return f"unix:path=/proc/{self._nspawn.leader()}/root/run/dbus/system_bus_socket"

    # Commands

    def execute(
        self,
        command: str,
        check_return: bool = True,
        check_output: bool = True,
        timeout: Duration | None = 900,
    ) -> tuple[int, str]:
        """Run a command under bash -euo pipefail; its exit code and standard output.

        The exit code is 124 when it ran out of time, -1 without `check_return` and -2 without `check_output`, as with
        NixOS. It has ended when its output is closed: what goes on in the background needs an output of its own.
        """
        answer = self._ask(command, timeout)
        if not check_output:
            return -2, ""
        return answer.code if check_return else -1, answer.output

    def succeed(self, *commands: str, timeout: Duration | None = None) -> str:
        """Run commands that must succeed; returns their output. Raises TestFailed, with what they said."""
        return "".join(self._must(command, True, timeout) for command in commands)

    def fail(self, *commands: str, timeout: Duration | None = None) -> str:
        """Run commands of which each must fail; returns their output. Raises TestFailed."""
        return "".join(self._must(command, False, timeout) for command in commands)

    def wait_until_succeeds(self, command: str, timeout: Duration = 900) -> str:
        """Repeat a command until it succeeds; returns its output then. Raises TestFailed at the deadline."""
        return self._repeat(command, True, timeout)

    def wait_until_fails(self, command: str, timeout: Duration = 900) -> str:
        """Repeat a command until it fails; returns its output then. Raises TestFailed at the deadline."""
        return self._repeat(command, False, timeout)

    def _must(self, command: str, succeed: bool, timeout: Duration | None) -> str:
        with self.nested(f"must {'succeed' if succeed else 'fail'}: {command}"):
            answer = self._ask(command, timeout)
        if (answer.code == 0) != succeed:
            raise TestFailed(_complaint(self.name, command, answer))
        return answer.output

    def _repeat(self, command: str, succeed: bool, timeout: Duration) -> str:
        found = backdoor.Answer(0, "", "")

        def attempt(last: bool) -> bool:
            nonlocal found
            found = self._ask(command, timeout)
            if last and (found.code == 0) != succeed:
                raise TestFailed(f"after {seconds(timeout):g} s {_complaint(self.name, command, found)}")
            return (found.code == 0) == succeed

        with self.nested(f"waiting for {'success' if succeed else 'failure'}: {command}"):
            retry(attempt, timeout)
        return found.output

    def _ask(self, command: str, timeout: Duration | None) -> backdoor.Answer:
        self._connect()
        try:
            return backdoor.ask(self.workspace.shared, command, None if timeout is None else seconds(timeout))
        except backdoor.ConnectionLost as error:
            raise MachineError(f"{self.name} went down: {error}; the command was: {command}") from error

    def _connect(self) -> None:
        """Wait until the machine answers. One that rebooted by itself is started again, if it may."""
        if self._nspawn.rebooted and self._allow_reboot:
            self._connected = False
            self._nspawn.start()
        if not self._nspawn.running:
            raise MachineError(f"{self.name} is not running; start it first\n{self._nspawn.console_tail()}")
        if not self._connected:
            with self.nested("waiting for it to boot"):
                retry(self._answers, BOOT, f"the boot of {self.name}")
            self._connected = True

    def _answers(self, last: bool) -> bool:
        if last or not self._nspawn.running:
            raise MachineError(f"{self.name} does not boot; its console:\n{self._nspawn.console_tail()}")
        try:
            return backdoor.ask(self.workspace.shared, "true", BOOT).code == 0
        except backdoor.ConnectionLost:
            return False

    # Units

    def systemctl(self, query: str, user: str | None = None) -> tuple[int, str]:
        """Run systemctl, with `user` that user's; exit code and output."""
        if user is None:
            return self.execute(f"systemctl {query}")
        command = f"XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user {query}"
        return self.execute(f"su -l {shlex.quote(user)} --shell /bin/sh -c {shlex.quote(command)}")

    def get_unit_info(self, unit: str, user: str | None = None) -> dict[str, str]:
        """What `systemctl show` says of a unit."""
        code, text = self.systemctl(f"--no-pager show {shlex.quote(unit)}", user)
        if code:
            raise TestFailed(f"{self.name}: systemctl show {unit} failed with exit code {code}")
        return dict(re.findall(r"^([^=\n]+)=(.*)$", text, re.MULTILINE))

    def get_unit_property(self, unit: str, property: str, user: str | None = None) -> str:  # noqa: A002  # NixOS' name
        """One property of a unit."""
        info = self.get_unit_info(unit, user)
        if property not in info:
            raise TestFailed(f"{self.name}: unit {unit} has no property {property}")
        return info[property]

    def require_unit_state(self, unit: str, require_state: str = "active") -> None:
        """Raise TestFailed unless a unit is in that state now."""
        state = self.get_unit_property(unit, "ActiveState")
        if state != require_state:
            raise TestFailed(f"{self.name}: unit {unit} is {state}, not {require_state}\n{self._journal(unit)}")

    def wait_for_unit(self, unit: str, user: str | None = None, timeout: Duration = 900) -> None:
        """Wait until a unit is active. Raises TestFailed at once if it failed, or is inactive and nobody starts it."""
        with self.nested(f"waiting for unit {unit}"):
            retry(lambda _: self._is_active(unit, user), timeout, f"{self.name}: unit {unit} being active")

    def _is_active(self, unit: str, user: str | None) -> bool:
        state = self.get_unit_property(unit, "ActiveState", user)
        if state == "failed":
            raise TestFailed(f"{self.name}: unit {unit} failed\n{self._journal(unit)}")
        if state == "inactive" and "No jobs" in self.systemctl("list-jobs --full 2>&1", user)[1]:
            state = self.get_unit_property(unit, "ActiveState", user)  # it may have started between the two
            if state == "inactive":
                raise TestFailed(f"{self.name}: unit {unit} is inactive and there are no jobs\n{self._journal(unit)}")
        return state == "active"

    def _journal(self, unit: str) -> str:
        return self.execute(f"journalctl --no-pager --boot --lines 30 --unit {shlex.quote(unit)} 2>&1")[1]

    def start_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        """systemctl start."""
        return self.systemctl(f"start {jobname}", user)

    def stop_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        """systemctl stop."""
        return self.systemctl(f"stop {jobname}", user)

    # Files and ports

    def wait_for_file(self, filename: str, timeout: Duration = 900) -> None:
        """Wait until a path exists."""
        self._repeat(f"test -e {filename}", True, timeout)

    def wait_for_open_port(self, port: int, addr: str = "localhost", timeout: Duration = 900) -> None:
        """Wait until something listens on a TCP port."""
        self._repeat(f"nc -z {addr} {port}", True, timeout)

    def wait_for_closed_port(self, port: int, addr: str = "localhost", timeout: Duration = 900) -> None:
        """Wait until nothing listens on a TCP port."""
        self._repeat(f"nc -z {addr} {port}", False, timeout)

    def wait_for_open_unix_socket(self, addr: str, is_datagram: bool = False, timeout: Duration = 900) -> None:
        """Wait until something listens on a Unix socket."""
        self._repeat(f"nc -z {'-uU' if is_datagram else '-U'} {addr}", True, timeout)

    def copy_from_host(self, source: str | Path, target: str | Path) -> None:
        """Copy a file or directory of this side into the machine; a file is readable there by all."""
        staged = self.workspace.shared / "staged"
        copy: Callable[..., object] = shutil.copytree if Path(source).is_dir() else shutil.copy
        copy(source, staged)
        place = shlex.quote(str(target))
        inside = f"{backdoor.SHARED}/staged"
        self.succeed(f"mkdir -p $(dirname {place})", f"cp -rT {inside} {place}", f"rm -rf {inside}")

    # What a test says

    def log(self, message: str) -> None:
        """Say something, under the machine's name."""
        self.logger.log(f"{self.name}: {message}")

    def nested(self, message: str) -> AbstractContextManager[None]:
        """Say something that the lines inside belong to."""
        return self.logger.nested(f"{self.name}: {message}")

    def sleep(self, duration: Duration) -> None:
        """Let the machine sleep."""
        self.succeed(f"sleep {seconds(duration):g}")


def _complaint(name: str, command: str, answer: backdoor.Answer) -> str:
    result = f"failed (exit code {answer.code})" if answer.code else "unexpectedly succeeded"
    return f"{name}: command `{command}` {result}\n{answer.output}{answer.errors}".rstrip()
