"""How long Nix evaluates the host's module, by the number of agents: each must cost the same, and little."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from pathlib import Path

from bench.row import Row

ROOT = Path(__file__).parents[1]
COUNTS = (1, 10, 100)
ROUNDS = 5
MAX_MS = 5.0
MAX_BEND = 1.5
"""How much more an agent may cost among a hundred than among ten: what is not linear costs ten times as much."""

# All that the module sets is evaluated to the end, as a host's build does.
HIVE = """\
let
  lib = import {lib};
  inherit (import {root}/checks/eval/tools.nix {{ inherit lib; }}) host;
  agent = index: {{ name = "agent${{toString index}}"; value.index = index; }};
  agents = builtins.listToAttrs (builtins.genList (number: agent (number + 1)) {count});
  config = host {{ services.hyperhive = {{ enable = true; inherit agents; }}; }};
in
builtins.stringLength (builtins.toJSON [
  config.assertions
  config.containers
  config.environment.etc
  config.security.polkit.extraConfig
  config.systemd.services
  config.systemd.tmpfiles.rules
  config.users.users
])
"""


def measure() -> list[Row]:
    """Milliseconds an agent (about 10 s), with the stand-in or $HYPERHIVE_NIXPKGS_LIB."""
    lib = os.environ.get("HYPERHIVE_NIXPKGS_LIB", str(ROOT / "checks/stand-in/lib"))
    times = {count: statistics.median(_time(lib, count) for _ in range(ROUNDS)) for count in COUNTS}
    few = (times[10] - times[1]) / 9 * 1000
    many = (times[100] - times[10]) / 90 * 1000
    return [
        *(Row(f"host module with {count} agents", times[count] * 1000, "ms", "", ok=True) for count in COUNTS),
        Row("an agent more, up to 10", few, "ms", f"≤ {MAX_MS:g}", few <= MAX_MS),
        Row("an agent more, up to 100", many, "ms", f"≤ {MAX_MS:g}", many <= MAX_MS),
        Row("that, against up to 10", many / few, "x", f"≤ {MAX_BEND:g}", many / few <= MAX_BEND),
    ]


def _time(lib: str, count: int) -> float:
    began = time.perf_counter()
    subprocess.run(
        ["nix-instantiate", "--eval", "--expr", HIVE.format(lib=lib, root=ROOT, count=count)],
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began
