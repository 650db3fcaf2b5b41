"""Open directories: what is below one is reached from its descriptor, so a link planted on the way leads nowhere.

Every path here is one name in a directory that is held open. Names that agents or the core chose are never joined to
paths that the kernel would look up again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyperhive.errors import Conflict, HyperhiveError, NotFound, Unavailable
from hyperhive.root.journal import say

Takes = Callable[[int], bool]
"""Whether a directory of that user may be taken over."""

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Owner:
    """A user and a group, as numbers."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Directory:
    """An open directory. `path` is what it was called when it was opened: for messages alone."""

    fd: int
    path: Path

    @contextmanager
    def child(self, name: str) -> Iterator[Directory]:
        """The directory `name` in this one. Raises NotFound, and Conflict for anything but a directory."""
        with _open(name, self.path / name, self.fd) as found:
            yield found

    @contextmanager
    def made(self, name: str, owner: Owner, mode: int, takes: Takes | None = None) -> Iterator[Directory]:
        """The directory `name`, made if it is not there, with that owner and mode (see `settle`)."""
        with explained(self.path / name), contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=self.fd)
            say(f"made {self.path / name}")
        with self.child(name) as found:
            found.settle(owner, mode, takes)
            yield found

    def settle(self, owner: Owner, mode: int, takes: Takes | None = None) -> None:
        """Repair owner and mode. Raises Conflict for a directory of a user that is neither the wanted one, nor this
        program's (a run that was cut off), nor one that `takes` accepts: then it is not what it should be.
        """
        with explained(self.path):
            status = os.fstat(self.fd)
            if status.st_uid not in (owner.uid, os.geteuid()) and not (takes and takes(status.st_uid)):
                raise Conflict(f"{self.path} belongs to uid {status.st_uid}, not {owner.uid}; see whose it is")
            if (status.st_uid, status.st_gid) != (owner.uid, owner.gid):
                os.fchown(self.fd, owner.uid, owner.gid)
                say(f"gave {self.path} to {owner.uid}:{owner.gid}")
            if stat.S_IMODE(os.fstat(self.fd).st_mode) != mode:
                os.fchmod(self.fd, mode)
                say(f"set the mode of {self.path} to {mode:04o}")

    def status(self, name: str) -> os.stat_result | None:
        """What is called `name` in here (a link itself), None if nothing is."""
        with explained(self.path / name):
            try:
                return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def names(self) -> list[str]:
        """What is in here, in no order."""
        with explained(self.path):
            return os.listdir(self.fd)  # noqa: PTH208  (pathlib cannot list a descriptor)

    def read(self, name: str) -> str | None:
        """The text of the regular file `name`; None if there is none, or something else of that name."""
        try:
            with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.fd)) as file:
                return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
        except (OSError, UnicodeDecodeError):
            return None

    def write(self, name: str, text: str, mode: int) -> None:
        """Replace the file `name` as a whole, durably: after a power cut it is the old or the new one."""
        new = f".{name}.{secrets.token_hex(8)}"
        with explained(self.path / name):
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=self.fd)
            try:
                with os.fdopen(fd, "w") as file:
                    os.fchmod(file.fileno(), mode)
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(new, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(new, dir_fd=self.fd)
                raise
            os.fsync(self.fd)


@contextmanager
def opened(path: Path) -> Iterator[Directory]:
    """A directory whose parents are root's. Raises NotFound, and Conflict for anything but a directory."""
    with _open(str(path), path, None) as found:
        yield found


@contextmanager
def made(path: Path, owner: Owner, mode: int, takes: Takes | None = None) -> Iterator[Directory]:
    """As `Directory.made`, in a parent that is root's."""
    with opened(path.parent) as parent, parent.made(path.name, owner, mode, takes) as found:
        yield found


@contextmanager
def _open(name: str, path: Path, parent: int | None) -> Iterator[Directory]:
    try:
        fd = os.open(name, _OPEN, dir_fd=parent)
    except FileNotFoundError as error:
        raise NotFound(f"there is no {path}") from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Conflict(f"{path} is no directory; see who put it there and remove it") from error
        raise explanation(path, error) from error
    try:
        yield Directory(fd, path)
    finally:
        os.close(fd)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What the kernel refuses in the block becomes one line that names `path`."""
    try:
        yield
    except OSError as error:
        raise explanation(path, error) from error


def explanation(path: Path, error: OSError) -> HyperhiveError:
    """The line for an OSError about `path`."""
    match error.errno:
        case errno.EPERM if os.geteuid() == 0:
            return Unavailable(f"{path}: not permitted even to root; if it is immutable, run chattr -R -i on it")
        case errno.EBUSY | errno.EXDEV:
            return Conflict(f"{path} is, or holds, a mount point or another file system; unmount it and try again")
        case _:
            return Unavailable(f"{path}: {error.strerror}")
