"""Evaluate a candidate applied flake to its settings: untrusted Nix, judged by `nix` in a sandbox only."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperhive.errors import Rejected, Unavailable
from hyperhive.flakes.explain import explain
from hyperhive.flakes.sandbox import Limits, Sandbox, check_started, program_path
from hyperhive.process import ProcessTimeout, Result, run
from hyperhive.sources import Sources, checked

MAX_OUTPUT = 1024 * 1024
_KILLED_BY_CPU_LIMIT = frozenset({128 + 9, 128 + 24})
_USERS = Path(__file__).with_name("passwd")  # nix 2.8 must find the name of its user
_FLAKE = Path("/etc/hyperhive/flake")
_TOO_LONG = "the evaluation took more than {}; look for an endless loop"

# Pure and restricted: no file but the candidate's and the host flake's, no URL, no builds, no state on disk.
# The store is in the sandbox's scratch space, so that it works with nix in /usr and in /nix/store alike.
_NIX = (
    "--extra-experimental-features", "nix-command flakes",
    "--store", "/tmp/store",  # noqa: S108
    "--offline",
    "--option", "substituters", "",
    "--option", "pure-eval", "true",
    "--option", "restrict-eval", "true",
    "--option", "allow-import-from-derivation", "false",
    "--option", "accept-flake-config", "false",
    "--option", "use-registries", "false",
    "--option", "eval-cache", "false",
    "--option", "build-users-group", "",
    "--log-format", "internal-json",
    "eval", "--no-write-lock-file", "--json",
)  # fmt: skip


@dataclass(frozen=True)
class Evaluated:
    """What a flake evaluates to: the settings as their JSON object, not validated yet, and where each comes from."""

    settings: dict[str, Any]
    sources: Sources


@dataclass(frozen=True)
class Evaluator:
    """How to evaluate: the nix program, hyperhive's own tree (`flake`), nixpkgs' `lib`, and the limits.

    `timeout` (wall clock) and `cpu` are in seconds, `memory` in bytes; `system` is the root that
    holds nix's /usr.
    """

    nix: str
    flake: Path
    lib: Path
    timeout: float = 10.0
    cpu: int = 10
    memory: int = 2 * 1024**3
    system: Path = Path("/")

    async def evaluate(self, directory: Path) -> Evaluated:
        """The settings of the applied flake in `directory`, which the caller validates, with their sources.

        Raises Rejected with one line that says why not, Unavailable if the sandbox cannot be made.
        """
        argv = self._sandbox(directory).command(self.nix, *_NIX, "path:/applied#evaluated")
        try:
            result = await run(argv, timeout=self.timeout, check=False, max_output=MAX_OUTPUT)
        except ProcessTimeout as error:
            raise Rejected(f"agent.nix: {_TOO_LONG.format(f'{self.timeout:g} s')}") from error
        return self._evaluated(result)

    def _sandbox(self, candidate: Path) -> Sandbox:
        modules = self.flake / "modules"
        return Sandbox(
            limits=Limits(memory=self.memory, cpu=self.cpu),
            binds={
                "/etc/passwd": _USERS,
                f"{_FLAKE}/flake.nix": modules / "lib/host-flake/flake.nix",
                f"{_FLAKE}/modules": modules,
                f"{_FLAKE}/nixpkgs-lib": self.lib,
                "/applied": candidate.resolve(),
            },
            # nix copies the host's flake into its store each time, and more than half of nixpkgs' lib are its tests
            hidden=(f"{_FLAKE}/nixpkgs-lib/tests",) if (self.lib / "tests").is_dir() else (),
            environment={"HOME": "/tmp", "NIX_CONF_DIR": "/nowhere", "GC_MARKERS": "1"},  # noqa: S108
            system=self.system,
        )

    def _evaluated(self, result: Result) -> Evaluated:
        check_started(result)
        if _was_cut(result):
            raise Rejected(f"agent.nix: the evaluation printed more than {MAX_OUTPUT >> 10} KiB; print less")
        if result.returncode in _KILLED_BY_CPU_LIMIT:
            raise Rejected(f"agent.nix: {_TOO_LONG.format(f'{self.cpu} s of CPU')}")
        if result.returncode != 0:
            raise Rejected(explain(result.stderr, self.memory))
        try:
            evaluated = json.loads(result.stdout)
            settings, sources = evaluated["settings"], evaluated["sources"]
        except (ValueError, RecursionError, TypeError, LookupError) as error:
            raise Rejected("agent.nix: the settings are not JSON") from error
        if not isinstance(settings, dict):
            raise Rejected("agent.nix: the settings are not an attribute set")
        return Evaluated(settings, checked(sources))


def _was_cut(result: Result) -> bool:
    """`run` kills what prints too much and keeps the chunks (of at most 64 KiB) that still fitted."""
    return result.returncode < 0 and max(len(result.stdout), len(result.stderr)) > MAX_OUTPUT - 2 * 65536


def default_evaluator(checkout: Path | None = None) -> Evaluator:
    """An Evaluator from this host's nix, hyperhive's modules and nixpkgs' lib.

    `checkout` is hyperhive's own tree (default: $HYPERHIVE_FLAKE, else the tree that this package is in).
    Raises Unavailable naming what is missing and what to do.
    """
    nix = program_path("nix", "nix-bin" if Path("/etc/debian_version").exists() else "nix")
    for program, package in (("bwrap", "bubblewrap"), ("prlimit", "util-linux")):
        program_path(program, package)
    flake = _own_tree(checkout)
    return Evaluator(nix=nix, flake=flake, lib=_nixpkgs_lib(flake))


def _own_tree(checkout: Path | None) -> Path:
    named = os.environ.get("HYPERHIVE_FLAKE")
    tree = checkout or (Path(named) if named else Path(__file__).resolve().parents[3])
    if not (tree / "modules/lib/host-flake/flake.nix").is_file():
        raise Unavailable(f"{tree} does not hold hyperhive's modules; let HYPERHIVE_FLAKE name a tree that does")
    return tree


def _nixpkgs_lib(tree: Path) -> Path:
    """$HYPERHIVE_NIXPKGS_LIB, else lib of NIX_PATH's nixpkgs, else the stand-in of a source checkout."""
    named = os.environ.get("HYPERHIVE_NIXPKGS_LIB")
    if named:
        if not Path(named, "default.nix").is_file():
            raise Unavailable(f"HYPERHIVE_NIXPKGS_LIB={named} has no default.nix; it must be nixpkgs' lib")
        return Path(named).resolve()
    entries = (entry.split("=", 1) for entry in os.environ.get("NIX_PATH", "").split(":") if "=" in entry)
    places = [Path(path, "lib") for name, path in entries if name == "nixpkgs"]
    for place in [*places, tree / "checks/stand-in/lib"]:
        if (place / "default.nix").is_file():
            return place.resolve()
    raise Unavailable("nixpkgs' lib is not here; set HYPERHIVE_NIXPKGS_LIB to its directory (nixpkgs/lib)")
