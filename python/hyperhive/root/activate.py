"""`hive-root activate NAME:N`: run generation N, if it is one that somebody may have agreed to and that is built."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from hyperhive.errors import Conflict, Forbidden, NotFound
from hyperhive.root import indexes
from hyperhive.root.config import RootConfig
from hyperhive.root.directories import Directory, explained, opened
from hyperhive.root.journal import say
from hyperhive.root.places import Places
from hyperhive.root.programs import is_valid, restart_container, set_profile
from hyperhive.root.record import record

_NAME = re.compile(r"[0-9a-df-np-sv-z]{32}-[A-Za-z0-9+._?=-]+\Z")
_PROFILE = "system"


def activate(places: Places, config: RootConfig, name: str, number: int) -> None:
    """Point the container's profile to that generation's system and start the container anew.

    Raises NotFound, Forbidden, Conflict or Unavailable: one line that names what is missing.
    """
    core = config.core()
    with record(config.state_dir, core.uid) as hive:
        by_policy = config.auto_approve or _is_running(places, config, name, number)
        hive.check_may_run(name, number, auto_approve=by_policy)
    if name not in indexes.known(places.own):
        raise NotFound(f"{name} was never prepared; hive-prepare@{name}.service does that")
    system = _built(places, config, name, number, core.uid)
    say(f"generation {number} of {name} is {system}")
    with opened(places.profiles) as profiles, profiles.child(name) as profile:
        _check_profile(profile)
        set_profile(profile.path / _PROFILE, system)
    restart_container(name)


def _is_running(places: Places, config: RootConfig, name: str, number: int) -> bool:
    """Whether the profile is at that generation's system already: autoApprove allowed it when it was applied."""
    profile, built = places.profiles / name / _PROFILE, config.state_dir / "systems" / name / str(number)
    return profile.is_symlink() and built.is_symlink() and profile.resolve() == built.resolve()


def _built(places: Places, config: RootConfig, name: str, number: int, core: int) -> Path:
    """The store path of the built system, from the link that the core's build left."""
    with opened(config.state_dir) as top, top.child("systems") as systems, systems.child(name) as links:
        status = links.status(str(number))
        link = links.path / str(number)
        if status is None:
            raise NotFound(f"generation {number} of {name} is not built: there is no {link}")
        if not stat.S_ISLNK(status.st_mode):
            raise Forbidden(f"{link} is not a symbolic link to a built system")
        if status.st_uid != core:
            raise Forbidden(f"{link} belongs to uid {status.st_uid}, not to {config.user}, who builds")
        with explained(link):
            system = Path(os.readlink(str(number), dir_fd=links.fd))
    _check_system(places, link, system)
    return system


def _check_system(places: Places, link: Path, system: Path) -> None:
    if system.parent != places.store or not _NAME.match(system.name):
        raise Forbidden(f"{link} points to {str(system)[:200]!r}, which is no path of {places.store}")
    if system.is_symlink() or not system.is_dir():
        raise NotFound(f"{system}, to which {link} points, is not there, or not a directory")
    if not is_valid(system):
        raise Forbidden(f"{system}, to which {link} points, is not a valid store path")
    init = system / "init"
    if not init.is_file() or not init.stat().st_mode & 0o111:
        raise Forbidden(f"{system} is not a NixOS system: it has no executable init")


def _check_profile(directory: Directory) -> None:
    """Nix follows what it finds there, so it must be as prepare and Nix left it."""
    if os.fstat(directory.fd).st_uid != os.geteuid():
        raise Conflict(f"{directory.path} is not root's; hive-prepare@{directory.path.name}.service repairs it")
    status = directory.status(_PROFILE)
    if status is not None and not stat.S_ISLNK(status.st_mode):
        raise Conflict(f"{directory.path / _PROFILE} is not a profile's link; see who put it there and remove it")
