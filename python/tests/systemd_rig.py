"""A Debian host with a real systemd and container@NAME.service, watched over its system bus from this process.

The unit is nixpkgs' (nixos-containers.nix) with what modules/nspawn.nix adds. A container's root has no system of its
own: only /etc, and the host's /usr, bound as NixOS binds the store. Each starts in 0.4 s.
"""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

from checks.driver.images import MASKED, ROOT, image
from checks.driver.machine import Machine
from checks.driver.provision import SOURCE

from hyperhive.containers import Crash

UNIT = """[Unit]
StartLimitIntervalSec=10
StartLimitBurst=5
[Service]
Type=notify
Slice=machine.slice
Delegate=true
KillMode=mixed
Restart=on-failure
RestartForceExitStatus=133
SuccessExitStatus=133
TimeoutStartSec=1min
TimeoutStopSec=20
DevicePolicy=closed
SyslogIdentifier=container %i
ExecStartPre=-/usr/bin/machinectl terminate %i
ExecStart=/opt/start %i
ExecStopPost=-/usr/bin/busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager \
UnregisterMachine s %i
"""
START = """#!/bin/sh
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn --quiet --keep-unit -M "$1" -D "/var/lib/nixos-containers/$1" --private-users=pick \
  --private-users-ownership=chown --notify-ready=yes --kill-signal=SIGRTMIN+3 --bind-ro=/usr:/usr:idmap \
  --private-network /usr/lib/systemd/systemd
"""
CONTAINER = """R=/var/lib/nixos-containers/$1
mkdir -p $R/etc/systemd/system $R/usr $R/var/lib/nixos-containers $R/run $R/proc $R/sys $R/dev $R/tmp $R/root
for link in bin lib lib64 sbin; do ln -sfn usr/$link $R/$link; done
echo 'root:x:0:0::/root:/bin/sh' > $R/etc/passwd
echo 'root:x:0:' > $R/etc/group
touch $R/etc/machine-id $R/etc/os-release
"""
PATIENCE = 20.0
"""Seconds within which what must happen does."""


class ContainerHost:
    """The host; `destroy` ends it."""

    def __init__(self, parent: Path) -> None:
        self._said = io.StringIO()
        self.machine = Machine("host", image("trixie"), parent)
        try:
            self._fill(self.machine.workspace.root)
            with redirect_stderr(self._said):
                self.machine.bind(ROOT, SOURCE)
                self.machine.start()
            self.sh("true")
        except BaseException:
            self.destroy()
            raise

    def _fill(self, root: Path) -> None:
        units = root / "etc/systemd/system"
        for unit in MASKED:
            (units / unit).unlink(missing_ok=True)
            (units / unit).symlink_to("/dev/null")
        (units / "container@.service").write_text(UNIT)
        (root / "opt").mkdir(exist_ok=True)
        (root / "opt/start").write_text(START)
        (root / "opt/start").chmod(0o755)

    def destroy(self) -> None:
        """Switch it off and remove it."""
        with redirect_stderr(self._said):
            self.machine.destroy()

    @property
    def bus(self) -> str:
        """The address of its system bus."""
        return self.machine.dbus_address()

    def sh(self, command: str) -> str:
        """Run a command on the host; it must succeed."""
        with redirect_stderr(self._said):
            return self.machine.succeed(command).strip()

    async def run(self, command: str) -> str:
        """The same while the event loop goes on."""
        return await asyncio.to_thread(self.sh, command)

    def make(self, name: str, settings: str = "") -> None:
        """Make a container; `settings` are lines for its unit's [Service]."""
        masks = " ".join(f"$R/etc/systemd/system/{unit}" for unit in MASKED)
        self.sh(f"set -- {name}; {CONTAINER}for unit in {masks}; do ln -sfn /dev/null $unit; done")
        if settings:
            self.configure(name, settings)

    def configure(self, name: str, settings: str) -> None:
        """Set lines of one container's [Service]."""
        directory = self.machine.workspace.root / f"etc/systemd/system/container@{name}.service.d"
        directory.mkdir(exist_ok=True)
        (directory / "test.conf").write_text(f"[Service]\n{settings}\n")
        self.sh("systemctl daemon-reload")

    def nspawn(self, name: str) -> int:
        """On this side, the pid of the container's systemd-nspawn."""
        return self._here(self.sh(f"systemctl show container@{name} --property=MainPID --value"))

    def leader(self, name: str) -> int:
        """On this side, the pid of the container's PID 1."""
        return self._here(self.sh(f"machinectl show {name} --property=Leader --value"))

    def _here(self, pid: str) -> int:
        """On this side, the pid of what is `pid` on the host: it can be killed without a shell's delay."""
        for here in self.machine.workspace.cgroup.processes():
            try:
                status = Path(f"/proc/{here}/status").read_text()
            except OSError:  # it ended meanwhile
                continue
            seen = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
            if seen[1:2] == [pid]:
                return here
        raise LookupError(pid)

    def journalctl(self, directory: Path) -> str:
        """PATH with a `journalctl` in `directory` that reads the host's journal."""
        program = directory / "journalctl"
        leader = self.bus.split("/")[2]
        program.write_text(f'#!/bin/sh\nexec /usr/bin/nsenter -t {leader} -a /usr/bin/journalctl "$@"\n')
        program.chmod(0o755)
        return f"{directory}:{os.environ['PATH']}"


class Heard:
    """A crash handler that keeps what it was told, and when (monotonic seconds)."""

    def __init__(self) -> None:
        self.crashes: list[Crash] = []
        self.times: list[float] = []

    async def __call__(self, crash: Crash) -> None:
        """Take one."""
        self.times.append(time.monotonic())
        self.crashes.append(crash)

    async def number(self, number: int) -> Crash:
        """Wait for so many; the last of them."""
        await until(lambda: len(self.crashes) >= number, f"{number} crashes to be told")
        assert len(self.crashes) == number, self.crashes
        return self.crashes[-1]


async def until(holds: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"waited for {what}"
        await asyncio.sleep(0.005)
