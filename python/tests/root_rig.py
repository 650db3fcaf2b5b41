"""A host for hive-root in a temporary directory: places, root.json, a database, a systemctl that keeps count."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from settings_samples import sample

from hyperhive.root.config import RootConfig
from hyperhive.root.main import main
from hyperhive.root.places import Places
from hyperhive.settings import Role
from hyperhive.store import agents, audit, generations, proposals
from hyperhive.store.database import migrate

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files are changed: run as root")
needs_nix = pytest.mark.skipif(shutil.which("nix-store") is None, reason="nix is not installed")
needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0
    or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0,
    reason="mounts are made: run as root where unshare --mount works",
)

CORE = pwd.getpwnam("daemon") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
BASE = 1879048192
COMMIT = "c" * 40

_SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> {log}
[ "$1" = is-active ] && { cat {state}; exit 3; }
[ "$1" = "$(cat {broken})" ] && { echo "Job for $2 failed." >&2; exit 1; }
exit 0
"""


def uid(index: int) -> int:
    """The host's id of that agent's own user."""
    return BASE + 65536 * index + 1000


class Host:
    """`root` is where everything is; `declared` are root.json's agents."""

    def __init__(self, root: Path, declared: dict[str, int]) -> None:
        self.root = root
        self.state = root / "var/lib/hyperhive"
        self.runtime = root / "run/hyperhive"
        self.places = Places(
            config=root / "root.json",
            own=root / "var/lib/hyperhive-root",
            machines=root / "var/lib/nixos-containers",
            definitions=root / "etc/nixos-containers",
            units=root / "run/systemd/system",
            profiles=root / "nix/var/nix/profiles/per-container",
            gcroots=root / "nix/var/nix/gcroots/per-container",
            store=root / "nix/store",
        )
        for path in (self.state, self.places.definitions, self.places.units, self.places.machines, self.places.gcroots):
            path.mkdir(parents=True)
        self.places.profiles.parent.mkdir(parents=True)
        self.declare(declared)
        self.calls = root / "systemctl.log"
        self.active = root / "systemctl.state"
        self.broken = root / "systemctl.broken"
        self.calls.touch()
        self.active.write_text("inactive\n")
        self.broken.write_text("none\n")
        self.database = self._database()
        self.core_owns(self.state)

    def configure(self, **changes: object) -> None:
        """Change root.json."""
        value = json.loads(self.places.config.read_text())
        self.places.config.write_text(json.dumps({**value, **changes}))

    def declare(self, declared: dict[str, int], **containers: Any) -> None:
        """Write root.json."""
        value = {
            "stateDir": str(self.state),
            "runtimeDir": str(self.runtime),
            "user": CORE.pw_name,
            "agents": {name: {"index": index} for name, index in declared.items()},
            "containers": {
                "flags": ["--private-users-ownership=chown", "--no-new-privileges=yes"],
                "unit": {"MemoryMax": "2G", "DeviceAllow": "/dev/net/tun rwm"},
                **containers,
            },
        }
        self.places.config.write_text(json.dumps(value))

    @property
    def config(self) -> RootConfig:
        """root.json as it is now."""
        return RootConfig.load(self.places.config)

    def _database(self) -> sqlite3.Connection:
        """Open for the whole test, as the core has it."""
        connection = sqlite3.connect(self.state / "hive.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, 0)
        return connection

    def core_owns(self, path: Path) -> None:
        """Give a whole tree to the core."""
        if os.geteuid() == 0:
            for found in (path, *path.rglob("*")):
                os.chown(found, CORE.pw_uid, CORE.pw_gid, follow_symlinks=False)

    def agent(self, name: str, role: Role = Role.AGENT, config: bool = True) -> Path:
        """An agent as the core makes it, with a config repository; returns that."""
        agents.create(self.database, name, role)
        repository = self.state / "configs" / name / "config"
        if config:
            repository.mkdir(parents=True)
            (repository / "agent.nix").write_text("{ }\n")
            (repository / ".git").mkdir()
            self.core_owns(self.state / "configs")
        return repository

    def generation(self, name: str, number: int, proposal: int | None = None, actor: str | None = None) -> None:
        """A generation, and with `actor` the audit entry of its build."""
        generations.insert(
            self.database, agent=name, number=number, commit=COMMIT, tree="t" * 40, settings=sample(name=name),
            proposal=proposal, reason="a test",
        )  # fmt: skip
        if actor is not None:
            self.audit(actor, "generation.built", name, generation=number, commit=COMMIT)

    def proposal(self, name: str, **changes: object) -> int:
        """A proposal, by default approved by an operator."""
        number = proposals.insert(self.database, agent=name, commit=COMMIT, reason="a test", requester="manager")
        approved = {"state": "activating", "decided_by": "operator:ann", "generation": 1, "commit": COMMIT}
        proposals.update(self.database, number, **{**approved, **changes})
        return number

    def audit(self, actor: str, action: str, name: str, **detail: object) -> None:
        """An entry of the audit log about an agent."""
        audit.append(self.database, actor, action, f"agent/{name}", **detail)

    def destroy(self, name: str, *, actor: str = "operator:ann", purge: object = True) -> None:
        """What the core's database says after `hyperhive agent destroy --purge`."""
        agents.delete(self.database, name)
        generations.forget(self.database, name)
        self.audit(actor, "agent.destroyed", name, purge=purge)

    def built(self, name: str, number: int, *, init: int | None = 0o755) -> Path:
        """A built system in the store and the core's link to it; `init` is its mode (None: there is none)."""
        system = self.root / f"system-{name}-{number}-{init}"
        system.mkdir()
        (system / "number").write_text(str(number))
        if init is not None:
            (system / "init").write_text("#!/bin/sh\n")
            (system / "init").chmod(init)
        added = subprocess.run(["nix-store", "--add", str(system)], capture_output=True, text=True, check=True)
        path = Path(added.stdout.strip())
        self.link(name, number, str(path))
        return path

    def link(self, name: str, number: int, target: str) -> Path:
        """The core's link to a built system."""
        link = self.state / "systems" / name / str(number)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        self.core_owns(self.state / "systems")
        return link

    def run(self, verb: str, instance: str) -> int:
        """Run hive-root as systemd does."""
        return main([verb, instance], self.places)

    def systemctl(self) -> list[str]:
        """What was asked of systemd so far."""
        return self.calls.read_text().splitlines()


@contextmanager
def running_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **declared: int) -> Iterator[Host]:
    """A host whose systemctl only keeps count, and whose nix has a store of its own."""
    host = Host(tmp_path / "host", declared)
    programs = tmp_path / "bin"
    programs.mkdir()
    script = _SYSTEMCTL
    for key, path in (("log", host.calls), ("state", host.active), ("broken", host.broken)):
        script = script.replace("{" + key + "}", str(path))
    (programs / "systemctl").write_text(script)
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("NIX_STORE_DIR", str(host.places.store))
    monkeypatch.setenv("NIX_STATE_DIR", str(host.root / "nix/var/nix"))
    monkeypatch.setenv("NIX_LOG_DIR", str(host.root / "nix/var/log"))
    monkeypatch.delenv("NIX_REMOTE", raising=False)
    yield host
    host.database.close()


def owner(path: Path) -> tuple[int, int]:
    """Who owns it, the link itself where it is one."""
    status = path.lstat()
    return status.st_uid, status.st_gid


def mode(path: Path) -> str:
    """Its permission bits."""
    return f"{path.lstat().st_mode & 0o7777:04o}"
