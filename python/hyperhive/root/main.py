"""The entry point of `hive-root`. Its argument is a unit's instance name, which the core chose."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from hyperhive import __version__
from hyperhive.cli.guard import guarded
from hyperhive.errors import BadInput, Unavailable
from hyperhive.root.config import RootConfig
from hyperhive.root.places import Places
from hyperhive.settings import check_name

_GENERATION = re.compile(r"([^:]*):([1-9][0-9]{0,8})\Z")
_VERBS = {
    "prepare": "make what NAME's container needs: ids, directories, definition",
    "activate": "NAME:N: let NAME's container run its generation N",
    "stop": "stop NAME's container",
    "purge": "remove everything of the destroyed agent NAME",
}


def main(arguments: list[str] | None = None, places: Places | None = None) -> int:
    """Do one verb and return the exit code; an error is one line."""
    words = sys.argv[1:] if arguments is None else arguments
    return guarded(lambda: _execute(words, places or Places()))


def _execute(words: list[str], places: Places) -> None:
    options = _parser().parse_args(words)
    name, number = instance(options.verb, options.instance)
    if os.geteuid() != 0:
        raise Unavailable("hive-root needs to be root; its units are hive-prepare@, -activate@, -stop@ and -purge@")
    os.umask(0o022)
    _do(places, RootConfig.load(options.config or places.config), options.verb, name, number)


def _do(places: Places, config: RootConfig, verb: str, name: str, number: int) -> None:
    from hyperhive.root import activate, prepare, purge, stop  # noqa: PLC0415  (--help needs none of them)

    match verb:
        case "prepare":
            prepare.prepare(places, config, name)
        case "activate":
            activate.activate(places, config, name, number)
        case "stop":
            stop.stop(places, config, name)
        case "purge":
            purge.purge(places, config, name)


def instance(verb: str, given: str) -> tuple[str, int]:
    """The agent's name and generation (0 where the verb takes none) that an instance name means. Raises BadInput."""
    if verb != "activate":
        return check_name(given), 0
    parts = _GENERATION.match(given)
    if parts is None:
        raise BadInput(f"{given[:60]!r} is not NAME:N, an agent and the number of a generation")
    return check_name(parts[1]), int(parts[2])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hive-root",
        description="What needs root in a hive on NixOS. Run by systemd when the core starts a unit hive-*@.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: /etc/hyperhive/root.json")
    parser.add_argument("--version", action="version", version=f"hive-root {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, said in _VERBS.items():
        added = verbs.add_parser(verb, help=said, description=said, allow_abbrev=False)
        added.add_argument("instance", metavar="NAME:N" if verb == "activate" else "NAME")
    return parser
