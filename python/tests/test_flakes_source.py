"""Fetching from a repository that an agent wrote: hostile in every way that git allows."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flakes_rig import PLAIN, Applied, Config, needs_bwrap, refusal, wait

from hyperhive.errors import BadInput, NotFound, Rejected, Unavailable
from hyperhive.flakes.source import SourceRepository
from hyperhive.process import run

pytestmark = needs_bwrap


@pytest.fixture
def applied(tmp_path: Path) -> Applied:
    return Applied(tmp_path / "applied")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path / "agents/worker/config")


def test_a_commit_is_taken_by_its_full_hash_and_tagged(applied: Applied, config: Config) -> None:
    config.commit({"agent.nix": PLAIN})
    commit = config.commit({"agent.nix": '{ hyperhive.agent.prompt = "2"; }'})
    assert applied.fetch(config.path, commit, 7) == commit
    assert applied.refs() == {"refs/tags/proposal/7": commit}
    assert applied.fsck() == ""


def test_only_the_commit_is_taken_and_not_its_history(applied: Applied, config: Config) -> None:
    config.commit({"agent.nix": PLAIN, "secret.txt": "once committed by mistake"})
    (config.path / "secret.txt").unlink()
    applied.fetch(config.path, config.commit({"agent.nix": "{ } # 2"}))
    assert applied.objects() == 3  # commit, tree, agent.nix


def test_a_commit_is_taken_by_an_abbreviated_hash(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    assert applied.fetch(config.path, commit[:7]) == commit


def test_an_abbreviated_hash_that_is_a_branch_s_name_is_still_a_hash(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    other = config.commit({"agent.nix": "{ } # other"})
    config.git("branch", commit[:8], other)
    assert applied.fetch(config.path, commit[:8]) == commit


@pytest.mark.parametrize(
    "name", ["main", "HEAD", "refs/heads/main", "v1", "--all", "abc", "", "0" * 41, "g" * 40, "HEAD~1", "a b\nc" * 20]
)
def test_what_is_not_a_hash_is_bad_input(applied: Applied, config: Config, name: str) -> None:
    config.commit({"agent.nix": PLAIN})
    error = refusal(applied, config, name)
    assert isinstance(error, BadInput) and "is not a commit hash: give 7 to 40 hex digits" in str(error)


def test_a_commit_that_is_missing_is_not_found(applied: Applied, config: Config) -> None:
    config.commit({"agent.nix": PLAIN})
    for commit in ("0123456789abcdef" * 2 + "01234567", "0123456"):
        error = refusal(applied, config, commit)
        assert isinstance(error, NotFound) and f"commit {commit[:12]} is not in the agent's config" in str(error)


def test_a_commit_of_another_agent_is_not_found(applied: Applied, config: Config, tmp_path: Path) -> None:
    config.commit({"agent.nix": PLAIN})
    commit = Config(tmp_path / "agents/other/config").commit({"agent.nix": "{ } # theirs"})
    assert isinstance(refusal(applied, config, commit), NotFound)


def test_alternates_do_not_reach_another_agent_s_objects(applied: Applied, config: Config, tmp_path: Path) -> None:
    config.commit({"agent.nix": PLAIN})
    other = Config(tmp_path / "agents/other/config")
    commit = other.commit({"agent.nix": "{ } # theirs"})
    (config.path / ".git/objects/info/alternates").write_text(f"{other.path}/.git/objects\n")
    assert config.git("cat-file", "-t", commit).text == "commit"
    assert isinstance(refusal(applied, config, commit), NotFound)


def test_an_objects_directory_that_is_a_link_reaches_nothing(applied: Applied, config: Config, tmp_path: Path) -> None:
    other = Config(tmp_path / "agents/other/config")
    commit = other.commit({"agent.nix": "{ } # theirs"})
    shutil.rmtree(config.path / ".git/objects")
    (config.path / ".git/objects").symlink_to(other.path / ".git/objects")
    assert config.git("cat-file", "-t", commit).text == "commit"
    refusal(applied, config, commit)


@pytest.mark.parametrize("kind", ["file", "link", "commondir"])
def test_a_repository_that_is_elsewhere_is_rejected(
    applied: Applied, config: Config, tmp_path: Path, kind: str
) -> None:
    other = Config(tmp_path / "agents/other/config")
    commit = other.commit({"agent.nix": "{ } # theirs"})
    if kind == "commondir":
        (config.path / ".git/commondir").write_text(f"{other.path}/.git\n")
    else:
        shutil.rmtree(config.path / ".git")
        if kind == "file":
            (config.path / ".git").write_text(f"gitdir: {other.path}/.git\n")
        else:
            (config.path / ".git").symlink_to(other.path / ".git")
    assert config.git("cat-file", "-t", commit).text == "commit"
    assert isinstance(refusal(applied, config, commit), NotFound if kind == "commondir" else Rejected)


def test_a_directory_without_a_repository_is_rejected(applied: Applied, config: Config) -> None:
    shutil.rmtree(config.path / ".git")
    assert "is not a git repository of its own; run git init in it" in str(refusal(applied, config, "0" * 40))


def test_a_config_directory_that_is_a_link_or_missing_is_refused(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    link = config.path.parent / "link"
    link.symlink_to(config.path)
    with applied.unchanged(), pytest.raises(Rejected, match="is not a directory"):
        applied.fetch(link, commit)
    with applied.unchanged(), pytest.raises(NotFound, match="there is no config repository at"):
        applied.fetch(config.path.parent / "gone", commit)


def test_head_of_a_repository_without_commits_is_not_found(applied: Applied, config: Config) -> None:
    with applied.unchanged(), pytest.raises(NotFound, match="has no commit yet"):
        wait(applied.repository.fetch_head(config.path, "created/1"))


def test_head_is_taken_when_the_host_itself_asks(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    assert wait(applied.repository.fetch_head(config.path, "created/1")) == commit
    config.commit({"agent.nix": "{ } # later"})
    assert wait(applied.repository.fetch_head(config.path, "created/1")) == commit


CANARIES = {
    "core.fsmonitor": ["core.fsmonitor"],
    "packObjectsHook": ["uploadpack.packObjectsHook"],
    "sshCommand": ["core.sshCommand"],
    "askPass": ["core.askPass"],
    "pager and editor": ["core.pager", "core.editor", "pager.pack-objects"],
    "alternateRefsCommand": ["core.alternateRefsCommand"],
    "gpg": ["gpg.program"],
    "credential": ["credential.helper"],
    "diff": ["diff.external", "diff.x.textconv", "filter.x.smudge", "filter.x.clean", "filter.x.process"],
}


@pytest.mark.parametrize("name", CANARIES)
def test_no_program_that_the_repository_configures_is_run(
    applied: Applied, config: Config, tmp_path: Path, name: str
) -> None:
    canary, program = _canary(tmp_path)
    commit = config.commit({"agent.nix": PLAIN, ".gitattributes": "* filter=x diff=x\n"})
    for key in CANARIES[name]:
        config.git("config", key, str(program))
    _take(applied, config, commit)
    assert not canary.exists()


def test_no_hook_of_the_repository_is_run(applied: Applied, config: Config, tmp_path: Path) -> None:
    canary, program = _canary(tmp_path)
    commit = config.commit({"agent.nix": PLAIN})
    hooks = config.path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in (
        "pre-commit",
        "post-checkout",
        "reference-transaction",
        "post-index-change",
        "pre-auto-gc",
        "fsmonitor",
    ):
        shutil.copy(program, hooks / name)
    config.git("config", "core.hooksPath", str(hooks))
    _take(applied, config, commit)
    assert not canary.exists()


def test_no_alias_and_no_include_of_the_repository_is_used(applied: Applied, config: Config, tmp_path: Path) -> None:
    canary, program = _canary(tmp_path)
    commit = config.commit({"agent.nix": PLAIN})
    (tmp_path / "more").write_text(f"[core]\n\tfsmonitor = {program}\n[uploadpack]\n\tpackObjectsHook = {program}\n")
    config.git("config", "include.path", str(tmp_path / "more"))
    for command in ("rev-parse", "cat-file", "pack-objects", "rev-list"):
        config.git("config", f"alias.{command}", f"!{program}")
    _take(applied, config, commit)
    assert not canary.exists()


def test_missing_objects_are_not_fetched_from_a_remote_that_the_repository_names(
    applied: Applied, config: Config, tmp_path: Path
) -> None:
    canary, program = _canary(tmp_path)
    tree = config.tree(("100644", "agent.nix", "1" * 40))
    commit = config.commit_tree(tree)
    for key, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": f"ext::{program}",
        "remote.origin.promisor": "true",
        "protocol.ext.allow": "always",
        "protocol.allow": "always",
    }.items():
        config.git("config", key, value)
    assert isinstance(refusal(applied, config, commit), Rejected)
    assert not canary.exists()


def _canary(tmp_path: Path) -> tuple[Path, Path]:
    """A file that must not appear, and the program that would make it (tried first, so that it can)."""
    canary, program = tmp_path / "canary", tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {canary}\n")
    program.chmod(0o755)
    wait(run([str(program)], timeout=5))
    assert canary.exists()
    canary.unlink()
    return canary, program


def _take(applied: Applied, config: Config, commit: str) -> None:
    """All that the host does with a source: abbreviated, HEAD, and the tree checked."""
    assert applied.fetch(config.path, commit[:10]) == commit
    assert wait(applied.repository.fetch_head(config.path, "created/1")) == commit
    assert wait(applied.repository.inspect(commit)).entries


def test_replace_refs_and_grafts_do_not_change_what_a_hash_means(applied: Applied, config: Config) -> None:
    honest = config.commit({"agent.nix": PLAIN})
    other = config.commit({"agent.nix": "{ } # other"})
    config.git("replace", honest, other)
    (config.path / ".git/info").mkdir(exist_ok=True)
    (config.path / ".git/info/grafts").write_text(f"{other} {honest}\n")
    assert b"other" in config.git("show", f"{honest}:agent.nix").stdout
    applied.fetch(config.path, honest)
    assert wait(applied.repository.file(honest, "agent.nix")) == PLAIN.encode()


def test_a_commit_graph_that_lies_is_not_believed(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    config.git("commit-graph", "write", "--reachable")
    graph = config.path / ".git/objects/info/commit-graph"
    tree = bytes.fromhex(config.git("rev-parse", "HEAD^{tree}").text)
    other = bytes.fromhex(config.tree(("100644", "agent.nix", config.blob(b"{ } # other"))))
    graph.chmod(0o644)
    graph.write_bytes(graph.read_bytes().replace(tree, other))
    applied.fetch(config.path, commit)
    assert wait(applied.repository.file(commit, "agent.nix")) == PLAIN.encode()


def test_an_object_with_a_wrong_hash_is_refused(applied: Applied, config: Config) -> None:
    commit = config.commit({"agent.nix": PLAIN, "b.nix": "{ } # b"})
    right, wrong = (config.git("rev-parse", f"HEAD:{name}").text for name in ("agent.nix", "b.nix"))
    loose = config.path / ".git/objects"
    target = loose / right[:2] / right[2:]
    target.chmod(0o644)
    shutil.copy(loose / wrong[:2] / wrong[2:], target)
    assert isinstance(refusal(applied, config, commit), Rejected)


def test_a_tree_a_blob_or_a_tag_is_not_a_commit(applied: Applied, config: Config) -> None:
    config.commit({"agent.nix": PLAIN})
    config.git("tag", "-a", "-m", "annotated", "v1")
    for name in ("HEAD^{tree}", "HEAD:agent.nix", "v1"):
        error = refusal(applied, config, config.git("rev-parse", name).text)
        assert isinstance(error, BadInput) and "not a commit; give the hash of a commit" in str(error)


def test_an_ambiguous_abbreviation_is_bad_input(applied: Applied, config: Config) -> None:
    tree = config.tree(("100644", "agent.nix", config.blob(PLAIN.encode())))
    commits = _commits_with_a_common_beginning(config, tree)
    error = refusal(applied, config, commits[0][:7])
    assert isinstance(error, BadInput) and "is the beginning of 2 commits; give more digits" in str(error)
    assert applied.fetch(config.path, commits[0]) == commits[0]


def _commits_with_a_common_beginning(config: Config, tree: str) -> tuple[str, str]:
    """Two commits whose hashes share 7 digits: by a birthday search over 28 bits, about 20,000 tries."""
    seen: dict[str, bytes] = {}
    for number in range(2_000_000):
        body = f"tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n{number}\n".encode()
        digest = hashlib.sha1(b"commit %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
        if first := seen.get(digest[:7]):
            found = [config.git("hash-object", "-w", "-t", "commit", "--stdin", stdin=b).text for b in (first, body)]
            return found[0], found[1]
        seen[digest[:7]] = body
    raise AssertionError("no two commits with a common beginning")


def test_after_a_force_push_the_tag_holds_what_was_judged(applied: Applied, config: Config) -> None:
    judged = config.commit({"agent.nix": PLAIN})
    applied.fetch(config.path, judged)
    config.git("commit", "-q", "--amend", "-m", "rewritten")
    config.git("reflog", "expire", "--expire=now", "--all")
    config.git("gc", "-q", "--prune=now")
    assert config.git("cat-file", "-e", judged, check=False).returncode != 0
    assert applied.fetch(config.path, judged) == judged
    assert wait(applied.repository.file(judged, "agent.nix")) == PLAIN.encode()
    assert applied.fsck() == ""


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that another user may have for its own (pytest's own are private)."""
    directory = Path(tempfile.mkdtemp(prefix="hyperhive-test-"))
    yield directory
    shutil.rmtree(directory)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to give the repository to another user")
def test_root_reads_another_user_s_repository_as_that_user(open_directory: Path) -> None:
    applied, config = Applied(open_directory / "applied"), Config(open_directory / "agents/worker/config")
    commit = config.commit({"agent.nix": PLAIN})
    secret = config.path / ".git/objects/info/root-only"
    secret.write_text("x")
    wait(run(["chown", "-R", "65534:65534", str(config.path)], timeout=10))
    config.path.chmod(0o700)
    wait(run(["chown", "0:0", str(secret)], timeout=10))
    secret.chmod(0o600)
    assert applied.fetch(config.path, commit) == commit
    seen = wait(SourceRepository(config.path)._git("hash-object", "/source/.git/objects/info/root-only"))
    assert seen.returncode != 0 and "Permission denied" in seen.error


def test_nothing_of_the_host_but_the_one_repository_is_seen(config: Config, tmp_path: Path) -> None:
    (tmp_path / "agents/secret").write_text("x")
    source = SourceRepository(config.path)
    for path in ("/etc/passwd", str(tmp_path / "agents/secret"), "/source/../agents/secret"):
        seen = wait(source._git("hash-object", path))
        assert seen.returncode != 0 and "No such file" in seen.error, path


def test_without_bwrap_nothing_is_read(
    applied: Applied, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = config.commit({"agent.nix": PLAIN})
    for present in ("git", "prlimit"):
        (tmp_path / present).symlink_to(shutil.which(present) or "")
    with applied.unchanged():
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(Unavailable, match="bwrap is not on PATH; install it"):
            applied.fetch(config.path, commit)
