"""A stand-in for Claude Code, for what the real one does only on a bad day; the cage around it is the real one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from settings_samples import sample

from hyperhive.containers import Applied
from hyperhive.containers.cage import CLAUDE, CagePaths, bubblewrap, write_etc
from hyperhive.harness.config import HarnessConfig

LACKING = next((p for p in ("bwrap", "socat", "setpriv") if shutil.which(p) is None), None)
SKIP_REASON = f"{LACKING} is not on PATH"

# Each run keeps its prompt and arguments in /state/runs/N, then runs the script /state/answers/N (or the last one).
_STAND_IN = """#!/bin/sh
[ "$1" = --version ] && { echo "0 (a stand-in)"; exit 0; }
number=$(ls /state/runs | wc -l)
mkdir /state/runs/$number
cat > /state/runs/$number/prompt
printf '%s\\n' "$@" > /state/runs/$number/arguments
answer=/state/answers/$number
[ -e "$answer" ] || answer=$(ls -d /state/answers/* | tail -n 1)
. "$answer"
"""
STORE = """
while [ $# -gt 0 ]; do
  case "$1" in --session-id | --resume) session=$2 ;; esac
  shift
done
mkdir -p /state/.claude/projects/-state-work
: > /state/.claude/projects/-state-work/$session.jsonl
"""
"""Shell that stores the session, as Claude Code does."""

INIT: dict[str, Any] = {
    "type": "system",
    "subtype": "init",
    "mcp_servers": [{"name": "hive", "status": "connected"}],
}


def result(**fields: Any) -> dict[str, Any]:
    """The event that ends a run; a failure unless `is_error` says otherwise."""
    return {"type": "result", "subtype": "success", "is_error": True, **fields}


DONE = result(is_error=False, terminal_reason="completed")


def prints(*events: dict[str, Any]) -> str:
    """Shell that prints these events, one JSON object a line."""
    return "cat <<'EVENTS'\n" + "\n".join(json.dumps(event) for event in events) + "\nEVENTS\n"


def answers(*events: dict[str, Any]) -> str:
    """Shell of a run that begins well, stores its session and ends with these events."""
    return STORE + prints(INIT, *events)


def stand_in(root: Path, *scripts: str) -> str:
    """Write the stand-in for the agent `worker` of the hive in `root` and return its path; run N is script N."""
    state = state_of(root)
    (state / "runs").mkdir(parents=True)
    (state / "answers").mkdir()
    for number, script in enumerate(scripts):
        (state / "answers" / str(number)).write_text(script)
    program = root / "claude"
    program.write_text(_STAND_IN)
    program.chmod(0o755)
    return str(program)


def state_of(root: Path) -> Path:
    return root / "agents/worker/state"


def runs(root: Path) -> list[tuple[str, list[str]]]:
    """The prompt and the arguments of each run so far."""
    found = sorted((state_of(root) / "runs").iterdir(), key=lambda path: int(path.name))
    return [((path / "prompt").read_text(), (path / "arguments").read_text().splitlines()) for path in found]


def config(root: Path, *scripts: str, **changes: Any) -> HarnessConfig:
    """The configuration of a harness whose turns run the stand-in in a real cage; no core is there."""
    program = stand_in(root, *scripts)
    settings = sample(**changes)
    paths = CagePaths(state=state_of(root), runtime=root / "run", claude=Path(program))
    (paths.state / "work").mkdir()
    write_etc(paths.runtime / "etc", settings)
    for name in ("mcp.sock", "model.sock", "policy.sock"):
        (paths.runtime / name).touch()
    cage = tuple(bubblewrap(shutil.which("bwrap") or "bwrap", Applied("worker", 1, settings, {}), paths))
    return HarnessConfig(
        socket=root / "harness.sock",
        settings=settings,
        generation=1,
        state=paths.state,
        private=root / "private",
        cage=cage,
        terminal=cage,
        claude=CLAUDE,
        drain=1.0,
    )


def write(path: Path, made: HarnessConfig) -> Path:
    """The same as harness.json and settings.json beside it."""
    settings = path.with_name("settings.json")
    settings.write_text(json.dumps(made.settings.to_json()))
    value = {
        "socket": str(made.socket),
        "settings": str(settings),
        "generation": made.generation,
        "state": str(made.state),
        "private": str(made.private),
        "cage": {"kind": "bwrap", "argv": list(made.cage), "env": {}},
        "claude": made.claude,
        "drain": made.drain,
    }
    path.write_text(json.dumps(value))
    return path
