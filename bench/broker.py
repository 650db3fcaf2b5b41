"""The broker over its sockets: durable sends against a bare SQLite loop, send → recv latency, the core's memory.

The core and its clients are processes of their own, so the clients' cost is part of every figure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core_process import resident
from bench.row import Row
from bench.wire import Client, body_of, request

if TYPE_CHECKING:  # the clients' process must not pay for the core's imports
    from hyperhive.activity import Activities
    from hyperhive.broker import Broker
    from hyperhive.hub import Hub
    from hyperhive.store.database import Database
    from hyperhive.store.usage import Use

AGENTS = 100
SECONDS = 2.0
"""How long each load runs."""
SAMPLES = 400
"""Messages whose way from send to recv is timed."""
BODY = "the report is in /state/work/report.txt, as you asked; the second half needs another look " * 3


def measure() -> list[Row]:
    """Run everything once (about 15 s); the bare loop is measured before and after, and the better run counts."""
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as name:
        root = Path(name)
        bare = _bare_rate(root / "bare-1.db")
        with _core(root):
            loads = {clients: _clients(root, "load", str(clients)) for clients in (1, 10, AGENTS)}
            latency = _clients(root, "latency", str(SAMPLES))
        bare = max(bare, _bare_rate(root / "bare-2.db"))
    rows = [Row("bare SQLite loop, one commit each", bare, "inserts/s", "", True)]
    for clients, load in loads.items():
        goal = clients == AGENTS
        ratio = load["rate"] / bare
        rows += [
            Row(f"durable sends, {clients} at a time", load["rate"], "sends/s", "", True),
            Row(
                f"durable sends, {clients} at a time / bare loop",
                ratio,
                "ratio",
                "≥ 1.0" * goal,
                not goal or ratio >= 1,
            ),
        ]
    return [
        *rows,
        Row("send → waiting recv, 100 idle agents, p50", latency["p50"], "ms", "", True),
        Row("send → waiting recv, 100 idle agents, p99", latency["p99"], "ms", "≤ 20", latency["p99"] <= 20),
        Row("core resident, 100 agents in recv", latency["core_mb"], "MB", "≤ 120", latency["core_mb"] <= 120),
    ]


def _bare_rate(path: Path) -> float:
    """Rows per second of one process that inserts the same rows and commits each as durably as the broker does."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(resources.files("hyperhive").joinpath("store/schema-1.sql").read_text())
    began, count = time.perf_counter(), 0
    while (took := time.perf_counter() - began) < SECONDS:
        connection.execute(
            "INSERT INTO messages (sender, recipient, kind, body, sent_at) VALUES ('a', 'b', 'mail', ?, ?)",
            (BODY, time.time()),
        )
        count += 1
    connection.close()
    return count / took


@contextlib.contextmanager
def _core(root: Path) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "bench.broker", "core", str(root)], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the benchmark's core did not start")
        (root / "pid").write_text(str(process.pid))
        yield
    finally:
        process.terminate()
        process.wait()


def _clients(root: Path, *arguments: str) -> dict[str, float]:
    argv = [sys.executable, "-m", "bench.broker", *arguments, str(root)]
    result: dict[str, float] = json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)
    return result


def _agent(number: int) -> str:
    return f"agent-{number}"


# The core's process


@dataclass(frozen=True)
class _Mail:
    """hyperhive.api.harness.HarnessCore without the rest of a core."""

    broker: Broker
    database: Database
    hub: Hub
    activities: Activities
    pause: Any

    async def heartbeat(self, agent: str, generation: int, state: str, pid: int, trouble: str | None) -> None:
        """Nobody waits for it here."""


async def _serve(root: Path) -> None:
    """What a core has for its agents, with all of a core's imports: the mail, and three sockets an agent."""
    from hyperhive.activity import Activities  # noqa: PLC0415
    from hyperhive.api.harness import create_harness_app  # noqa: PLC0415
    from hyperhive.api.mcp import mcp_listener  # noqa: PLC0415
    from hyperhive.api.mcp_tools import HiveTools  # noqa: PLC0415
    from hyperhive.api.server import Servers  # noqa: PLC0415
    from hyperhive.bounds import BrokerLimits  # noqa: PLC0415
    from hyperhive.broker import Broker  # noqa: PLC0415
    from hyperhive.core import collect_garbage_rarely  # noqa: PLC0415
    from hyperhive.gateway.model import create_model_app  # noqa: PLC0415
    from hyperhive.gateway.pause import Pause  # noqa: PLC0415
    from hyperhive.gateway.upstream import ModelApi  # noqa: PLC0415
    from hyperhive.hub import Hub  # noqa: PLC0415
    from hyperhive.loop_guard import Rate  # noqa: PLC0415
    from hyperhive.store.database import Database  # noqa: PLC0415

    async def record(agent: str, use: Use) -> None:
        """No request comes here."""

    collect_garbage_rarely()
    free = Rate(10**9, 60)
    database, hub = await Database.open(root / "hive.db"), Hub()
    pause = Pause(lambda *_: asyncio.sleep(0))
    broker = Broker(database, hub, BrokerLimits(edge=free, agent=free))
    mail = _Mail(broker, database, hub, Activities(hub), pause)
    harness = create_harness_app(mail)
    model = create_model_app(ModelApi("http://127.0.0.1:9", key=lambda: None), record, pause)
    servers, mcp = Servers(), mcp_listener(HiveTools(mail.broker, None))  # type: ignore[arg-type]  # nobody calls it
    await database.write(_create_agents)
    for name in map(_agent, range(AGENTS)):
        (root / name).mkdir()
        await servers.listen(root / name / "harness.sock", harness, identity=name, mode=0o600)
        await servers.listen(root / name / "model.sock", model, identity=name, mode=0o600)
        await mcp.listen(root / name / "mcp.sock", name)
    print("ready", flush=True)
    await asyncio.Event().wait()


def _create_agents(connection: sqlite3.Connection) -> None:
    from hyperhive.settings import Role  # noqa: PLC0415
    from hyperhive.store import agents  # noqa: PLC0415

    for name in map(_agent, range(AGENTS)):
        agents.create(connection, name, Role.AGENT)


# The clients' process


async def _connect(root: Path, number: int) -> Client:
    path = str(root / _agent(number) / "harness.sock")
    return (await asyncio.get_running_loop().create_unix_connection(Client, path))[1]


async def _load(root: Path, count: int) -> dict[str, float]:
    """`count` agents send as fast as they can, to every mailbox in turn."""
    clients = [await _connect(root, number) for number in range(count)]
    requests = [request("send", {"to": _agent(number), "body": BODY}) for number in range(AGENTS)]
    until = time.perf_counter() + SECONDS

    async def run(number: int, client: Client) -> int:
        sent = 0
        while time.perf_counter() < until:
            body_of(await client.ask(requests[(number + sent) % AGENTS]))
            sent += 1
        return sent

    began = time.perf_counter()
    sent = await asyncio.gather(*(run(number, client) for number, client in enumerate(clients)))
    return {"rate": sum(sent) / (time.perf_counter() - began)}


async def _drain(client: Client) -> None:
    while ids := [m["id"] for m in body_of(await client.ask(request("recv", {"max": 100})))["messages"]]:
        body_of(await client.ask(request("ack", {"ids": ids})))


async def _latency(root: Path, samples: int) -> dict[str, float]:
    """All agents wait for mail; one more connection writes to one after the other."""
    listeners = [await _connect(root, number) for number in range(AGENTS)]
    await asyncio.gather(*map(_drain, listeners))
    wait = request("recv", {"wait": 60})
    waiting = [listener.ask(wait) for listener in listeners]
    sender = await _connect(root, 0)
    times = []
    for sample in range(samples):
        to = sample % AGENTS
        began = time.perf_counter()
        sent = sender.ask(request("send", {"to": _agent(to), "body": BODY}))
        (message,) = body_of(await waiting[to])["messages"]
        times.append((time.perf_counter() - began) * 1000)
        assert message["id"] == body_of(await sent)["id"]
        body_of(await listeners[to].ask(request("ack", {"ids": [message["id"]]})))
        waiting[to] = listeners[to].ask(wait)
    times.sort()
    memory = resident(int((root / "pid").read_text()))
    return {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100], "core_mb": memory}


def main(arguments: list[str]) -> None:
    """Print the figures; with arguments, be one of the processes that `measure` starts."""
    import uvloop  # noqa: PLC0415  (the processes' only)

    match arguments:
        case ["core", root]:
            uvloop.run(_serve(Path(root)))
        case ["load", count, root]:
            print(json.dumps(uvloop.run(_load(Path(root), int(count)))))
        case ["latency", samples, root]:
            print(json.dumps(uvloop.run(_latency(Path(root), int(samples)))))
        case _:
            for row in measure():
                print(f"{row.name:50} {row.value:10.2f} {row.unit:10} {row.target:8} {'ok' if row.ok else 'MISSED'}")


if __name__ == "__main__":
    main(sys.argv[1:])
