"""hive-ag3nt and hive-m1nd as commands."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from e2e.turn_rig import rig
from harness_rig import DONE, LACKING, SKIP_REASON, answers, config, stand_in, write

from hyperhive.harness.main import main
from hyperhive.settings import Role


def test_the_help_is_a_few_lines_and_does_not_show_the_ops_only_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main("hive-ag3nt", Role.AGENT, ["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "--config" in said and "SIGTERM" in said
    assert "debug" not in said and "recv" not in said
    assert len(said.splitlines()) < 15, said


def test_a_configuration_that_is_not_there_is_one_line_and_exit_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("hive-ag3nt", Role.AGENT, ["--config", str(tmp_path / "none.json")]) == 3
    said = capsys.readouterr().err
    assert said.startswith("error: ") and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("program", "role", "right"), [("hive-ag3nt", "manager", "hive-m1nd"), ("hive-m1nd", "agent", "hive-ag3nt")]
)
def test_the_wrong_role_is_refused_and_the_right_program_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], program: str, role: str, right: str
) -> None:
    path = write(tmp_path / "harness.json", config(tmp_path, answers(DONE), role=role))
    mine = Role.AGENT if program == "hive-ag3nt" else Role.MANAGER
    assert main(program, mine, ["--config", str(path)]) == 3
    assert capsys.readouterr().err == f"error: worker is of role {role}; start it with {right}\n"


def test_a_core_that_was_killed_before_its_harness_could_hear_of_it_leaves_none(tmp_path: Path) -> None:
    """The kernel tells of a parent's death only who has asked for it before: setpriv, here too late."""
    path = write(tmp_path / "harness.json", config(tmp_path, answers(DONE)))
    harness = "import sys; from hyperhive.harness.main import agent; sys.argv[0] = 'hive-ag3nt'; agent()"
    late = f'while kill -0 "$2" 2>/dev/null; do sleep 0.01; done; echo $$ > {tmp_path}/pid; exec setpriv "$@"'
    words = ["--pdeathsig", "KILL", "--", sys.executable, "-c", harness, "--config", str(path), "--parent"]
    core = f"""
import os, subprocess
log = open({str(tmp_path / "log")!r}, "w")
words = {words!r} + [str(os.getpid())]
subprocess.Popen(["sh", "-c", {late.replace('"$2"', "$PPID")!r}, "late", *words], stderr=log)
"""
    environment = {**os.environ, "PYTHONPATH": "python"}
    core_pid = subprocess.Popen([sys.executable, "-c", core], env=environment)
    assert core_pid.wait() == 0
    until = time.monotonic() + 20
    while "has ended" not in (tmp_path / "log").read_text():
        assert time.monotonic() < until, (tmp_path / "log").read_text()
        time.sleep(0.02)
    pid = int((tmp_path / "pid").read_text())
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_flag_that_does_not_exist_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as ended:
        main("hive-ag3nt", Role.AGENT, ["--no-such-flag"])
    assert ended.value.code == 2


@pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)
def test_the_ops_only_commands_send_receive_and_acknowledge_as_the_agent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def go() -> None:
        async with rig(tmp_path, claude=stand_in(tmp_path, answers(DONE))) as made:
            await made.backend.stop("worker")
            options = ["--config", str(tmp_path / "run/agents/worker/harness.json"), "debug"]

            async def debug(*words: str) -> str:
                assert await asyncio.to_thread(main, "hive-ag3nt", Role.AGENT, [*options, *words]) == 0
                return capsys.readouterr().out.strip()

            sent = await debug("send", "operator", "a word")
            (mail,) = await made.broker.inbox(all_=False, limit=10)
            assert (mail.id, mail.sender, mail.body) == (int(sent), "worker", "a word")
            message = await made.broker.send("operator", "worker", "hi")
            assert json.loads(await debug("recv"))["id"] == message
            assert await debug("ack", str(message)) == "1"
            assert await made.broker.waiting("worker") == []

    asyncio.run(go())
