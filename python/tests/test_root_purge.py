"""`hive-root purge` and `stop`: everything of the one agent that is meant, and nothing of anything else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from root_rig import Host, needs_mounts, needs_root, running_host, uid

from hyperhive.store import agents

pytestmark = needs_root


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A run-time agent that ran, beside one that is not to be touched."""
    with running_host(tmp_path, monkeypatch, worker=1) as made:
        for name in ("worker", "helper"):
            made.agent(name)
            assert made.run("prepare", name) == 0
            (made.state / "agents" / name / "state/notes").write_text("x")
            (made.places.machines / name / "root").mkdir(parents=True)
            (made.places.gcroots / name).mkdir()
        made.calls.write_text("")
        yield made


def _traces(host: Host, name: str) -> list[str]:
    """Every path with that name in it, but for the index."""
    return sorted(str(path.relative_to(host.root)) for path in host.root.rglob("*") if name in path.name)


def _refused(host: Host, capsys: pytest.CaptureFixture[str], reason: str, name: str = "helper") -> None:
    """One line says why, and nothing is gone."""
    before, called = _traces(host, name), host.systemctl()
    capsys.readouterr()
    assert host.run("purge", name) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert _traces(host, name) == before
    assert host.systemctl() == called


def test_everything_of_the_agent_goes_and_nothing_of_the_others(host: Host) -> None:
    others = _traces(host, "worker")
    assert len(_traces(host, "helper")) == 10
    host.destroy("helper")
    assert host.run("purge", "helper") == 0
    assert _traces(host, "helper") == []
    assert _traces(host, "worker") == others
    assert (host.state / "agents/worker/state/notes").read_text() == "x"
    assert host.systemctl() == [
        "stop container@helper.service",
        "is-active container@helper.service",
        "daemon-reload",
    ]


def test_it_is_safe_to_repeat(host: Host) -> None:
    host.destroy("helper")
    assert [host.run("purge", "helper") for _ in range(3)] == [0, 0, 0]


def test_a_half_done_purge_is_finished(host: Host) -> None:
    host.destroy("helper")
    for parent in (host.state / "agents", host.places.machines):
        (parent / "helper").rename(parent / ".purged-helper")
    assert host.run("purge", "helper") == 0
    assert _traces(host, "helper") == []


def test_the_index_is_never_given_again(host: Host) -> None:
    host.destroy("helper")
    host.run("purge", "helper")
    host.agent("second")
    host.run("prepare", "second")
    assert (host.state / "agents/second/state").stat().st_uid == uid(2049)
    host.agent("helper")
    host.run("prepare", "helper")
    assert (host.state / "agents/helper/state").stat().st_uid == uid(2048)


def test_an_agent_that_exists_is_not_purged(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    _refused(host, capsys, "the hive has an agent helper")
    host.audit("operator:ann", "agent.destroyed", "helper", purge=True)
    _refused(host, capsys, "the hive has an agent helper")


@pytest.mark.parametrize("purge", [False, None, 1, "true"])
def test_a_destroyed_agent_keeps_its_files_unless_purge_was_said(
    host: Host, capsys: pytest.CaptureFixture[str], purge: object
) -> None:
    host.destroy("helper", purge=purge)
    _refused(host, capsys, "was destroyed without purge")


@pytest.mark.parametrize("actor", ["manager", "system", "operators-friend", "worker"])
def test_only_an_operators_purge_counts(host: Host, capsys: pytest.CaptureFixture[str], actor: str) -> None:
    host.destroy("helper", actor=actor)
    _refused(host, capsys, f"{actor} had helper destroyed, no operator")


def test_an_older_purge_of_that_name_does_not_count(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.audit("operator:ann", "agent.destroyed", "helper", purge=True)
    host.audit("operator:ann", "agent.created", "helper", generation=1)
    agents.delete(host.database, "helper")
    _refused(host, capsys, "helper was created after it was destroyed")


def test_what_ended_with_the_agent_does_not_keep_its_files(host: Host) -> None:
    host.destroy("helper")
    host.audit("system", "terminal.closed", "helper")
    assert host.run("purge", "helper") == 0
    assert _traces(host, "helper") == []


def test_a_name_that_never_was_an_agents_is_refused(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    _refused(host, capsys, "the hive never had an agent ghost", name="ghost")


def test_a_container_that_still_runs_is_not_removed(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.destroy("helper")
    before = _traces(host, "helper")
    for state in ("active", "activating", "deactivating", "reloading"):
        host.active.write_text(f"{state}\n")
        assert host.run("purge", "helper") == 1
        assert "container@helper.service still runs" in capsys.readouterr().err
        assert _traces(host, "helper") == before
    host.broken.write_text("stop\n")
    assert host.run("purge", "helper") == 1
    assert "container@helper.service: stop failed" in capsys.readouterr().err
    assert _traces(host, "helper") == before


def test_a_container_that_is_not_the_hives_stays(host: Host) -> None:
    """An agent of a foreign container's name could not be prepared, and what the core made of it is removed."""
    (host.places.definitions / "web.conf").write_text("PRIVATE_USERS=no\n")
    (host.places.machines / "web/root").mkdir(parents=True)
    (host.places.profiles / "web").mkdir()
    host.agent("web")
    assert host.run("prepare", "web") == 1
    host.destroy("web")
    assert host.run("purge", "web") == 0
    assert host.systemctl() == []
    assert not (host.state / "configs/web").exists()
    assert (host.places.machines / "web/root").is_dir()
    assert (host.places.profiles / "web").is_dir()
    assert (host.places.definitions / "web.conf").exists()


def test_a_declared_agents_definition_stays_nixos(host: Host) -> None:
    (host.places.definitions / "worker.conf").symlink_to("/etc/static/nixos-containers/worker.conf")
    host.destroy("worker")
    assert host.run("purge", "worker") == 0
    assert (host.places.definitions / "worker.conf").is_symlink()
    assert _traces(host, "worker") == ["etc/nixos-containers/worker.conf"]


def test_a_drop_in_of_somebody_elses_stays(host: Host) -> None:
    extra = host.places.units / "container@helper.service.d/mine.conf"
    extra.write_text("[Service]\n")
    host.destroy("helper")
    assert host.run("purge", "helper") == 0
    assert [path.name for path in extra.parent.iterdir()] == ["mine.conf"]


@pytest.mark.parametrize("planted", ["agents/helper", "agents/helper/state", "configs/helper/config/.git", "applied"])
def test_what_a_planted_link_points_to_stays(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str], planted: str
) -> None:
    victim = tmp_path / "victim"
    (victim / "helper").mkdir(parents=True)
    (victim / "helper/file").touch()
    path = host.state / planted
    shutil.rmtree(path)
    path.symlink_to(victim)
    host.destroy("helper")
    code = host.run("purge", "helper")
    assert (victim / "helper/file").exists()
    assert (code, "applied is no directory" in capsys.readouterr().err) == (
        (1, True) if planted == "applied" else (0, False)
    )


@needs_mounts
def test_a_mount_is_found_before_anything_is_gone(host: Host) -> None:
    host.destroy("helper")
    before = _traces(host, "helper")
    script = (
        "import sys; from pathlib import Path\n"
        "from hyperhive.root.main import main; from hyperhive.root.places import Places\n"
        "r = Path(sys.argv[1]); n = r / 'nix/var/nix'\n"
        "sys.exit(main(['purge', 'helper'], Places(config=r / 'root.json', own=r / 'var/lib/hyperhive-root',"
        " machines=r / 'var/lib/nixos-containers', definitions=r / 'etc/nixos-containers',"
        " units=r / 'run/systemd/system', profiles=n / 'profiles/per-container',"
        " gcroots=n / 'gcroots/per-container')))\n"
    )
    state = host.state / "agents/helper/state"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'mount -t tmpfs none {state}; exec "$0" -c "$1" "$2"',
         sys.executable, script, str(host.root)],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {state} is a mount point; unmount it, and nothing of it will be removed\n"
    assert _traces(host, "helper") == before


def test_stop_stops_that_container(host: Host) -> None:
    assert host.run("stop", "helper") == 0
    assert host.run("stop", "worker") == 0
    assert host.systemctl() == ["stop container@helper.service", "stop container@worker.service"]


def test_stop_stops_no_container_but_the_hives(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.agent("web")  # the core says so; it was never prepared
    assert host.run("stop", "web") == 1
    assert "web is no agent of this hive" in capsys.readouterr().err
    assert host.systemctl() == []


def test_a_stop_that_fails_says_where_to_look(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.broken.write_text("stop\n")
    assert host.run("stop", "helper") == 1
    assert "journalctl -u container@helper.service says why" in capsys.readouterr().err
