"""The sandbox that reads what agents wrote: what is not there, and what is limited."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from flakes_rig import needs_bwrap, wait

from hyperhive.errors import Unavailable
from hyperhive.flakes.sandbox import Limits, Sandbox, check_started
from hyperhive.process import Result, run

pytestmark = needs_bwrap

LIMITS = Limits(memory=1024**3, cpu=5, scratch=1024 * 1024)


def inside(script: str, sandbox: Sandbox | None = None) -> Result:
    """What a shell script does in there."""
    argv = (sandbox or Sandbox(LIMITS, {})).command("/bin/sh", "-c", script)
    return wait(run(argv, timeout=20, check=False))


def test_only_the_system_and_scratch_space_are_there() -> None:
    system = {"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "nix"}
    assert set(inside("ls /").text.split()) - system == {"dev", "proc", "tmp"}


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/etc/passwd", "/root", "/home", "/var", "/run", "/sys", "/proc/1/root/etc"]
)
def test_a_path_of_the_host_is_not_there(path: str) -> None:
    assert inside(f"ls {path}").returncode != 0


def test_the_environment_is_empty_but_for_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    found = inside("env", Sandbox(LIMITS, {}, {"HOME": "/tmp"})).text
    assert "secret" not in found and "HOME=/tmp" in found.split()


def test_nothing_can_be_written_but_a_little_scratch_space(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    sandbox = Sandbox(LIMITS, {"/bound": tmp_path})
    for target in ("/x", "/usr/x", "/bound/x", "/bound/file", "/etc/x"):
        assert inside(f"mkdir -p /tmp/a; echo new > {target}", sandbox).returncode != 0, target
    assert inside("echo x > /tmp/x && cat /tmp/x", sandbox).text == "x"
    assert "No space left" in inside("head -c 2000000 /dev/zero > /tmp/big", sandbox).error
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "old"


def test_a_hidden_directory_is_empty(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/file").touch()
    assert inside("ls /bound/sub", Sandbox(LIMITS, {"/bound": tmp_path})).text == "file"
    assert inside("ls /bound/sub", Sandbox(LIMITS, {"/bound": tmp_path}, hidden=("/bound/sub",))).text == ""


def test_there_is_no_network_but_loopback() -> None:
    assert inside("cat /proc/net/dev | grep -c :").text == "1"


def test_no_privilege_and_no_further_namespace_can_be_had() -> None:
    assert inside("grep CapEff /proc/self/status").text.split()[1] == "0" * 16
    assert inside("unshare --user true").returncode != 0


def test_processes_of_the_host_are_not_seen() -> None:
    assert str(os.getpid()) not in inside("ls /proc").text.split() or os.getpid() < 10


def test_memory_and_cpu_are_limited() -> None:
    assert inside("ulimit -v; ulimit -t; ulimit -c").text.split() == ["1048576", "5", "0"]


def test_a_sandbox_that_cannot_be_made_says_what_to_do() -> None:
    result = Result(("bwrap",), 1, b"", b"bwrap: setting up uid map: Permission denied\n")
    with pytest.raises(
        Unavailable, match=r"setting up uid map: Permission denied.; allow unprivileged user namespaces"
    ):
        check_started(result)


def test_a_program_that_is_not_inside_is_named() -> None:
    result = wait(run(Sandbox(LIMITS, {}).command("/opt/none"), timeout=10, check=False))
    with pytest.raises(Unavailable, match=r"execvp /opt/none.*must be in /usr or in /nix/store"):
        check_started(result)
