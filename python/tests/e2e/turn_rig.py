"""The parts of a turn, without proposals: broker, sockets, gateway, MCP, local backend, rehearsal model."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from settings_samples import sample

from hyperhive import usage_limit
from hyperhive.activity import Activities
from hyperhive.api.harness import create_harness_app
from hyperhive.api.hook import hook_listener
from hyperhive.api.mcp import mcp_listener
from hyperhive.api.mcp_tools import HiveTools
from hyperhive.api.server import Servers
from hyperhive.broker import Broker
from hyperhive.budgets import Budgets
from hyperhive.containers import Applied, Crash
from hyperhive.containers.local import LocalBackend
from hyperhive.controls import Controls
from hyperhive.gateway.model import create_model_app
from hyperhive.gateway.upstream import ModelApi
from hyperhive.heartbeats import Heartbeats
from hyperhive.hub import Hub
from hyperhive.policy.bash import Decision, decide
from hyperhive.policy.ceilings import Ceilings
from hyperhive.settings import Role, Settings
from hyperhive.store import agents
from hyperhive.store.database import Database

CLAUDE = shutil.which("claude")
LACKING = next((p for p in ("bwrap", "socat", "claude") if shutil.which(p) is None), None)


class StubHive:
    """hyperhive.api.mcp_tools.HiveFacade for agents that are all plain."""

    def __init__(self, settings: Settings, controls: Controls) -> None:
        self._settings = settings
        self._controls = controls

    async def role(self, agent: str) -> Role:
        return Role.AGENT

    async def settings(self, agent: str) -> Settings:
        return self._settings

    async def append_note(self, agent: str, text: str) -> int:
        return await self._controls.append_notes(agent, self._settings.notes, text, None)

    async def notes_size(self, agent: str) -> int | None:
        return None

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a plain agent called {name}")


class Rig:
    """One agent, `worker`, and everything around it."""

    def __init__(
        self,
        root: Path,
        settings: Settings,
        database: Database,
        model: subprocess.Popen[bytes],
        claude: str,
        drain: float,
    ) -> None:
        self.root = root
        self.settings = settings
        self.database = database
        self.hub = Hub()
        self.activities = Activities(self.hub)
        self.broker = Broker(database, self.hub)
        self.budgets = Budgets(database, self.broker, self.hub, Ceilings(), {})
        self.heartbeats = Heartbeats()
        self.controls = Controls(database)
        self.pause = usage_limit.pause_of(database, self.broker, self.hub)
        self.servers = Servers()
        self.crashes: list[Crash] = []
        self.decisions: list[tuple[str, Decision]] = []
        self.judged_by: dict[str, Settings] = {}
        self.model_port = 0
        self.model = model
        self.harness_pid = 0
        self.backend = LocalBackend(
            state_dir=root, runtime_dir=root / "run", claude=claude, drain=drain, on_crash=self._crashed
        )

    def stop_model(self) -> None:
        """Let nobody listen where the model API is."""
        self.model.terminate()
        self.model.wait()

    async def decide(self, agent: str, command: str, cwd: str) -> Decision:
        """hyperhive.api.hook.Guard."""
        decision = await decide(command, self.judged_by.get(command, self.settings), cwd=cwd)
        self.decisions.append((command, decision))
        return decision

    async def heartbeat(self, agent: str, generation: int, state: str, pid: int, trouble: str | None) -> None:
        self.harness_pid = pid
        self.heartbeats.beat(agent, generation, state, trouble)

    async def _crashed(self, crash: Crash) -> None:
        self.crashes.append(crash)
        self.heartbeats.fail(crash.agent, crash.log)

    async def show(self) -> None:
        """Let the harness reach the core."""
        path = self.root / "run/agents/worker/harness.sock"
        await self.servers.listen(path, create_harness_app(self), identity="worker", mode=0o600)

    async def hide(self) -> None:
        """Take the core away from the harness."""
        await self.servers.close(self.root / "run/agents/worker/harness.sock")

    async def start(self) -> None:
        expected = self.heartbeats.expect("worker", 1)
        config = self.root / "agents" / "worker" / "config"
        config.mkdir(parents=True, exist_ok=True)
        await self.backend.start(Applied("worker", 1, self.settings, {"worker": config}))
        await self.heartbeats.wait("worker", expected, 30)

    async def say(self, steps: list[dict[str, Any]], text: str = "please") -> int:
        """Mail to worker whose turn is scripted."""
        from hyperhive.rehearsal.script import marked  # noqa: PLC0415

        return await self.broker.send("operator", "worker", f"{text} {marked(steps)}")

    async def turn_done(self, message: int, timeout: float = 30) -> dict[str, Any]:
        """Wait until the message is acknowledged, and give its turn's row."""
        await self.until(lambda c: _delivered(c, message), timeout)
        return await self.database.read(lambda c: _turn_of(c, message))

    async def until(self, condition: Callable[[Any], Any], timeout: float = 30) -> Any:
        """Wait until `condition(connection)` is true."""
        deadline = time.monotonic() + timeout
        while not (found := await self.database.read(condition)):
            assert time.monotonic() < deadline, f"timed out; log: {self.log()}"
            await asyncio.sleep(0.02)
        return found

    def log(self) -> str:
        """What the harness has said."""
        path = self.root / "log/worker.log"
        return path.read_text() if path.exists() else ""

    async def outcomes(self) -> list[str | None]:
        """How the turns so far ended, in order."""
        return await self.database.read(
            lambda c: [outcome for (outcome,) in c.execute("SELECT outcome FROM turns ORDER BY id")]
        )

    async def dead_letters(self, count: int = 1) -> list[int]:
        """Their ids, once there are so many."""
        query = "SELECT id FROM messages WHERE dead_at > 0 ORDER BY id"
        await self.until(lambda c: len(c.execute(query).fetchall()) >= count, 60)
        return await self.database.read(lambda c: [number for (number,) in c.execute(query)])

    async def results(self, turn: int) -> list[dict[str, Any]]:
        """The tool results of a turn, as Claude Code reported them."""
        rows = await self.database.read(
            lambda c: c.execute("SELECT event FROM turn_events WHERE turn = ? ORDER BY seq", (turn,)).fetchall()
        )
        content = [
            block
            for (row,) in rows
            if (event := json.loads(row)).get("type") == "user"
            for block in event["message"]["content"]
        ]
        return [block for block in content if isinstance(block, dict) and block.get("type") == "tool_result"]


def _delivered(connection: Any, message: int) -> bool:
    row = connection.execute("SELECT delivered_at FROM messages WHERE id = ?", (message,)).fetchone()
    return row[0] is not None


def _turn_of(connection: Any, message: int) -> dict[str, Any]:
    cursor = connection.execute("SELECT * FROM turns WHERE message_ids LIKE ? ORDER BY id DESC", (f"%{message}%",))
    names = [column[0] for column in cursor.description]
    return dict(zip(names, cursor.fetchone(), strict=True))


@asynccontextmanager
async def rig(root: Path, *, claude: str = CLAUDE or "claude", drain: float = 20, **changes: Any) -> AsyncIterator[Rig]:
    """A started rig; the agent's settings are the sample's with `changes`."""
    settings = sample(**changes)
    model = subprocess.Popen(  # noqa: ASYNC220  (before anything else runs)
        [sys.executable, "-m", "hyperhive.rehearsal"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "python"},
    )
    assert model.stdout
    port = json.loads(model.stdout.readline())["port"]
    database = await Database.open(root / "hive.db")
    made = Rig(root, settings, database, model, claude, drain)
    made.model_port = port
    mcp = mcp_listener(HiveTools(made.broker, StubHive(settings, made.controls)))
    hooks = hook_listener(made)

    api = ModelApi(f"http://127.0.0.1:{port}", key=lambda: "sk-real")
    gateway = create_model_app(api, made.budgets.count, made.pause, made.budgets.check)
    runtime = root / "run" / "agents" / "worker"
    runtime.mkdir(parents=True)
    try:
        await database.write(lambda c: agents.create(c, "worker", Role.AGENT))
        await made.show()
        await made.servers.listen(runtime / "model.sock", gateway, identity="worker", mode=0o600)
        await mcp.listen(runtime / "mcp.sock", "worker")
        await hooks.listen(runtime / "policy.sock", "worker")
        await made.controls.listener.listen(runtime / "control.sock", "worker")
        await made.start()
        yield made
    finally:
        await made.backend.close()
        await mcp.close_all()
        await hooks.close_all()
        await made.controls.listener.close_all()
        await made.servers.close_all()
        await gateway.aclose()
        await database.close()
        model.terminate()
        model.wait()
        model.stdout.close()
