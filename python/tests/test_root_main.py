"""The command line of hive-root: an instance name is somebody else's text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from root_rig import Host, needs_root, running_host

from hyperhive.errors import BadInput
from hyperhive.root.main import instance, main
from hyperhive.root.places import Places


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with running_host(tmp_path, monkeypatch) as made:
        yield made


NO_NAMES = [
    "", " ", ".", "..", "../x", "a/b", "/", "/etc", "a:1", "a:1:2", ":1", "A", "Worker", "1a", "-a", "--help-me", "a b",
    "a\n", "a\x00", "ä", "a_b", "a.b", "a@b", "a" * 32, "a\\x2fb", ".purged-a", "operator", "system", "%i", "$(id)",
    "*",
]  # fmt: skip


@pytest.mark.parametrize("verb", ["prepare", "stop", "purge"])
@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_is_refused(verb: str, name: str) -> None:
    with pytest.raises(BadInput):
        instance(verb, name)


@pytest.mark.parametrize(
    "given",
    ["a", "a:", "a:0", "a:01", "a:-1", "a:+1", "a:1.0", "a:1:2", "a::1", ":1", "a:1\n", "a: 1", "a:\u0661", "a:1e3",
     "a:0x1", f"a:{'1' * 10}", *(f"{name}:1" for name in NO_NAMES if name != "a")],
)  # fmt: skip
def test_what_is_no_name_and_generation_is_refused(given: str) -> None:
    with pytest.raises(BadInput):
        instance("activate", given)


def test_names_and_generations_are_taken_apart() -> None:
    assert instance("prepare", "a" * 31) == ("a" * 31, 0)
    assert instance("activate", "my-agent-2:17") == ("my-agent-2", 17)


def test_a_bad_name_is_one_line_and_nothing_is_touched(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(host.root.rglob("*"))
    assert host.run("purge", "../\x1b[2Jx\n") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: '../")
    assert error.count("\n") == 1
    assert "\x1b" not in error
    assert sorted(host.root.rglob("*")) == before
    assert host.systemctl() == []


@pytest.mark.parametrize(
    "words", [[], ["prepare"], ["destroy", "a"], ["prepare", "a", "b"], ["prep", "a"], ["stop", "--all"]]
)
def test_a_usage_error_is_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("usage: hive-root")


@pytest.mark.skipif(os.geteuid() == 0, reason="the tests run as root")
def test_who_is_not_root_is_told_of_the_units(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert host.run("stop", "worker") == 1
    assert "hive-root needs to be root; its units are hive-prepare@" in capsys.readouterr().err


@needs_root
def test_a_missing_configuration_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop", "worker"], Places(config=tmp_path / "root.json")) == 1
    expected = f"error: {tmp_path}/root.json: No such file or directory; the NixOS module of hyperhive writes it\n"
    assert capsys.readouterr().err == expected
