"""`hive-root prepare`: directories, owners, definitions, and what is planted where they should be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from root_rig import BASE, CORE, Host, mode, needs_root, owner, running_host, uid

from hyperhive.settings import Role

pytestmark = needs_root

CORES = (CORE.pw_uid, CORE.pw_gid)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with running_host(tmp_path, monkeypatch, manager=0, worker=1) as made:
        made.agent("manager", Role.MANAGER)
        made.agent("worker")
        yield made


def test_every_directory_has_its_owner_and_mode(host: Host) -> None:
    assert host.run("prepare", "worker") == 0
    found = {
        str(path): (owner(path), mode(path))
        for path in (
            host.state, *(host.state / kind for kind in ("agents", "configs", "applied", "systems")),
            *(host.state / kind / "worker" for kind in ("agents", "configs", "applied", "systems")),
            host.state / "agents/worker/state", host.state / "configs/worker/config",
            host.runtime, host.runtime / "agents", host.runtime / "agents/worker",
            host.places.own, host.places.machines, host.places.profiles / "worker",
        )
    }  # fmt: skip
    state, run = str(host.state), str(host.runtime)
    root = (os.geteuid(), os.getegid())
    assert found == {
        state: (CORES, "0700"),
        f"{state}/agents": (CORES, "0700"),
        f"{state}/configs": (CORES, "0755"),
        f"{state}/applied": (CORES, "0700"),
        f"{state}/systems": (CORES, "0755"),
        f"{state}/agents/worker": (CORES, "0711"),
        f"{state}/configs/worker": (CORES, "0755"),
        f"{state}/applied/worker": (CORES, "0700"),
        f"{state}/systems/worker": (CORES, "0755"),
        f"{state}/agents/worker/state": ((uid(1), uid(1)), "0770"),
        f"{state}/configs/worker/config": ((uid(0), CORE.pw_gid), "2755"),
        run: (CORES, "0755"),
        f"{run}/agents": (CORES, "0700"),
        f"{run}/agents/worker": (CORES, "0755"),
        str(host.places.own): (root, "0700"),
        str(host.places.machines): (root, "0700"),
        str(host.places.profiles / "worker"): (root, "0755"),
    }


def test_the_config_repository_is_the_managers_whole(host: Host) -> None:
    repository = host.state / "configs/worker/config"
    assert host.run("prepare", "worker") == 0
    assert {owner(path) for path in (repository, *repository.rglob("*"))} == {(uid(0), CORE.pw_gid)}


def test_without_a_manager_the_config_repository_is_the_cores(host: Host) -> None:
    host.run("prepare", "worker")
    host.database.execute("DELETE FROM agents WHERE role = 'manager'")
    assert host.run("prepare", "worker") == 0
    assert owner(host.state / "configs/worker/config/agent.nix") == CORES


def test_a_managers_first_start_makes_all_repositories_its_own(host: Host) -> None:
    host.declare({"worker": 1})  # the manager is made at run time
    assert host.run("prepare", "worker") == 0
    assert owner(host.state / "configs/worker/config/agent.nix") == CORES
    assert host.run("prepare", "manager") == 0
    assert owner(host.state / "configs/worker/config/agent.nix") == (uid(2048), CORE.pw_gid)


def test_one_hostile_repository_does_not_keep_the_manager_from_starting(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    shutil.rmtree(host.state / "configs/worker/config")
    (host.state / "configs/worker/config").symlink_to(victim)
    assert host.run("prepare", "manager") == 0
    assert "configs/worker/config is no directory" in capsys.readouterr().out
    assert owner(victim) == (0, 0)


def test_a_second_run_changes_nothing_and_a_later_one_repairs(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.run("prepare", "worker")
    capsys.readouterr()
    assert host.run("prepare", "worker") == 0
    assert capsys.readouterr().out == "worker is prepared: index 1\n"
    (host.state / "agents/worker/state").chmod(0o777)
    os.chown(host.state / "systems", 0, 0)
    (host.state / "configs/worker/config/new").touch()
    host.core_owns(host.state / "configs/worker/config/new")
    assert host.run("prepare", "worker") == 0
    assert mode(host.state / "agents/worker/state") == "0770"
    assert _may_write(host.state / "agents/worker/state", *CORES)
    assert owner(host.state / "systems") == CORES
    assert owner(host.state / "configs/worker/config/new") == (uid(0), CORE.pw_gid)


def test_an_agents_own_files_stay_as_they_are(host: Host) -> None:
    host.run("prepare", "worker")
    (host.state / "agents/worker/state/mine").touch()
    os.chown(host.state / "agents/worker/state/mine", BASE, BASE)
    assert host.run("prepare", "worker") == 0
    assert owner(host.state / "agents/worker/state/mine") == (BASE, BASE)


def test_the_state_is_the_agents_and_the_cores_and_nobody_elses(host: Host) -> None:
    host.run("prepare", "worker")
    state = host.state / "agents/worker/state"
    assert _may_write(state, *CORES)
    assert _may_write(state, uid(1), uid(1))
    assert not _may_write(state, uid(0), uid(0)), "another agent's"
    assert not _may_write(state, 65534, 65534)
    assert not _may_write(state, 65534, CORE.pw_gid), "the core's group"


def _may_write(directory: Path, user: int, group: int) -> bool:
    """Whether that user could make a file there, were it not for what is above."""
    fd = os.open(directory, os.O_RDONLY)
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(group, group, group)
            os.setresuid(user, user, user)
            os.mkdir("probe", dir_fd=fd)
            os.rmdir("probe", dir_fd=fd)
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(fd)
    return os.waitpid(child, 0)[1] == 0


def test_a_declared_agent_gets_no_definition_and_systemd_is_left_alone(host: Host) -> None:
    assert host.run("prepare", "worker") == 0
    assert list(host.places.definitions.iterdir()) == list(host.places.units.iterdir()) == []
    assert host.systemctl() == []


def test_a_run_time_agent_is_defined_once(host: Host) -> None:
    host.agent("helper")
    assert host.run("prepare", "helper") == 0
    text = (host.places.definitions / "helper.conf").read_text()
    lines = text.splitlines()
    profile = host.places.profiles / "helper"
    assert lines[1:4] == [f"SYSTEM_PATH={profile}/system", "PRIVATE_NETWORK=1", f"PRIVATE_USERS={BASE + 65536 * 2048}"]
    assert lines[4].removeprefix('EXTRA_NSPAWN_FLAGS="').removesuffix('"').split() == [
        f"--bind={host.state}/agents/helper/state:/state",
        f"--bind-ro={host.runtime}/agents/helper:/run/hive",
        f"--bind-ro={profile}:{profile}",
        f"--bind-ro={host.state}/configs/helper/config:/hive/agents/helper/config",
        "--private-users-ownership=chown",
        "--no-new-privileges=yes",
    ]
    unit = host.places.units / "container@helper.service.d/hyperhive.conf"
    assert unit.read_text().splitlines()[1:] == ["[Service]", "MemoryMax=2G", "DeviceAllow=/dev/net/tun rwm"]
    assert (mode(unit), mode(unit.parent), mode(host.places.definitions / "helper.conf")) == ("0644", "0755", "0644")
    assert host.run("prepare", "helper") == 0
    assert host.systemctl() == ["daemon-reload"]


def test_a_run_time_manager_has_all_config_repositories_writable(host: Host) -> None:
    host.declare({"worker": 1})
    assert host.run("prepare", "manager") == 0
    text = (host.places.definitions / "manager.conf").read_text()
    assert f" --bind={host.state}/configs:/hive/agents " in text
    assert "/hive/agents/manager/config" not in text


def test_an_agent_that_becomes_declared_loses_its_run_time_definition(host: Host) -> None:
    host.agent("helper")
    host.run("prepare", "helper")
    host.declare({"manager": 0, "worker": 1, "helper": 2048})
    assert host.run("prepare", "helper") == 0
    assert list(host.places.definitions.iterdir()) == list(host.places.units.iterdir()) == []
    assert host.systemctl() == ["daemon-reload"] * 2


def test_a_path_that_the_start_script_would_split_is_refused(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.agent("helper")
    inside = str(host.root)
    for bad in (f"{inside}/a b", f"{inside}/a:b", f"{inside}/$(id)", "relative", f"{inside}/../b", f"{inside}/*"):
        text = host.places.config.read_text().replace(str(host.runtime), bad)
        host.places.config.write_text(text)
        assert host.run("prepare", "helper") == 1, bad
        assert "cannot stand in a container's definition" in capsys.readouterr().err
        host.declare({"manager": 0, "worker": 1})
    assert list(host.places.definitions.iterdir()) == []


def test_an_agent_that_nobody_has_is_refused(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert host.run("prepare", "ghost") == 1
    assert "the hive has no agent ghost" in capsys.readouterr().err
    assert not (host.state / "agents").exists()
    assert not host.places.own.exists()


def test_a_container_that_is_not_the_hives_is_not_taken_over(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.agent("web")
    (host.places.definitions / "web.conf").write_text("PRIVATE_USERS=no\n")
    assert host.run("prepare", "web") == 1
    assert "web.conf is a container that is not the hive's" in capsys.readouterr().err
    (host.places.definitions / "web.conf").unlink()
    (host.places.definitions / "web.conf").symlink_to("/etc/static/web.conf")
    assert host.run("prepare", "web") == 1
    (host.places.definitions / "web.conf").unlink()
    (host.places.machines / "web").mkdir()
    assert host.run("prepare", "web") == 1
    assert "nixos-containers/web is a container that is not the hive's" in capsys.readouterr().err
    assert not host.places.own.exists(), "it got no index, so that purge will not touch the container"


def test_a_missing_config_repository_is_named(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.agent("helper", config=False)
    assert host.run("prepare", "helper") == 1
    assert "helper has no config repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    "planted",
    ["agents", "agents/worker", "agents/worker/state", "configs/worker", "configs/worker/config", "systems", "applied"],
)
@pytest.mark.parametrize("kind", ["link", "file", "fifo"])
def test_what_is_planted_for_a_directory_is_refused(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str], planted: str, kind: str
) -> None:
    host.run("prepare", "worker")
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    path = host.state / planted
    shutil.rmtree(path)
    match kind:
        case "link":
            path.symlink_to(victim)
        case "file":
            path.touch()
        case _:
            os.mkfifo(path)
    assert host.run("prepare", "worker") == 1
    assert f"{path} is no directory" in capsys.readouterr().err
    assert (owner(victim), mode(victim), list(victim.iterdir())) == ((0, 0), "0700", [])


def test_a_link_inside_a_config_repository_gives_nothing_away(host: Host, tmp_path: Path) -> None:
    repository = host.state / "configs/worker/config"
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    shutil.rmtree(repository / ".git")
    (repository / ".git").symlink_to(outside)
    (outside / "shadow").touch()
    (repository / "shadow").symlink_to(outside / "shadow")
    host.core_owns(repository)
    assert host.run("prepare", "worker") == 0
    assert owner(repository / "shadow") == owner(repository / ".git") == (uid(0), CORE.pw_gid)
    assert owner(outside) == owner(outside / "deep") == owner(outside / "shadow") == (0, 0)


def test_another_agents_state_is_not_taken_over(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.run("prepare", "worker")
    host.run("prepare", "manager")
    state = host.state / "agents"
    (state / "worker/state").rmdir()
    (state / "manager/state").rename(state / "worker/state")
    assert host.run("prepare", "worker") == 1
    assert f"state belongs to uid {uid(0)}, not {uid(1)}" in capsys.readouterr().err
    assert owner(state / "worker/state")[0] == uid(0)


def test_an_interrupted_purge_is_finished(host: Host) -> None:
    for kind in (host.state / "agents", host.state / "configs", host.places.profiles, host.places.machines):
        (kind / ".purged-worker/old/deep").mkdir(parents=True)
    assert host.run("prepare", "worker") == 0
    assert list(host.root.rglob(".purged*")) == []
    assert (host.state / "agents/worker/state").is_dir()


def test_a_failed_reload_is_told_and_done_again(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.agent("helper")
    host.broken.write_text("daemon-reload\n")
    assert host.run("prepare", "helper") == 1
    assert "systemctl daemon-reload failed" in capsys.readouterr().err
    host.broken.write_text("none\n")
    assert host.run("prepare", "helper") == 0
    assert host.systemctl() == ["daemon-reload"] * 2
