"""The definition of a run-time agent's container: what NixOS writes for declared ones, with the same flags and limits.

Two files: /etc/nixos-containers/NAME.conf, which the start script of container@ reads, and a drop-in of the unit. Only
files with the mark of an earlier run are written over or removed.
"""

from __future__ import annotations

import contextlib
import os

from hyperhive.errors import Conflict
from hyperhive.root.config import RootConfig, base, plain_path
from hyperhive.root.directories import Directory, Owner, explained, opened
from hyperhive.root.journal import say
from hyperhive.root.places import Places, unit

MARK = "# Written by hyperhive (hive-root): the agent's next start writes it again.\n"
_DROP_IN = "hyperhive.conf"


def check_not_foreign(places: Places, name: str) -> None:
    """That no container of that name is somebody else's. Raises Conflict."""
    with opened(places.definitions) as directory:
        status, text = directory.status(f"{name}.conf"), directory.read(f"{name}.conf")
        if status is not None and not (text or "").startswith(MARK):
            raise Conflict(
                f"{directory.path / name}.conf is a container that is not the hive's; name the agent otherwise, "
                f"or declare it in services.hyperhive.agents"
            )


def conf(places: Places, config: RootConfig, name: str, index: int, *, manager: bool) -> str:
    """What NAME.conf holds. Raises BadInput for a path that cannot stand in it."""
    profile = places.profiles / name
    words = [*_binds(places, config, name, manager=manager), *config.flags]
    return (
        f"{MARK}SYSTEM_PATH={plain_path(str(profile))}/system\n"
        f"PRIVATE_NETWORK=1\n"
        f"PRIVATE_USERS={base(index)}\n"
        f'EXTRA_NSPAWN_FLAGS="{" ".join(words)}"\n'
    )


def _binds(places: Places, config: RootConfig, name: str, *, manager: bool) -> list[str]:
    """As modules/containers.nix has them for declared agents."""
    profile = str(places.profiles / name)
    configs = str(config.state_dir / "configs")
    return [
        _bind("--bind", f"{config.state_dir}/agents/{name}/state", "/state"),
        _bind("--bind-ro", f"{config.runtime_dir}/agents/{name}", "/run/hive"),
        _bind("--bind-ro", profile, profile),
        _bind("--bind", configs, "/hive/agents")
        if manager
        else _bind("--bind-ro", f"{configs}/{name}/config", f"/hive/agents/{name}/config"),
    ]


def _bind(flag: str, source: str, target: str) -> str:
    return f"{flag}={plain_path(source)}:{plain_path(target)}"


def drop_in(config: RootConfig) -> str:
    """The unit's settings."""
    lines = [f"{key}={value}\n" for key, values in config.unit.items() for value in values]
    return f"{MARK}[Service]\n{''.join(lines)}"


def define(places: Places, config: RootConfig, name: str, index: int, *, manager: bool) -> bool:
    """Write both files where they differ; True if the unit changed, so that systemd must read it again."""
    root = Owner(os.geteuid(), os.getegid())
    check_not_foreign(places, name)
    with opened(places.definitions) as directory:
        _write(directory, f"{name}.conf", conf(places, config, name, index, manager=manager))
    with opened(places.units) as units, units.made(f"{unit(name)}.d", root, 0o755) as directory:
        return _write(directory, _DROP_IN, drop_in(config))


def undefine(places: Places, name: str) -> bool:
    """Remove what `define` wrote; True if the unit changed."""
    with opened(places.definitions) as directory:
        _remove(directory, f"{name}.conf")
    with opened(places.units) as units:
        if units.status(f"{unit(name)}.d") is None:
            return False
        with units.child(f"{unit(name)}.d") as directory:
            changed = _remove(directory, _DROP_IN)
        with contextlib.suppress(OSError):  # holds a drop-in of somebody else's
            os.rmdir(f"{unit(name)}.d", dir_fd=units.fd)
        return changed


def _write(directory: Directory, name: str, text: str) -> bool:
    if directory.read(name) == text:
        return False
    directory.write(name, text, 0o644)
    say(f"wrote {directory.path / name}")
    return True


def _remove(directory: Directory, name: str) -> bool:
    if not (directory.read(name) or "").startswith(MARK):
        return False
    with explained(directory.path / name):
        os.unlink(name, dir_fd=directory.fd)
    say(f"removed {directory.path / name}")
    return True
