"""checks.soak: parts of a loaded hive are killed at random instants, and nothing is lost or mixed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from checks.soak import condemned, proof, proof_apply
from checks.soak.hive import Hive, send
from checks.soak.ledger import Ledger, Sent
from checks.soak.soak import Plan, soak
from core_rig import LACKING, SKIP_REASON

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


def test_kills_at_random_instants_lose_no_mail_and_mix_no_proposal(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("soak")
    report = soak(Plan(rounds=4, seed=3, root=root), print)
    assert report.wrong == []
    assert sum(report.kills.values()) == 4
    assert report.counts["accepted"] > 0
    the_proof_sees_what_is_wrong(Hive(root))


def the_proof_sees_what_is_wrong(hive: Hive) -> None:
    """The same hive with a message, an end and a generation that are not so."""
    lost = Ledger(accepted=[Sent(10**6, "operator", "ant", "lost")])
    assert f"message {10**6} of operator to ant was accepted and is not there" in list(proof.mail(hive, lost))
    with closing(sqlite3.connect(hive.state / "hive.db")) as connection, connection:
        connection.execute("UPDATE messages SET delivered_at = 1 WHERE id = 1")
        connection.execute("UPDATE agents SET generation = 99 WHERE name = 'ant'")
        connection.execute("INSERT INTO audit (at, actor, action, subject, detail) VALUES (1, 'x', 'x', 'x', '{}')")
    assert any("message 1 " in each and "2 times" in each for each in proof.mail(hive, Ledger()))
    assert any("ant runs generation 99" in each for each in proof_apply.generations(hive))
    assert any("audit log is broken" in each for each in proof.chain(hive))
    for name in ("forgotten.noted", "beside.twice"):
        (hive.state / "agents/ant/state/soak" / name).touch()
    assert list(proof.notes(hive)) == [
        "what ant noted in run forgotten is not in its notes",
        "ant ran run beside while another one ran",
    ]


def test_what_outlives_a_kill_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(condemned, "GONE", 0.5)
    hive = Hive(tmp_path)
    found = condemned.Condemned(hive)
    sleeps = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleeps) as killed, subprocess.Popen([*sleeps, f"{tmp_path}/x"]) as stray:
        # Popen returns in the midst of the child's exec: its command line is empty for a moment yet
        hive.wait(lambda: stray.pid in hive.processes(), 20, "the stray process has no command line")
        found.add([killed.pid])
        found.look()
        assert (found.count, found.wrong) == (2, [])
        killed.kill()
        killed.wait()
        time.sleep(0.6)
        found.look()
        (wrong,) = found.wrong
        assert f"process {stray.pid} is there" in wrong and f"{tmp_path}/x" in wrong
        stray.kill()


@pytest.mark.parametrize("many", [0, -1, 1])
def test_a_signal_goes_to_one_process_or_none(many: int) -> None:
    with pytest.raises(ValueError, match="is no process of the hive"):
        send(many, signal.SIGCONT)
