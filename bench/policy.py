"""The policy: the hook as a whole process in a cage, as a command waits for it; a verdict and a delta in the core."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from importlib import resources
from pathlib import Path

from settings_samples import sample

from bench.row import Row

ROUNDS = 200
PATTERNS = 500
MAX_HOOK = 40.0
MAX_CORE = 50.0
COMMAND = 'cd src && git log --oneline -5 | head -3 && for f in a b; do wc -l "$f"; done 2>&1'
LOOP = """
i=0; while [ $i -lt %d ]; do
  a=$(date +%%s%%N)
  printf '%%s' "$Q" | sh /hook.sh >/dev/null || echo failed
  echo $(($(date +%%s%%N) - a)); i=$((i+1))
done
"""
ASK = '{"tool_name": "Bash", "tool_input": {"command": %s}, "cwd": "/state/work"}'


def measure() -> list[Row]:
    """About 10 s. A `date` before and after is part of the hook's time."""
    hooks, core = asyncio.run(_measure())
    return [
        Row("a hook's decision as a whole process, p50", hooks[len(hooks) // 2], "ms", "", ok=True),
        _bounded("a hook's decision as a whole process, p95", _p95(hooks), MAX_HOOK),
        _bounded("explain in the core, p95", _p95(core), MAX_CORE),
        _bounded(f"delta of {PATTERNS} patterns each, p95", _delta("tool{}"), MAX_CORE),
        _bounded(f"delta of {PATTERNS} patterns of one program each, p95", _delta("git sub{}"), MAX_CORE),
    ]


async def _measure() -> tuple[list[float], list[float]]:
    from hyperhive.api.hook import hook_listener  # noqa: PLC0415
    from hyperhive.policy.bash import Decision, decide  # noqa: PLC0415

    settings = sample(bash={"allow": ["git *", "head *", "wc *"], "deny": []})

    class Guard:
        async def decide(self, agent: str, command: str, cwd: str) -> Decision:
            return await decide(command, settings, cwd=cwd)

    core = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        assert (await decide(COMMAND, settings)).allowed
        core.append((time.perf_counter() - began) * 1000)
    with tempfile.TemporaryDirectory() as directory:
        listener = hook_listener(Guard())
        await listener.listen(Path(directory, "policy.sock"), "worker")
        try:
            hooks = await asyncio.to_thread(_hooks, Path(directory))
        finally:
            await listener.close_all()
    return sorted(hooks), sorted(core)


def _hooks(directory: Path) -> list[float]:
    """Milliseconds of each hook, in one cage."""
    (directory / "hook.sh").write_text(resources.files("hyperhive").joinpath("harness/hook.sh").read_text())
    argv = [
        "bwrap",
        "--unshare-all",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--tmpfs",
        "/tmp",
        "--ro-bind",
        "/usr",
        "/usr",
    ]
    for name in ("bin", "lib", "lib64"):
        argv += ["--symlink", f"usr/{name}", f"/{name}"]
    argv += ["--bind", str(directory / "policy.sock"), "/run/hive/policy.sock"]
    argv += ["--ro-bind", str(directory / "hook.sh"), "/hook.sh", "--setenv", "Q", ASK % _quoted(COMMAND)]
    done = subprocess.run([*argv, "--", "bash", "-c", LOOP % ROUNDS], capture_output=True, text=True, check=True)
    return [int(line) / 1e6 for line in done.stdout.split()]


def _delta(shape: str) -> float:
    """Milliseconds, with nothing remembered: half of the patterns stay, the others narrow or are new."""
    from hyperhive.policy.delta import delta  # noqa: PLC0415
    from hyperhive.policy.match import tokens  # noqa: PLC0415

    names = [shape.format(number) for number in range(PATTERNS * 3 // 2)]
    old = sample(bash={"allow": [f"{name} *" for name in names[:PATTERNS]], "deny": []})
    later = [f"{name} {'*' if number % 2 else 'x'}" for number, name in enumerate(names[PATTERNS // 2 :])]
    new = sample(bash={"allow": later, "deny": []})
    times = []
    for _ in range(20):
        tokens.cache_clear()
        began = time.perf_counter()
        delta(old, new)
        times.append((time.perf_counter() - began) * 1000)
    return _p95(times)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def _p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def _bounded(name: str, value: float, most: float) -> Row:
    return Row(name, value, "ms", f"≤ {most:g}", value <= most)
