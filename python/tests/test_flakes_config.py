"""An agent's config repository at its birth."""

from __future__ import annotations

from pathlib import Path

import pytest
from flakes_rig import PLAIN, needs_nix, stand_in_evaluator, wait

from hyperhive.errors import BadInput, Unavailable
from hyperhive.flakes.check import check_directory
from hyperhive.flakes.config import create_config
from hyperhive.process import run
from hyperhive.settings import Role


def head(path: Path) -> list[str]:
    """The files of the repository's only commit."""
    git = ["git", "-C", str(path)]
    assert wait(run([*git, "rev-list", "--count", "HEAD"], timeout=10)).text == "1"
    assert wait(run([*git, "status", "--porcelain"], timeout=10)).text == ""
    return wait(run([*git, "ls-tree", "-r", "--name-only", "HEAD"], timeout=10)).text.split()


def test_a_source_is_copied_and_committed_without_its_own_repository(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "lib/.git").mkdir(parents=True)
    (source / ".git").mkdir()
    for name, text in {"agent.nix": PLAIN, "lib/x.nix": "1", ".git/config": "x", ".gitignore": "lib\n"}.items():
        (source / name).write_text(text)
    assert wait(create_config(tmp_path / "agents/worker/config", Role.AGENT, source))
    assert head(tmp_path / "agents/worker/config") == [".gitignore", "agent.nix", "lib/x.nix"]


@needs_nix
@pytest.mark.parametrize("role", Role)
def test_the_plain_agent_nix_of_each_role_evaluates(
    role: Role, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wait(create_config(tmp_path / "config", role, None))
    assert head(tmp_path / "config") == ["agent.nix"]
    found = wait(check_directory(tmp_path / "config", stand_in_evaluator(monkeypatch)))
    assert found.ok and bool(found.settings and found.settings["prompt"]) is (role is Role.MANAGER), found


def test_a_config_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/agent.nix").write_text("mine")
    assert not wait(create_config(tmp_path / "config", Role.AGENT, None))
    assert (tmp_path / "config/agent.nix").read_text() == "mine"


def test_a_source_without_agent_nix_is_bad_input_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(BadInput, match=r"has no agent.nix; name the directory"):
        wait(create_config(tmp_path / "agents/config", Role.AGENT, tmp_path / "source"))
    assert list((tmp_path / "agents").iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot be made"):
        wait(create_config(tmp_path / "file/worker/config", Role.AGENT, None))
