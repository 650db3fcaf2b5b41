"""`hive-root activate`: what was approved and built runs, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from root_rig import CORE, Host, needs_nix, needs_root, running_host

from hyperhive.store import agents

pytestmark = [needs_root, needs_nix]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A prepared worker whose generation 1 is built and approved."""
    with running_host(tmp_path, monkeypatch, worker=1) as made:
        made.agent("worker")
        assert made.run("prepare", "worker") == 0
        made.generation("worker", 1, proposal=made.proposal("worker"))
        yield made


def _profile(host: Host) -> Path:
    return host.places.profiles / "worker/system"


def _refused(host: Host, capsys: pytest.CaptureFixture[str], reason: str, generation: int = 1) -> None:
    """Nothing is switched and nothing restarted, and one line says why."""
    before = host.systemctl()
    capsys.readouterr()
    assert host.run("activate", f"worker:{generation}") == 1
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert host.systemctl() == before
    assert not _profile(host).is_symlink()


def test_an_approved_generation_runs(host: Host) -> None:
    system = host.built("worker", 1)
    assert host.run("activate", "worker:1") == 0
    assert _profile(host).resolve() == system
    assert host.systemctl() == ["reset-failed container@worker.service", "restart container@worker.service"]


@pytest.mark.parametrize("state", ["approved", "building", "applied"])
def test_each_state_after_the_approval_will_do(host: Host, state: str) -> None:
    host.built("worker", 1)
    host.database.execute("UPDATE proposals SET state = ?", (state,))
    assert host.run("activate", "worker:1") == 0


def test_the_profile_moves_to_the_next_generation_and_back(host: Host) -> None:
    systems = [host.built("worker", 1), host.built("worker", 2)]
    host.generation("worker", 2, proposal=host.proposal("worker", generation=2))
    for number in (1, 2, 1):
        assert host.run("activate", f"worker:{number}") == 0
        assert _profile(host).resolve() == systems[number - 1]
    listed = subprocess.run(
        ["nix-env", "--profile", str(_profile(host)), "--list-generations"], capture_output=True, text=True, check=True
    )
    assert "(current)" in listed.stdout


@pytest.mark.parametrize("actor", ["operator:ann", "system"])
def test_what_an_operator_or_the_configuration_had_built_runs(host: Host, actor: str) -> None:
    host.generation("worker", 2, actor=actor)
    host.built("worker", 2)
    assert host.run("activate", "worker:2") == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "checked"}, "which is checked, not approved"),
        ({"state": "denied"}, "which is denied, not approved"),
        ({"state": "failed"}, "which is failed, not approved"),
        ({"state": "withdrawn"}, "which is withdrawn, not approved"),
        ({"decided_by": None}, "which nobody decided"),
        ({"decided_by": "manager"}, "which manager decided, no operator"),
        ({"decided_by": "operators-friend"}, "which operators-friend decided, no operator"),
        ({"agent": "other"}, "is about something else"),
        ({"generation": 2}, "is about something else"),
        ({"commit_id": "d" * 40}, "is about something else"),
    ],
)
def test_a_generation_that_no_operator_approved_does_not_run(
    host: Host, capsys: pytest.CaptureFixture[str], changes: dict[str, object], reason: str
) -> None:
    host.built("worker", 1)
    for column, value in changes.items():
        host.database.execute(f"UPDATE proposals SET {column} = ?", (value,))
    _refused(host, capsys, reason)


def test_a_proposal_that_does_not_exist_approves_nothing(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.built("worker", 1)
    host.database.execute("DELETE FROM proposals")
    _refused(host, capsys, "is of proposal 1, which does not exist")


@pytest.mark.parametrize("actor", ["manager", "operators-friend", None])
def test_a_generation_without_proposal_needs_an_operators_build(
    host: Host, capsys: pytest.CaptureFixture[str], actor: str | None
) -> None:
    host.generation("worker", 2, actor=actor)
    host.audit("operator:ann", "generation.built", "worker", generation=1, commit="c" * 40)
    host.audit("operator:ann", "generation.built", "other", generation=2, commit="c" * 40)
    host.audit("operator:ann", "agent.start", "worker")
    host.built("worker", 2)
    _refused(host, capsys, "generation 2 of worker has no proposal", generation=2)


def test_a_build_of_another_commit_is_not_that_generation(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.generation("worker", 2)
    host.audit("operator:ann", "generation.built", "worker", generation=2, commit="d" * 40)
    host.built("worker", 2)
    _refused(host, capsys, "nobody who had it built", generation=2)


def test_a_generation_or_agent_that_is_not_there_is_named(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    _refused(host, capsys, "worker has no generation 7", generation=7)
    agents.delete(host.database, "worker")
    _refused(host, capsys, "the hive has no agent worker")


def test_an_agent_that_was_never_prepared_does_not_run(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.built("worker", 1)
    (host.places.own / "indexes.json").unlink()
    _refused(host, capsys, "worker was never prepared; hive-prepare@worker.service does that")


def test_a_generation_that_is_not_built_does_not_run(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    _refused(host, capsys, f"generation 1 of worker is not built: there is no {host.state}/systems/worker/1")


@pytest.mark.parametrize(
    "target",
    [
        "/etc",
        "../../../../../etc",
        "{store}",
        "{store}/x",
        "{system}/init",
        "{system}/../{name}",
        "{store}/../store/{name}",
        "{store}/" + "0" * 32 + "-a b",
        "/tmp{system}",
    ],
)
def test_a_link_out_of_the_store_is_refused(host: Host, capsys: pytest.CaptureFixture[str], target: str) -> None:
    system = host.built("worker", 1)
    host.link("worker", 1, target.format(store=host.places.store, system=system, name=system.name))
    _refused(host, capsys, "which is no path of")


def test_a_path_that_nix_does_not_know_is_refused(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    system = host.built("worker", 1)
    fake = system.with_name("0" * 32 + "-fake")
    shutil.copytree(system, fake)
    host.link("worker", 1, str(fake))
    _refused(host, capsys, "is not a valid store path")
    shutil.rmtree(fake)
    _refused(host, capsys, "is not there, or not a directory")
    fake.symlink_to(system)
    _refused(host, capsys, "is not there, or not a directory")


@pytest.mark.parametrize("init", [None, 0o644])
def test_a_system_without_an_executable_init_is_refused(
    host: Host, capsys: pytest.CaptureFixture[str], init: int | None
) -> None:
    host.built("worker", 1, init=init)
    _refused(host, capsys, "it has no executable init")


def test_a_link_that_is_not_the_cores_is_refused(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.built("worker", 1)
    os.chown(host.state / "systems/worker/1", 0, 0, follow_symlinks=False)
    _refused(host, capsys, f"systems/worker/1 belongs to uid 0, not to {CORE.pw_name}, who builds")


def _file(path: Path, system: Path) -> None:
    path.write_text(str(system))


def _directory(path: Path, system: Path) -> None:
    shutil.copytree(system, path)


@pytest.mark.parametrize("plant", [_file, _directory, lambda path, _: os.mkfifo(path)])
def test_what_is_no_link_is_refused(
    host: Host, capsys: pytest.CaptureFixture[str], plant: Callable[[Path, Path], None]
) -> None:
    system = host.built("worker", 1)
    (host.state / "systems/worker/1").unlink()
    plant(host.state / "systems/worker/1", system)
    _refused(host, capsys, "systems/worker/1 is not a symbolic link")


@pytest.mark.parametrize("planted", ["systems", "systems/worker"])
def test_a_planted_directory_link_is_refused(host: Host, capsys: pytest.CaptureFixture[str], planted: str) -> None:
    host.built("worker", 1)
    path = host.state / planted
    path.rename(path.with_name("aside"))
    path.symlink_to("aside")
    _refused(host, capsys, f"{path} is no directory")


def test_a_profile_that_is_not_roots_is_refused(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.built("worker", 1)
    os.chown(host.places.profiles / "worker", 65534, 65534)
    _refused(host, capsys, "profiles/per-container/worker is not root's")
    os.chown(host.places.profiles / "worker", 0, 0)
    _profile(host).mkdir()
    _refused(host, capsys, "is not a profile's link")
    shutil.rmtree(host.places.profiles / "worker")
    (host.places.profiles / "worker").symlink_to(host.root)
    _refused(host, capsys, "profiles/per-container/worker is no directory")


def test_a_container_that_does_not_start_says_where_to_look(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.built("worker", 1)
    host.broken.write_text("restart\n")
    assert host.run("activate", "worker:1") == 1
    assert capsys.readouterr().err == (
        "error: container@worker.service: restart failed (Job for container@worker.service failed.); "
        "journalctl -u container@worker.service says why\n"
    )


def test_nix_missing_is_one_line(
    host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.built("worker", 1)
    monkeypatch.setenv("PATH", os.environ["PATH"].split(":")[0])
    _refused(host, capsys, "nix-store cannot be run: No such file or directory")


_NO_POLICY = "approved by the policy, no operator, and services.hyperhive.policy.autoApprove is not"


@pytest.mark.parametrize("configured", [{}, {"autoApprove": "never"}, {"autoApprove": True}, {"autoApprove": "always"}])
def test_a_narrowing_that_the_policy_approved_is_refused_unless_the_configuration_says_so(
    host: Host, capsys: pytest.CaptureFixture[str], configured: dict[str, object]
) -> None:
    host.built("worker", 1)
    host.configure(**configured)
    host.database.execute("UPDATE proposals SET decided_by = 'policy:narrowing'")
    _refused(host, capsys, _NO_POLICY)


def test_what_the_policy_approved_can_be_gone_back_to_when_it_approves_no_more(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    systems = [host.built("worker", number) for number in (1, 2, 3)]
    host.database.execute("UPDATE proposals SET decided_by = 'policy:narrowing'")
    host.generation("worker", 2, proposal=host.proposal("worker", generation=2))
    host.generation("worker", 3, proposal=host.proposal("worker", generation=3, decided_by="policy:narrowing"))
    host.configure(autoApprove="narrowing")
    assert host.run("activate", "worker:1") == 0
    host.configure(autoApprove="never")
    for number in (1, 2, 1):
        assert host.run("activate", f"worker:{number}") == 0
        assert _profile(host).resolve() == systems[number - 1]
    assert host.run("activate", "worker:3") == 1
    assert _NO_POLICY in capsys.readouterr().err
    assert _profile(host).resolve() == systems[0]


def test_only_the_profiles_own_generations_count_as_what_ran(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    system = host.built("worker", 1)
    host.database.execute("UPDATE proposals SET decided_by = 'policy:narrowing'")
    for name in ("system-1-link.old", "other-1-link", "system--link"):
        (host.places.profiles / "worker" / name).symlink_to(system)
    _refused(host, capsys, _NO_POLICY)


@pytest.mark.parametrize("decider", ["policy:widening", "worker", "policy", None])
def test_nobody_else_is_the_policy(host: Host, capsys: pytest.CaptureFixture[str], decider: str | None) -> None:
    host.built("worker", 1)
    host.configure(autoApprove="narrowing")
    host.database.execute("UPDATE proposals SET decided_by = ?", (decider,))
    _refused(host, capsys, f"which {decider or 'nobody'} decided, no operator")
