"""A machine's place on disk: an overlay over the image for what may lie on one, plain directories for what may not.

The kernel refuses idmapped mounts of what lies on an overlay, and a machine's containers need such mounts of /usr,
/nix/store and their own directories. A workspace is locked while its process lives, so that the next one can tell
what a killed one has left behind.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from checks.driver import backdoor
from checks.driver.cgroups import Cgroup
from checks.driver.commands import run, signals_wait

PLAIN = ("/nix", "/var/lib/nixos-containers", "/var/lib/hyperhive")
"""Directories of a machine that are its own and lie on the real disk."""
_KEPT = "kept"


@dataclass(frozen=True)
class Workspace:
    """One machine's directory; it is there from `create` to `remove`."""

    image: Path
    directory: Path
    lock: int

    @classmethod
    def create(cls, image: Path, parent: Path, name: str) -> Workspace:
        """Make one for a machine of that host name in a new directory below `parent`, and mount its root."""
        with _locked(parent):
            directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
            lock = _lock(directory)
            assert lock is not None
        directory.chmod(0o755)  # it is the machine's / too
        workspace = cls(image, directory, lock)
        try:
            workspace._fill(name)
        except BaseException:
            workspace.remove()
            raise
        return workspace

    @property
    def root(self) -> Path:
        """The machine's / (without /usr and the plain directories), writable from here too."""
        return self.directory / "root"

    @property
    def shared(self) -> Path:
        """Seen in the machine as backdoor.SHARED."""
        return self.directory / "shared"

    @property
    def console(self) -> Path:
        """The log of the machine's console."""
        return self.directory / "console.log"

    @property
    def cgroup(self) -> Cgroup:
        """The cgroup of the machine in this directory."""
        return _cgroup(self.directory)

    def plain(self, path: str) -> Path:
        """Where one of the PLAIN directories lies on this side."""
        return self.directory / "plain" / path.strip("/").replace("/", "-")

    def keep(self) -> Path:
        """Let the files stay when the workspace is removed; returns where they are."""
        (self.directory / _KEPT).touch()
        return self.directory

    def remove(self) -> None:
        """Unmount and delete; the machine must be down."""
        with signals_wait():
            _delete(self.directory)
            os.close(self.lock)

    def _fill(self, name: str) -> None:
        for part in ("upper", "overlay", "root", "shared"):
            (self.directory / part).mkdir(mode=0o755)
        for path in PLAIN:
            self.plain(path).mkdir(mode=0o755, parents=True)
        options = f"lowerdir={self.image},upperdir={self.directory / 'upper'},workdir={self.directory / 'overlay'}"
        run("mount", "-t", "overlay", "overlay", "-o", options, self.root)
        etc = self.root / "etc"
        (etc / "hostname").write_text(f"{name}\n")
        (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
        unit = etc / "systemd/system/backdoor.service"
        unit.write_text(backdoor.UNIT)
        wants = unit.parent / "multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / unit.name).symlink_to(f"../{unit.name}")


def sweep(parent: Path) -> list[str]:
    """Remove what killed processes left behind below `parent`; returns the names."""
    if not parent.is_dir():
        return []
    swept = []
    with _locked(parent), signals_wait():
        for directory in parent.iterdir():
            if (directory / _KEPT).exists() or (lock := _lock(directory)) is None:
                continue
            _delete(directory)
            os.close(lock)
            swept.append(directory.name)
    return swept


def _cgroup(directory: Path) -> Cgroup:
    return Cgroup.named(f"hyperhive-{directory.name}")


def _delete(directory: Path) -> None:
    cgroup = _cgroup(directory)
    cgroup.kill()
    cgroup.remove()
    root = directory / "root"
    if root.is_mount():
        run("umount", "--lazy", root)
    if not (directory / _KEPT).exists():
        shutil.rmtree(directory)


def _lock(directory: Path) -> int | None:
    """Lock a directory; None if another process has it. The lock ends with the descriptor."""
    descriptor = os.open(directory, os.O_RDONLY)
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    os.close(descriptor)
    return None


@contextmanager
def _locked(parent: Path) -> Iterator[None]:
    """One process at a time makes or sweeps workspaces in `parent`."""
    parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
