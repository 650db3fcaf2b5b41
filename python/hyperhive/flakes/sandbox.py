"""A bubblewrap sandbox for programs that read what an agent wrote: no network, only bound files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hyperhive.errors import Unavailable
from hyperhive.process import Result, find

HINT = "install it (Debian: apt install {package}; NixOS: nixpkgs#{package})"
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_NAMESPACES = ("ipc", "pid", "net", "uts", "cgroup-try")


@dataclass(frozen=True)
class Limits:
    """What one process in the sandbox may use: address space and scratch space in bytes, CPU in seconds."""

    memory: int
    cpu: int
    scratch: int = 64 * 1024 * 1024

    def prefix(self) -> list[str]:
        """The beginning of an argv that holds a program to the limits of memory and CPU."""
        prlimit = find("prlimit", HINT.format(package="util-linux"))
        return [prlimit, f"--as={self.memory}", f"--cpu={self.cpu}:{self.cpu + 1}", "--core=0"]


@dataclass(frozen=True)
class Sandbox:
    """One kind of sandbox. `binds` maps a path inside to the host's path, read-only; `system` holds its /usr.

    `hidden` directories inside are covered by empty ones.

    `owner` is (uid, gid) when a root core must run the program as somebody else: then root makes the mounts,
    since the owner may not be able to reach them, and the program starts without any privilege.
    """

    limits: Limits
    binds: Mapping[str, Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    system: Path = Path("/")
    owner: tuple[int, int] | None = None

    def command(self, program: str, *arguments: str) -> list[str]:
        """The whole argv; `program` is an absolute path inside. Raises Unavailable if one is missing."""
        limits = self.limits
        argv = limits.prefix()
        argv += [find("bwrap", HINT.format(package="bubblewrap")), "--die-with-parent"]
        argv += [f"--unshare-{namespace}" for namespace in _NAMESPACES]
        if self.owner is None:
            argv += ["--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000"]
        argv += _system_binds(self.system)
        argv += ["--proc", "/proc", "--dev", "/dev", "--size", str(limits.scratch), "--tmpfs", "/tmp"]  # noqa: S108
        for inside, outside in self.binds.items():
            argv += ["--ro-bind", str(outside), inside]
        for inside in self.hidden:
            argv += ["--size", "4096", "--tmpfs", inside]
        argv += ["--remount-ro", "/", "--chdir", "/tmp", "--clearenv"]  # noqa: S108
        for name, value in self.environment.items():
            argv += ["--setenv", name, value]
        return [*argv, "--", *self._as_owner(), program, *arguments]

    def _as_owner(self) -> list[str]:
        if self.owner is None:
            return []
        setpriv = program_path("setpriv", "util-linux")
        uid, gid = self.owner
        argv = [setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
        return [*argv, "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]


def program_path(program: str, package: str) -> str:
    """Where `program` really is, so that the path means the same inside. Raises Unavailable."""
    return os.path.realpath(find(program, HINT.format(package=package)))


def check_started(result: Result) -> None:
    """Raise Unavailable if the sandbox itself could not be made (its program never ran)."""
    if result.returncode == 0 or not result.error.startswith(("bwrap:", "prlimit:")):
        return
    reason = result.error.splitlines()[0]
    advice = "allow unprivileged user namespaces on this host"
    if "execvp" in reason:
        advice = "the program must be in /usr or in /nix/store"
    raise Unavailable(f"cannot make a sandbox ({reason}); {advice}")


def _system_binds(root: Path) -> list[str]:
    """The programs and libraries of the host: /usr and its links on most, /nix/store on NixOS."""
    argv = ["--ro-bind-try", str(root / "usr"), "/usr"]
    for name in _SYSTEM:
        path = root / name
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), f"/{name}"]
        elif path.is_dir():
            argv += ["--ro-bind", str(path), f"/{name}"]
    return [*argv, "--ro-bind-try", str(root / "nix/store"), "/nix/store"]
