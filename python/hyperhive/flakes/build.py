"""Build an applied flake's NixOS system: the guest that an approved generation is. NixOS backend only.

The evaluation is of approved, but still foreign Nix: it runs in a sandbox that holds the flake, the host's flake and
the way to the Nix daemon, which builds in its own sandbox.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hyperhive.errors import Rejected, Unavailable
from hyperhive.flakes.build_log import BuildLog
from hyperhive.flakes.evaluate import Evaluator
from hyperhive.flakes.explain import explain
from hyperhive.flakes.sandbox import HINT, Limits, Sandbox, check_started
from hyperhive.process import ProcessTimeout, find, run

TIMEOUT = 1800.0
_LIMITS = Limits(memory=16 * 1024**3, cpu=900, scratch=512 * 1024 * 1024)
_FLAKE = Path("/etc/hyperhive/flake")
_DAEMON = "/nix/var/nix/daemon-socket"
_USERS = "nix:x:1000:1000:nix:/tmp:/bin/sh\n"
_NIX = (
    "--extra-experimental-features", "nix-command flakes",
    "--option", "allow-import-from-derivation", "false",
    "--option", "accept-flake-config", "false",
    "--option", "use-registries", "false",
    "--option", "eval-cache", "false",
    "--log-format", "internal-json",
    "build", "--impure", "--no-write-lock-file", "--no-link", "--json",
)  # fmt: skip


@dataclass(frozen=True)
class SystemBuilder:
    """How to build: with the evaluator's nix and modules, and `nixpkgs`, the directory of all of it."""

    evaluator: Evaluator
    nixpkgs: Path

    async def build(self, agent: str, flake: Path, link: Path, log: Callable[[str], None]) -> Path:
        """Build the system of the applied flake in the directory `flake`; `link` becomes a GC root of it.

        `log` takes what nix says, line by line. Returns the store path. Raises Rejected with one line that says why
        not, Unavailable without sandbox or daemon.
        """
        with tempfile.TemporaryDirectory(prefix="hyperhive-build-") as scratch:
            sandbox = self._sandbox(flake, Path(scratch))
            target = f"path:/applied#nixosConfigurations.{agent}.config.system.build.toplevel"
            argv = sandbox.command(self.evaluator.nix, *_NIX, target)
            said = BuildLog()
            try:
                result = await run(argv, timeout=TIMEOUT, check=False, on_error=lambda data: _tell(said, data, log))
            except ProcessTimeout as error:
                raise Rejected(f"{agent}: the build took more than {TIMEOUT:g} s") from error
        check_started(result)
        if result.returncode != 0:
            raise Rejected(explain(result.stderr, _LIMITS.memory))
        system = Path(json.loads(result.stdout)[0]["outputs"]["out"])
        await _keep(system, link)
        return system

    def _sandbox(self, flake: Path, scratch: Path) -> Sandbox:
        if not os.access(f"{_DAEMON}/socket", os.W_OK):
            raise Unavailable(f"the Nix daemon cannot be reached at {_DAEMON}/socket; is nix-daemon.socket started?")
        (scratch / "passwd").write_text(_USERS)
        (scratch / "nixpkgs.nix").write_text(f"{{ path = {self.nixpkgs}; system = builtins.currentSystem; }}\n")
        modules = self.evaluator.flake / "modules"
        return Sandbox(
            limits=_LIMITS,
            binds={
                "/etc/passwd": scratch / "passwd",
                f"{_FLAKE}/flake.nix": modules / "lib/host-flake/flake.nix",
                f"{_FLAKE}/modules": modules,
                f"{_FLAKE}/nixpkgs-lib": self.evaluator.lib,
                f"{_FLAKE}/nixpkgs.nix": scratch / "nixpkgs.nix",
                str(self.nixpkgs): self.nixpkgs,
                _DAEMON: Path(_DAEMON),
                "/applied": flake.resolve(),
            },
            environment={"HOME": "/tmp", "NIX_REMOTE": "daemon", "NIX_CONF_DIR": "/nowhere"},  # noqa: S108
        )


def _tell(said: BuildLog, data: bytes, log: Callable[[str], None]) -> None:
    for line in said.feed(data):
        log(line)


async def _keep(system: Path, link: Path) -> None:
    """Make `link` point to the system, and the garbage collector respect it."""
    link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    nix_store = find("nix-store", HINT.format(package="nix"))
    await run([nix_store, "--realise", str(system), "--add-root", str(link), "--indirect"], timeout=60)


def default_builder(evaluator: Evaluator) -> SystemBuilder:
    """A SystemBuilder with $HYPERHIVE_NIXPKGS, which the NixOS module sets. Raises Unavailable without it."""
    named = os.environ.get("HYPERHIVE_NIXPKGS")
    if not named or not Path(named, "nixos/lib/eval-config.nix").is_file():
        raise Unavailable("HYPERHIVE_NIXPKGS does not name a nixpkgs; the NixOS module of hyperhive sets it")
    return SystemBuilder(evaluator, Path(named))
