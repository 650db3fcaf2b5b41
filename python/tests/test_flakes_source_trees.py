"""Fetching a commit whose tree is hostile: too much, broken, or leading out of itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from flakes_rig import PLAIN, Applied, Config, needs_bwrap, refusal

from hyperhive.errors import Rejected

pytestmark = needs_bwrap


@pytest.fixture
def applied(tmp_path: Path) -> Applied:
    return Applied(tmp_path / "applied")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path / "agents/worker/config")


WRONG_TREES: dict[str, dict[str, str | bytes]] = {
    "no agent.nix": {"other.nix": PLAIN},
    "many files": {"agent.nix": PLAIN, **{f"d{n % 50}/f{n}": "x" for n in range(5000)}},
    "big zeros": {"agent.nix": PLAIN, "zeros": bytes(100 * 1024 * 1024)},
    "long name": {"agent.nix": PLAIN, "/".join(["d" * 200] * 6): "x"},
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("no agent.nix", "the commit has no agent.nix at its root"),
        ("many files", "the commit holds 5001 files, more than 1000"),
        ("big zeros", "the commit holds 100 MiB, more than 10"),
        ("long name", "is too long or not printable"),
    ],
)
def test_a_tree_over_the_limits_is_rejected(applied: Applied, config: Config, name: str, expected: str) -> None:
    commit = config.commit(WRONG_TREES[name])
    error = refusal(applied, config, commit)
    assert isinstance(error, Rejected) and expected in str(error)


def test_a_hundred_megabytes_of_noise_are_rejected(applied: Applied, config: Config) -> None:
    noise = random.Random(1)
    config.git("config", "core.compression", "0")
    commit = config.commit({"agent.nix": PLAIN, **{f"blob{n}": noise.randbytes(10**7) for n in range(10)}})
    assert "is larger than 16 MiB; keep big files out of it" in str(refusal(applied, config, commit))


def test_a_big_file_in_the_history_does_not_matter(applied: Applied, config: Config) -> None:
    config.commit({"agent.nix": PLAIN, "big": random.Random(2).randbytes(20 * 1024 * 1024)})
    (config.path / "big").unlink()
    commit = config.commit()
    assert applied.fetch(config.path, commit) == commit


def test_a_tree_that_doubles_itself_is_rejected(applied: Applied, config: Config) -> None:
    blob = config.blob(b"x")
    inner = config.tree(*((("100644", f"f{n}", blob)) for n in range(10)))
    for _ in range(12):
        inner = config.tree(*((("40000", f"d{n}", inner)) for n in range(10)))
    commit = config.commit_tree(
        config.tree(("100644", "agent.nix", config.blob(PLAIN.encode())), ("40000", "d", inner))
    )
    assert "is too large or broken" in str(refusal(applied, config, commit))


def test_a_submodule_is_rejected(applied: Applied, config: Config) -> None:
    config.write({"agent.nix": PLAIN, ".gitmodules": '[submodule "m"]\n\tpath = m\n\turl = https://example.org/m\n'})
    config.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},m")
    config.git("add", "agent.nix", ".gitmodules")
    config.git("commit", "-q", "-m", "submodule")
    assert "m is a submodule; commit the files themselves" in str(refusal(applied, config, config.head()))


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("link", "/etc/passwd", "the symbolic link link is absolute"),
        ("link", "../hive.toml", "the symbolic link link leads out of the tree"),
        ("deep/er/link", "../../../x", "the symbolic link deep/er/link leads out of the tree"),
        ("link", "link", "the symbolic link link never ends"),
        ("agent.nix", "real.nix", "agent.nix is a symbolic link; it must be a plain file"),
        ("nixos.nix", "real.nix", "nixos.nix is a symbolic link; it must be a plain file"),
    ],
)
def test_a_symbolic_link_out_of_the_tree_is_rejected(
    applied: Applied, config: Config, path: str, target: str, expected: str
) -> None:
    config.write({"agent.nix": PLAIN, "real.nix": PLAIN})
    link = config.path / path
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    error = refusal(applied, config, config.commit())
    assert isinstance(error, Rejected) and expected in str(error)


def test_a_symbolic_link_that_leads_out_through_another_link_is_rejected(applied: Applied, config: Config) -> None:
    config.write({"agent.nix": PLAIN, "a/b/keep": ""})
    (config.path / "a/b/up").symlink_to("..")
    (config.path / "out").symlink_to("a/b/up/../..")
    assert "the symbolic link out leads out of the tree" in str(refusal(applied, config, config.commit()))


@pytest.mark.parametrize("name", [".git", ".GIT", "..", ".", "a/b", ""])
def test_a_path_that_no_checkout_may_hold_is_rejected(applied: Applied, config: Config, name: str) -> None:
    agent = config.blob(PLAIN.encode())
    evil = config.tree(("100644", "config", config.blob(b"[core]\n\tfsmonitor = x\n")))
    entries = sorted([("40000", name, evil), ("100644", "agent.nix", agent)], key=lambda entry: entry[1])
    assert isinstance(refusal(applied, config, config.commit_tree(config.tree(*entries))), Rejected)


def test_two_files_of_one_name_are_rejected(applied: Applied, config: Config) -> None:
    agent, other = config.blob(PLAIN.encode()), config.blob(b"{ } # other")
    tree = config.tree(("100644", "agent.nix", agent), ("100644", "agent.nix", other))
    assert isinstance(refusal(applied, config, config.commit_tree(tree)), Rejected)


def test_a_missing_blob_is_rejected(applied: Applied, config: Config) -> None:
    commit = config.commit_tree(config.tree(("100644", "agent.nix", "1" * 40)))
    assert isinstance(refusal(applied, config, commit), Rejected)
