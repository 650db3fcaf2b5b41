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
_GENERATION = re.compile(r"system-[0-9]+-link\Z")


def activate(places: Places, config: RootConfig, name: str, number: int) -> None:
    """Point the container's profile to that generation's system and start the container anew.

    Raises NotFound, Forbidden, Conflict or Unavailable: one line that names what is missing.
    """
    core = config.core()
    with record(config.state_dir, core.uid) as hive:
        by_policy = hive.check_may_run(name, number)
    if name not in indexes.known(places.own):
        raise NotFound(f"{name} was never prepared; hive-prepare@{name}.service does that")
    system = _built(places, config, name, number, core.uid)
    say(f"generation {number} of {name} is {system}")
    with opened(places.profiles) as profiles, profiles.child(name) as profile:
        _check_profile(profile)
        if by_policy and not config.auto_approve and system not in _ran(profile):
            raise Forbidden(
                f"generation {number} of {name} was approved by the policy, no operator, and"
                ' services.hyperhive.policy.autoApprove is not "narrowing"'
            )
        set_profile(profile.path / _PROFILE, system)
    restart_container(name)


def _ran(profile: Directory) -> set[Path]:
    """The systems that the profile pointed to, ever. Only root writes there: each was allowed when it was set."""
    links = [name for name in profile.names() if _GENERATION.match(name)]
    with explained(profile.path):
        return {Path(os.readlink(name, dir_fd=profile.fd)) for name in links}


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
