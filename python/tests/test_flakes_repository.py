"""The applied flake's repository: what was judged, what became of it, and nothing half-done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from flakes_rig import HIVE, PLAIN, Applied, Config, needs_bwrap, wait

from hyperhive.errors import Conflict, NotFound, Rejected
from hyperhive.flakes.applied import FLAKE_NIX, HiveFile, render
from hyperhive.flakes.repository import AppliedRepository, short

pytestmark = needs_bwrap


@pytest.fixture
def applied(tmp_path: Path) -> Applied:
    return Applied(tmp_path / "applied")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path / "config")


def written(directory: Path) -> dict[str, bytes]:
    """Every file below `directory`, by path."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def checkout(applied: Applied, commit: str, directory: Path, hive: HiveFile = HIVE) -> dict[str, bytes]:
    """The applied flake of that commit as it is written into a new `directory`."""
    directory.mkdir()
    wait(applied.repository.checkout(commit, hive, directory))
    return written(directory)


def test_init_may_be_repeated(applied: Applied) -> None:
    with applied.unchanged():
        wait(applied.repository.init())


def test_remove_takes_everything_away(applied: Applied) -> None:
    wait(applied.repository.remove())
    assert not applied.path.exists()
    wait(applied.repository.remove())


def test_a_repository_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is not an applied flake; create the agent first"):
        wait(AppliedRepository(tmp_path / "none").fetch(tmp_path, "0" * 40, "proposal/1"))


def test_a_checkout_is_the_host_s_files_and_the_commit_s_tree(applied: Applied, config: Config, tmp_path: Path) -> None:
    commit = config.commit({"agent.nix": PLAIN, "lib/more.nix": "1"})
    applied.fetch(config.path, commit)
    assert checkout(applied, commit, tmp_path / "out") == {
        "flake.nix": FLAKE_NIX,
        "hive.toml": b'name = "worker"\nrole = "agent"\n',
        "agent/agent.nix": PLAIN.encode(),
        "agent/lib/more.nix": b"1",
    }


def test_a_checkout_is_byte_for_byte_whatever_the_attributes_say(
    applied: Applied, config: Config, tmp_path: Path
) -> None:
    attributes = "* text eol=crlf ident export-subst working-tree-encoding=UTF-16\nhidden export-ignore\n"
    files: dict[str, str | bytes] = {
        "agent.nix": "# $Id$ $Format:%H$\n{ }\n",
        "hidden": "h\n",
        "bytes": bytes(range(256)),
        "empty": "",
    }
    config.write(files)
    for name, content in files.items():
        blob = config.blob(content.encode() if isinstance(content, str) else content)
        config.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    config.git("update-index", "--add", "--cacheinfo", f"100644,{config.blob(attributes.encode())},.gitattributes")
    config.git("commit", "-q", "-m", "attributes")
    applied.fetch(config.path, config.head())
    found = checkout(applied, config.head(), tmp_path / "out")
    for name, content in files.items():
        assert found[f"agent/{name}"] == (content.encode() if isinstance(content, str) else content), name


def test_a_checkout_keeps_links_and_the_executable_bit(applied: Applied, config: Config, tmp_path: Path) -> None:
    config.write({"agent.nix": PLAIN, "bin/tool": "#!/bin/sh\n"})
    (config.path / "bin/tool").chmod(0o755)
    (config.path / "bin/link").symlink_to("../agent.nix")
    commit = config.commit()
    applied.fetch(config.path, commit)
    checkout(applied, commit, tmp_path / "out")
    agent = tmp_path / "out/agent"
    assert str((agent / "bin/link").readlink()) == "../agent.nix"
    assert (agent / "bin/tool").stat().st_mode & 0o111 and not (agent / "agent.nix").stat().st_mode & 0o111


def test_a_checkout_into_a_directory_that_holds_something_is_refused(
    applied: Applied, config: Config, tmp_path: Path
) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    applied.fetch(config.path, commit)
    checkout(applied, commit, tmp_path / "out")
    with pytest.raises(Rejected, match="two files of the commit have the same path"):
        wait(applied.repository.checkout(commit, HIVE, tmp_path / "out"))


def test_a_proposal_s_tag_is_pinned(applied: Applied, config: Config) -> None:
    first = config.commit({"agent.nix": PLAIN})
    second = config.commit({"agent.nix": "{ } # 2"})
    applied.fetch(config.path, first, 1)
    with applied.unchanged(), pytest.raises(Conflict, match=f"proposal/1 is pinned to {short(first)} already"):
        applied.fetch(config.path, second, 1)


def test_a_fetch_that_is_repeated_needs_the_source_no_more(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    applied.fetch(config.path, commit)
    shutil.rmtree(config.path)
    with applied.unchanged():
        assert applied.fetch(config.path, commit[:8]) == commit


def test_the_same_commit_may_be_proposed_again(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    applied.fetch(config.path, commit, 1)
    applied.fetch(config.path, commit, 2)
    assert applied.refs() == {"refs/tags/proposal/1": commit, "refs/tags/proposal/2": commit}
    assert applied.fsck() == ""


def test_commits_and_their_parents_may_be_proposed_in_any_order(applied: Applied, config: Config) -> None:
    first = config.commit({"agent.nix": PLAIN})
    second = config.commit({"agent.nix": "{ } # 2"})
    applied.fetch(config.path, second, 1)
    applied.fetch(config.path, first, 2)
    assert applied.fsck() == ""


def test_what_a_killed_fetch_left_is_cleared_by_the_next(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    left = applied.path / "incoming-left/pack"
    left.mkdir(parents=True)
    (left / "tmp_pack_x").write_bytes(b"half")
    applied.fetch(config.path, commit)
    assert not list(applied.path.glob("incoming-*"))


def test_a_generation_is_the_host_s_files_and_exactly_the_judged_tree(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN, "sub/x": "1"})
    applied.fetch(config.path, commit)
    made = wait(applied.repository.commit_generation(commit, HIVE, 1, "because"))
    assert applied.refs() == {
        "refs/heads/main": made,
        "refs/tags/generation/1": made,
        "refs/tags/proposal/1": commit,
    }
    for name, content in render(HIVE).items():
        assert wait(applied.repository.file(made, name)) == content
    assert applied._git("rev-parse", f"{made}:agent").text == applied._git("rev-parse", f"{commit}^{{tree}}").text
    assert applied._git("log", "-1", "--format=%an <%ae> %cn <%ce>|%B", made).text == (
        "hyperhive <hyperhive@hive.local> hyperhive <hyperhive@hive.local>|"
        f"generation 1: because\n\nSource-Commit: {commit}"
    )
    assert applied.fsck() == ""


def test_a_generation_may_be_made_twice(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    applied.fetch(config.path, commit)
    made = wait(applied.repository.commit_generation(commit, HIVE, 1, "because"))
    with applied.unchanged():
        assert wait(applied.repository.commit_generation(commit, HIVE, 1, "because")) == made


def test_a_generation_that_a_crash_left_is_replaced(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    applied.fetch(config.path, commit)
    left = wait(applied.repository.commit_generation(commit, HIVE, 1, "before the crash"))
    hive = HiveFile("worker", "agent", {}, {"model": "opus"})
    made = wait(applied.repository.commit_generation(commit, hive, 1, "after it"))
    assert made != left and applied.refs()["refs/tags/generation/1"] == made
    assert b'model = "opus"' in (wait(applied.repository.file(made, "hive.toml")) or b"")


def test_locks_that_a_killed_git_left_do_not_refuse_the_next_change(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    applied.fetch(config.path, commit)
    left = ["HEAD.lock", "refs/heads/main.lock", "refs/tags/generation/1.lock", "objects/ab/tmp_obj_x"]
    for name in left:
        (applied.path / name).parent.mkdir(parents=True, exist_ok=True)
        (applied.path / name).touch()
    with pytest.raises(Rejected, match="lock"):
        wait(applied.repository.commit_generation(commit, HIVE, 1, "x"))
    wait(applied.repository.recover())
    assert not [name for name in left if (applied.path / name).exists()]
    made = wait(applied.repository.commit_generation(commit, HIVE, 1, "x"))
    assert applied.refs()["refs/heads/main"] == made


def two_generations(applied: Applied, config: Config) -> tuple[list[str], str]:
    """Their commits, and the config's commit of the second."""
    made = []
    for number in (1, 2):
        commit = config.commit({"agent.nix": f"{{ }} # {number}"})
        applied.fetch(config.path, commit, number)
        made.append(wait(applied.repository.commit_generation(commit, HIVE, number, "x")))
    return made, commit


def test_main_follows_where_git_was_killed_between_tag_and_main(applied: Applied, config: Config) -> None:
    made, commit = two_generations(applied, config)
    applied._git("update-ref", "refs/heads/main", made[0])
    assert wait(applied.repository.commit_generation(commit, HIVE, 2, "x")) == made[1]
    assert applied.refs()["refs/heads/main"] == made[1]


def test_init_finishes_what_a_killed_one_began(tmp_path: Path, config: Config) -> None:
    path = tmp_path / "begun"
    path.mkdir()
    (path / "HEAD").write_text("ref: refs/heads/main\n")
    begun = Applied(path)
    commit = config.commit({"agent.nix": PLAIN})
    assert begun.fetch(config.path, commit) == commit
    assert "agent.nix" in wait(begun.repository.diff(None, commit))


def test_generations_follow_each_other_on_main(applied: Applied, config: Config) -> None:
    made, _ = two_generations(applied, config)
    assert applied._git("rev-list", "main").text.split() == made[::-1]


def test_a_message_cannot_break_a_commit(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    applied.fetch(config.path, commit)
    wait(applied.repository.commit_generation(commit, HIVE, 1, "nul \0 surrogate \udc80 ü\n# not a comment\n"))
    assert applied.fsck() == ""
    assert "# not a comment" in applied._git("log", "-1", "--format=%B", "main").text


def test_a_file_that_the_commit_has_not_is_none(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    applied.fetch(config.path, commit)
    assert wait(applied.repository.file(commit, "nixos.nix")) is None
    assert wait(applied.repository.file(commit, "agent.nix")) == PLAIN.encode()


@pytest.fixture
def two(applied: Applied, config: Config) -> tuple[str, str]:
    """Two commits that are here, which change several files, under attributes that would hide that."""
    old = config.commit({"agent.nix": "{ a = 1; }\n", "gone": "g\n", "aaa": "x\n"})
    config.git("rm", "-q", "gone")
    files = {"agent.nix": "{ a = 2; }\n", "aaa": "y\0y\n", "nixos.nix": "{ }\n"}
    new = config.commit({**files, ".gitattributes": "* -diff binary\n"})
    applied.fetch(config.path, old, 1)
    applied.fetch(config.path, new, 2)
    return old, new


def test_a_diff_shows_every_change_with_agent_nix_first(applied: Applied, two: tuple[str, str]) -> None:
    diff = wait(applied.repository.diff(*two))
    assert diff.startswith("diff --git a/agent.nix b/agent.nix\n")
    for line in ("-{ a = 1; }\n", "+{ a = 2; }\n", "+y\\x00y\n", "-g\n", "deleted file", "b/nixos.nix", "+* -diff"):
        assert line in diff, line
    assert diff.index("b/nixos.nix") < diff.index("b/aaa")


def test_a_diff_of_the_first_generation_is_all_of_it(applied: Applied, two: tuple[str, str]) -> None:
    diff = wait(applied.repository.diff(None, two[0]))
    assert all(line in diff for line in ("+{ a = 1; }", "+g", "+x"))


def test_a_diff_of_the_same_commit_is_empty(applied: Applied, two: tuple[str, str]) -> None:
    assert wait(applied.repository.diff(two[0], two[0])) == ""


def test_a_long_diff_is_cut_and_says_so_and_agent_nix_is_not_what_is_cut(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": "{ } # mine\n", "aaa": "x" * 99 + "\n" + "y\n" * 10**6})
    applied.fetch(config.path, commit)
    diff = wait(applied.repository.diff(None, commit))
    assert diff.endswith("[the diff is longer than 256 KiB: the rest is not shown]\n") and "+{ } # mine" in diff
    assert len(diff) < 257 * 1024


def test_a_diff_cannot_steer_a_terminal_or_reorder_its_text(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": "{ } # \x1b[2J \u202e \x9b ü 漢\r\n"})
    applied.fetch(config.path, commit)
    assert "+{ } # \\x1b[2J \\u202e \\x9b ü 漢\\x0d\n" in wait(applied.repository.diff(None, commit))


def test_a_diff_of_a_commit_that_is_not_here_is_refused(applied: Applied, two: tuple[str, str]) -> None:
    with pytest.raises(Rejected, match="the commits cannot be compared"):
        wait(applied.repository.diff(two[0], "1" * 40))


def test_the_guest_s_configuration_changes_with_nixos_nix_and_what_it_may_import(
    applied: Applied, config: Config
) -> None:
    def change(old: str | None, new: str) -> str | None:
        return wait(applied.repository.guest_change(old, new))

    commits = [
        config.commit(files)
        for files in (
            {"agent.nix": PLAIN, "a.nix": "1"},
            {"a.nix": "2"},
            {"nixos.nix": "{ imports = [ ./a.nix ]; }\n"},
            {"agent.nix": "{ } # 2"},
            {"a.nix": "3"},
        )
    ]
    for number, commit in enumerate(commits):
        applied.fetch(config.path, commit, number)
    nixos = "{ imports = [ ./a.nix ]; }\n"
    pairs = zip([None, *commits], commits, strict=False)
    assert [change(old, new) for old, new in pairs] == [None, None, nixos, None, f"{nixos}# a.nix changes too\n"]
    assert change(commits[2], commits[1]) == ""
    assert change(None, commits[2]) == f"{nixos}# a.nix changes too\n"


def test_a_hook_or_a_configuration_of_the_operator_s_own_git_is_not_used(
    applied: Applied, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks, canary = tmp_path / "home/hooks", tmp_path / "canary"
    hooks.mkdir(parents=True)
    (hooks / "reference-transaction").write_text(f"#!/bin/sh\ntouch {canary}\n")
    (hooks / "reference-transaction").chmod(0o755)
    (tmp_path / "home/.gitconfig").write_text(f"[core]\n\thooksPath = {hooks}\n[user]\n\tname = Operator\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    commit = config.commit({"agent.nix": PLAIN})
    canary.unlink(missing_ok=True)
    applied.fetch(config.path, commit)
    made = wait(applied.repository.commit_generation(commit, HIVE, 1, "x"))
    assert not canary.exists()
    assert applied._git("log", "-1", "--format=%an", made).text == "hyperhive"
