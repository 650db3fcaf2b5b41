"""The process that is a machine: one systemd-nspawn, from power on to power off."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from checks.driver import backdoor
from checks.driver.cgroups import CONTROLLERS, mounted
from checks.driver.workspace import PLAIN, Workspace
from hyperhive import process

_REBOOT = 133
"""systemd-nspawn's exit code when the machine asked for a reboot."""
_POWER_OFF_SIGNAL = signal.SIGRTMIN + 4
_REBOOT_SIGNAL = signal.SIGRTMIN + 5
"""What systemd does as PID 1 when it gets them: systemd(1), SIGNALS."""


_LEGACY = ("systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1")
_LEGACY_INIT = f"""\
#!/bin/sh
for controller in {" ".join(CONTROLLERS)}; do
  [ ! -d /sys/fs/cgroup/$controller ] || mount -o remount,bind,rw /sys/fs/cgroup/$controller
done
exec /usr/lib/systemd/systemd "$@"
"""


class Nspawn:
    """Runs the machine of one workspace, in the workspace's cgroup.

    With `limits` its systemd enforces MemoryMax, TasksMax and CPUQuota: where the kernel's controllers are bound to
    cgroup v1 it is given those, and is a system of cgroup v1 then. Without, it is one of cgroup v2, as NixOS is.
    """

    def __init__(self, name: str, workspace: Workspace, *, limits: bool) -> None:
        self._name = name
        self._workspace = workspace
        self._legacy = limits and bool(mounted())
        self._binds: list[str] = []
        self._process: process.Popen[bytes] | None = None

    def bind(self, source: Path, target: str, *, read_only: bool) -> None:
        """Bind a directory of this side at the next start."""
        self._binds.append(f"--bind{'-ro' if read_only else ''}={source}:{target}")

    @property
    def running(self) -> bool:
        """Whether the machine is on."""
        return self._process is not None and self._process.poll() is None

    @property
    def rebooted(self) -> bool:
        """Whether it is off because it wanted to reboot."""
        return self._process is not None and self._process.poll() == _REBOOT

    def start(self) -> None:
        """Switch it on."""
        (self._workspace.shared / "backdoor.sock").unlink(missing_ok=True)
        self._workspace.cgroup.create()
        if self._legacy:
            init = self._workspace.root / "etc/init"
            init.write_text(_LEGACY_INIT)
            init.chmod(0o755)
        with self._workspace.console.open("ab") as console:
            self._process = process.Popen(
                self._workspace.cgroup.enter(self._argv()),
                stdin=process.DEVNULL,
                stdout=console,
                stderr=console,
                env={"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0" if self._legacy else "1"},
                start_new_session=True,
            )

    def _argv(self) -> list[str]:
        """Without --capability: nspawn's own, and CAP_NET_ADMIN by --private-network, are enough for containers."""
        space = self._workspace
        machine = space.directory.name.replace("_", "x")  # a name of tempfile's may have what a machine's may not
        return [
            *("setpriv", "--pdeathsig", "TERM"),  # or it would outlive a driver that is killed
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe"),
            *(f"--directory={space.root}", f"--machine={machine}", f"--hostname={self._name}"),
            "--private-network",
            "--link-journal=no",
            f"--bind-ro={space.image}/usr:/usr",
            f"--bind={space.shared}:{backdoor.SHARED}",
            *(f"--bind={space.plain(path)}:{path}" for path in PLAIN),
            *self._binds,
            *(("/etc/init", *_LEGACY) if self._legacy else ("--boot",)),
        ]

    def leader(self) -> int:
        """The pid of the machine's PID 1 on this side. Raises RuntimeError before there is one."""
        assert self._process
        pid = self._process.pid
        with suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                status = Path(f"/proc/{child}/status").read_text()
                inner = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
                if inner[-1] == "1" and len(inner) > 2:
                    return int(child)
        raise RuntimeError(f"{self._name} has no PID 1")

    def power_off(self) -> None:
        """Have systemd power it off."""
        os.kill(self.leader(), _POWER_OFF_SIGNAL)

    def reboot(self) -> None:
        """Have systemd reboot it: `start` must be called after its end."""
        os.kill(self.leader(), _REBOOT_SIGNAL)

    def wait(self, timeout: float | None) -> bool:
        """Wait until it is off; whether it is. What it ran in is removed then."""
        if self._process:
            try:
                self._process.wait(timeout)
            except process.TimeoutExpired:
                return False
        self._clear()
        return True

    def kill(self) -> None:
        """Kill PID 1, and so all at once; nspawn itself, which cleans up, only if it does not end by that."""
        if self._process is None:
            return
        with suppress(RuntimeError, ProcessLookupError):
            os.kill(self.leader(), signal.SIGKILL)
            with suppress(process.TimeoutExpired):
                self._process.wait(10)
        self._clear()
        self._process.wait()

    def _clear(self) -> None:
        self._workspace.cgroup.kill()
        self._workspace.cgroup.remove()

    def console_tail(self) -> str:
        """The end of what the machine wrote on its console."""
        with suppress(FileNotFoundError):
            return self._workspace.console.read_text(errors="replace")[-3000:]
        return ""
