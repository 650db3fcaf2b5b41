"""A working hive and an idle one: 100 agents that exchange 200 messages a second, and 1,000 that wait for mail.

The core is a real one; the agents are a process of their own that makes the harness's calls.
`python -m bench.exchange 1800` exchanges for half an hour.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.core_process import agent_sockets, cpu_seconds, real_core, resident
from bench.row import Row
from bench.wire import Client, body_of, request
from hyperhive.harness.loop import POLL

SECONDS = 60
AGENTS = 100
RATE = 200
"""Messages a second, all agents together."""
CROWD = 1000
IDLE_SECONDS = 120
"""Twice as long as a harness waits at a time, so that each calls as often as in a day."""
WARM = 10.0
"""Seconds before anything is measured."""
SPREAD = 10.0
"""Seconds in which the agents come."""
BODY = "the report is in /state/work/report.txt, as you asked; the second half needs another look " * 3


def measure(seconds: int = SECONDS) -> list[Row]:
    """Both hives, one after the other (four minutes)."""
    busy = _run("exchange", AGENTS, seconds)
    idle = _run("idle", CROWD, IDLE_SECONDS)
    name = f"{AGENTS} agents, {RATE} messages/s for {seconds} s"
    lost = busy["sent"] - busy["received"]
    return [
        Row(f"{name}: send → recv, p50", busy["p50"], "ms", "", True),
        Row(f"{name}: send → recv, p99", busy["p99"], "ms", "≤ 50", busy["p99"] <= 50),
        Row(f"{name}: received", busy["received"] / seconds, "messages/s", f"≥ {RATE * 0.99:g}", lost == 0),
        Row(f"{name}: the core's CPU", busy["cpu"], "% of a core", "< 100", busy["cpu"] < 100),
        Row(f"{name}: resident at the end", busy["resident"], "MB", "", True),
        Row(f"{name}: grown since the first fifth", busy["grown"], "MB", "≤ 5", busy["grown"] <= 5),
        Row(f"{CROWD} idle agents: the core's CPU", idle["cpu"], "% of a core", "≤ 3", idle["cpu"] <= 3),
        Row(f"{CROWD} idle agents: resident", idle["resident"], "MB", "≤ 250", idle["resident"] <= 250),
    ]


def _run(what: str, agents: int, seconds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as name, real_core(Path(name), agents) as pid:
        argv = [sys.executable, "-m", "bench.exchange", what, name, str(pid), str(agents), str(seconds)]
        found: dict[str, float] = json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)
        return found


# The agents' process


class Agents:
    """What the harnesses of a hive do between turns: say that they live, wait for mail, acknowledge it."""

    def __init__(self, root: Path, count: int) -> None:
        self._root = root
        self._count = count
        self.times: list[float] = []
        self.sent = 0

    async def wait_for_mail(self, group: asyncio.TaskGroup) -> None:
        """Let all of them wait; they do not come all at once."""
        for number in range(self._count):
            group.create_task(self._harness(number))
            await asyncio.sleep(SPREAD / self._count)

    async def _harness(self, number: int) -> None:
        client = await self._connect(number)
        alive = request("heartbeat", {"generation": 1, "state": "idle", "pid": 1})
        wait = request("recv", {"max": 20, "wait": POLL, "lease": 2700, "restarted": False})
        while True:
            body_of(await client.ask(alive))
            if messages := body_of(await client.ask(wait))["messages"]:
                now = time.perf_counter()
                self.times += [now - float(message["body"].split(" ", 1)[0]) for message in messages]
                body_of(await client.ask(request("ack", {"ids": [message["id"] for message in messages]})))

    async def _connect(self, number: int) -> Client:
        path = str(agent_sockets(self._root, number) / "harness.sock")
        return (await asyncio.get_running_loop().create_unix_connection(Client, path))[1]

    async def exchange(self, seconds: float) -> None:
        """Each in turn writes to somebody, RATE times a second in all."""
        senders = [(await self._connect(number), asyncio.Lock()) for number in range(self._count)]
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(seconds * RATE)):
                await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
                to = random.choice([agent for agent in range(self._count) if agent != number % self._count])
                message = request("send", {"to": f"agent{to}", "body": f"{time.perf_counter()} {BODY}"})
                group.create_task(self._send(*senders[number % self._count], message))

    async def _send(self, client: Client, turn: asyncio.Lock, message: bytes) -> None:
        async with turn:  # a connection has one request at a time
            body_of(await client.ask(message))
        self.sent += 1


async def _measured(what: str, agents: Agents, pid: int, seconds: int) -> dict[str, float]:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(_forever(agents))
        await asyncio.sleep(SPREAD + 2)  # until all of them wait
        if what == "exchange":
            await agents.exchange(WARM)
            await asyncio.sleep(1.0)  # what is still on its way
        agents.times, agents.sent = [], 0
        memory, before, began = [], cpu_seconds(pid), time.perf_counter()
        work = group.create_task(agents.exchange(seconds) if what == "exchange" else asyncio.sleep(seconds))
        while not work.done():
            await asyncio.wait({work}, timeout=1.0)
            memory.append(resident(pid))
        cpu = (cpu_seconds(pid) - before) / (time.perf_counter() - began) * 100
        await asyncio.sleep(1.0)  # what is still on its way
        running.cancel()
    memory = memory[len(memory) // 5 :]
    return {"cpu": cpu, "resident": memory[-1], "grown": memory[-1] - memory[0], **_way(agents)}


async def _forever(agents: Agents) -> None:
    async with asyncio.TaskGroup() as group:
        await agents.wait_for_mail(group)


def _way(agents: Agents) -> dict[str, float]:
    """Milliseconds from send to recv."""
    times = sorted(each * 1000 for each in agents.times) or [0.0]
    return {
        "p50": times[len(times) // 2],
        "p99": times[len(times) * 99 // 100],
        "sent": agents.sent,
        "received": len(agents.times),
    }


def main(arguments: list[str]) -> None:
    """Print the figures; with more than a number of seconds, be the agents' process."""
    import uvloop  # noqa: PLC0415  (the process' only)

    match arguments:
        case [what, root, pid, count, seconds]:
            agents = Agents(Path(root), int(count))
            print(json.dumps(uvloop.run(_measured(what, agents, int(pid), int(seconds)))))
        case _:
            for row in measure(*map(int, arguments)):
                print(f"{row.name:62} {row.value:10.2f} {row.unit:12} {row.target:10} {'ok' if row.ok else 'MISSED'}")


if __name__ == "__main__":
    main(sys.argv[1:])
