"""hyperhive.orphans: real sandboxes whose bubblewrap was killed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from harness_rig import LACKING, SKIP_REASON, config
from test_harness_turn import alive, until_begun, until_dead

from hyperhive.orphans import end_orphans

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


def test_a_sandbox_without_its_bubblewrap_is_ended_and_one_with_it_stays(tmp_path: Path) -> None:
    made = config(tmp_path)
    unbound = [word for word in made.cage if word != "--die-with-parent"]
    with (
        subprocess.Popen([*unbound, "sh", "-c", "touch /state/begun; exec sleep 63.25"]) as lost,
        subprocess.Popen([*made.cage, "sleep", "64.25"]) as kept,
    ):
        until_begun(tmp_path)
        lost.kill()
        lost.wait()
        assert alive("sleep 63.25")
        end_orphans(made.state)
        until_dead("sleep 63.25")
        until_dead("sleep\00063.25")
        assert kept.poll() is None and alive("sleep\00064.25")
        kept.kill()
