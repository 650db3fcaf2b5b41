"""The local cage, looked at from inside with the real bubblewrap."""

from __future__ import annotations

import json
import resource
import shutil
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from settings_samples import sample

from hyperhive.containers import Applied
from hyperhive.containers.cage import CagePaths, bubblewrap, managed_settings, write_etc
from hyperhive.settings import Role

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


class Cage:
    """One agent's cage in a temporary directory; `sh` runs a command in it."""

    def __init__(self, root: Path, *, role: Role = Role.AGENT, configs: tuple[str, ...] = ("worker",)) -> None:
        self.state = root / "agents" / "worker" / "state"
        (self.state / "work").mkdir(parents=True)
        runtime = root / "run" / "agents" / "worker"
        runtime.mkdir(parents=True)
        self.sockets = [_listen(runtime / name) for name in ("mcp.sock", "model.sock", "policy.sock", "harness.sock")]
        repos = {name: root / "agents" / name / "config" for name in configs}
        for repo in repos.values():
            repo.mkdir(parents=True, exist_ok=True)
            (repo / "agent.nix").write_text("{ }\n")
        settings = sample(name="worker", role=role)
        write_etc(runtime / "etc", settings)
        paths = CagePaths(state=self.state, runtime=runtime, claude=Path("/usr/bin/env"))
        bwrap = shutil.which("bwrap")
        assert bwrap
        self.argv = bubblewrap(bwrap, Applied("worker", 1, settings, repos), paths)

    def close(self) -> None:
        """Close the sockets."""
        for server in self.sockets:
            server.close()

    def sh(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the cage."""
        return subprocess.run([*self.argv, "sh", "-c", script], capture_output=True, text=True, timeout=20, check=False)


def _listen(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    return server


@pytest.fixture
def cage(tmp_path: Path) -> Any:
    with closing(Cage(tmp_path)) as made:
        yield made


def test_an_agent_is_an_ordinary_user_without_capabilities(cage: Cage) -> None:
    out = cage.sh("id -u; grep CapEff /proc/self/status; pwd; hostname").stdout.split()
    assert out == ["1000", "CapEff:", "0000000000000000", "/state/work", "worker"]


def test_nothing_of_the_operator_is_visible(cage: Cage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    home = Path.home()
    result = cage.sh(f"env; ls -a / /home /root {home} 2>&1; cat /etc/shadow 2>&1; ls {cage.state} 2>&1")
    assert "sk-secret" not in result.stdout
    assert f"cannot access '{cage.state}'" in result.stdout
    assert "/etc/shadow: No such file" in result.stdout
    assert "cannot access '/home'" in result.stdout
    assert "cannot access '/root'" in result.stdout


def test_the_network_is_loopback_alone(cage: Cage) -> None:
    assert cage.sh("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '").stdout.split() == ["lo"]


def test_only_the_sockets_of_a_turn_are_there_and_the_harness_socket_is_not(cage: Cage) -> None:
    assert cage.sh("ls /run/hive").stdout.split() == ["mcp.sock", "model.sock", "policy.sock"]


def test_a_socket_in_the_cage_can_be_connected_to(cage: Cage) -> None:
    assert cage.sh("socat -u OPEN:/dev/null UNIX-CONNECT:/run/hive/mcp.sock && echo ok").stdout == "ok\n"


@pytest.mark.parametrize("path", ["/usr/x", "/etc/x", "/x", "/run/hive/x", "/hive/agents/worker/config/agent.nix"])
def test_the_system_and_the_own_config_are_read_only(cage: Cage, path: str) -> None:
    result = cage.sh(f"echo pwned > {path}")
    assert result.returncode != 0
    assert "Read-only file system" in result.stderr or "Permission denied" in result.stderr, result.stderr


def test_state_is_durable_and_tmp_is_not(cage: Cage) -> None:
    assert cage.sh("echo kept > /state/work/a; echo gone > /tmp/b").returncode == 0
    assert cage.sh("cat /state/work/a; ls /tmp").stdout == "kept\n"


def test_a_manager_writes_every_config_repo(tmp_path: Path) -> None:
    with closing(Cage(tmp_path, role=Role.MANAGER, configs=("worker", "other"))) as cage:
        result = cage.sh("echo '# changed' >> /hive/agents/other/config/agent.nix && ls /hive/agents")
    assert result.stdout.split() == ["other", "worker"], result.stderr
    assert (tmp_path / "agents/other/config/agent.nix").read_text().endswith("# changed\n")


def test_no_new_namespace_can_be_made_inside(cage: Cage) -> None:
    result = cage.sh("unshare -Ur true")
    assert result.returncode != 0


def test_processes_of_the_cage_see_only_each_other(cage: Cage) -> None:
    pids = cage.sh("ls /proc | grep -c '^[0-9]'").stdout
    assert int(pids) <= 6, pids


def test_managed_settings_carry_every_denial() -> None:
    settings = sample(
        bash={"allow": ["git *"], "deny": ["git push *"]}, tools={"allow": ["Read"], "deny": ["WebFetch"]}
    )
    managed = json.loads(json.dumps(managed_settings(settings)))
    assert managed["permissions"]["deny"] == ["WebFetch", "Bash(git push *)"]
    assert managed["permissions"]["disableBypassPermissionsMode"] == "disable"


def test_the_git_identity_in_the_cage_is_the_agents(tmp_path: Path) -> None:
    settings = sample(git={"name": 'Wor"ker \\', "email": "w@hive.local"})
    write_etc(tmp_path, settings)
    shown = subprocess.run(
        ["git", "config", "--file", str(tmp_path / "gitconfig"), "user.name"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == 'Wor"ker \\\n'


def test_the_time_zone_has_a_name_in_the_cage(cage: Cage) -> None:
    shown = cage.sh("readlink /etc/localtime").stdout  # a copy would be nameless, and searched for in each turn
    assert "/zoneinfo/" in shown
    write_etc(cage.state.parent, sample())
    write_etc(cage.state.parent, sample())  # again for a new generation
    assert (cage.state.parent / "localtime").is_symlink()


def test_a_full_disk_leaves_the_cages_files_as_they_were(tmp_path: Path) -> None:
    """An empty managed-settings.json would let the agent run without its rules and its hook."""
    write_etc(tmp_path, sample())
    before = (tmp_path / "claude-code/managed-settings.json").read_text()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_etc(tmp_path, sample(model="opus"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "claude-code/managed-settings.json").read_text() == before
    assert (tmp_path / "passwd").read_text()
