"""A hive for tests in a browser, as a program: real core, harnesses and Claude Code; the model is the rehearsal.

Prints a line of JSON with a login link once it is ready, then answers each line of JSON on its standard input with one:
{"do": "link"} gives another link, {"do": "send", "to", "steps"} has an agent do these steps of hyperhive.rehearsal,
{"do": "mail", "sender", "body"} writes to the operator, {"do": "pause"} tells the hive of a usage limit, {"do": "park",
"body"} has a message given up, {"do": "propose", "agent", "nix", "reason"} commits and waits for the check, {"do":
"settled", "id"} waits for a proposal's end, {"do": "streams"} counts those who listen to the events and names the
agents whose turns they want, {"do": "restart", "forget"} stops the core and starts it again, without any session if so
asked, {"do": "fill", "agents", "proposals", "mails", "body", "sender"} adds rows to look at, {"do": "turn", "agent",
"events"} one of a turn that is over (its events are JSON lines). It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

from core_rig import OVER, nix, until
from web_rig import Web, web

from hyperhive.config import Dashboard
from hyperhive.hub import Event
from hyperhive.rehearsal.play import play
from hyperhive.rehearsal.script import marked
from hyperhive.rehearsal.server import RehearsalServer
from hyperhive.settings import Role
from hyperhive.store import agents, messages, proposals, turns
from hyperhive.store.proposals import State

WORKER = 'bash.allow = [ "ls *" "cat *" "sleep *" "echo *" ]; prompt = "You keep the report.";'


class Rig:
    """The commands, on one running hive."""

    def __init__(self, made: Web) -> None:
        self.web = made
        self.core = made.hive.core

    async def link(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"link": self.core.dashboard_link("operator:root")}

    async def send(self, given: dict[str, Any]) -> dict[str, Any]:
        body = f"{given.get('text', 'Please.')}\n{marked(given['steps'])}"
        return {"id": await self.core.broker.send("operator", given["to"], body)}

    async def mail(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"id": await self.core.broker.send(given["sender"], "operator", given["body"])}

    async def pause(self, given: dict[str, Any]) -> dict[str, Any]:
        await self.core.pause.begin(time.time() + 3600, "the model API's")
        return {}

    async def park(self, given: dict[str, Any]) -> dict[str, Any]:
        id_ = await self.core.broker.send("operator", "worker", given["body"])
        await self.core.database.write(
            lambda c: c.execute("UPDATE messages SET attempts = 5, lease_until = 1 WHERE id = ?", (id_,))
        )
        return {"id": id_}

    async def propose(self, given: dict[str, Any]) -> dict[str, Any]:
        commit = self.web.hive.commit(given["agent"], given["nix"])
        asked = await self.core.proposals.request(given["agent"], commit, given["reason"], "manager")
        row = await self.web.hive.settled(asked.id, State.REQUESTED)
        return {"id": row.id, "state": row.state}

    async def settled(self, given: dict[str, Any]) -> dict[str, Any]:
        row = await self.web.hive.settled(given["id"], *(state for state in State if state not in OVER))
        return {"state": row.state, "generation": row.generation}

    async def streams(self, given: dict[str, Any]) -> dict[str, Any]:
        found = self.core.hub._subscriptions
        events = {name: Event("turn_event", {"agent": name}) for name in ("manager", "worker")}
        turns = [name for name, event in events.items() if any(each.wanted(event) for each in found)]
        return {"streams": len(found), "turns": turns}

    async def fill(self, given: dict[str, Any]) -> dict[str, Any]:
        def work(connection: sqlite3.Connection) -> None:
            for number in range(given.get("agents", 0)):
                agents.create(connection, f"agent-{number}", Role.AGENT)
                agents.set_desired(connection, f"agent-{number}", "stopped")
            for number in range(given.get("proposals", 0)):
                made = proposals.insert(
                    connection, agent="worker", commit="c" * 40, reason=f"reason {number}", requester="manager"
                )
                proposals.update(connection, made, state="denied")
            sender = given.get("sender", "worker")
            kind = "event" if sender == "system" else "mail"
            for _ in range(given.get("mails", 0)):
                messages.insert(connection, sender=sender, recipient="operator", kind=kind, body=given["body"])

        await self.core.database.write(work)
        return {}

    async def turn(self, given: dict[str, Any]) -> dict[str, Any]:
        def work(connection: sqlite3.Connection) -> int:
            made = turns.begin(
                connection, agent=given["agent"], generation=1, model="haiku", session_id="s", message_ids=[]
            )
            turns.add_events(connection, made, given["events"])
            turns.end(connection, made, outcome="completed", detail="", usage=None, cost_usd=None)
            return made

        return {"id": await self.core.database.write(work)}


async def _serve(root: Path, model: RehearsalServer, lines: asyncio.Queue[str | None]) -> None:
    port, again, first = 0, True, True
    while again:
        dashboard = Dashboard(enable=True, port=port)
        options: dict[str, Any] = {"claude": shutil.which("claude"), "model_url": f"http://127.0.0.1:{model.port}"}
        async with web(root, dashboard=dashboard, **options) as made:
            port = made.port
            if first:
                await made.hive.create("manager", Role.MANAGER)
                await made.hive.create("worker", nix=nix(WORKER))
            await until(lambda: _ready(made))
            _say({"link": made.hive.core.dashboard_link("operator:root")})
            first = False
            again = await _answer(Rig(made), lines)


async def _ready(made: Web) -> bool:
    return {"manager", "worker"} <= set(made.hive.core.controls._harnesses)


async def _answer(rig: Rig, lines: asyncio.Queue[str | None]) -> bool:
    """Obey until the input ends (False) or the core is to start anew (True)."""
    while (line := await lines.get()) is not None:
        given = json.loads(line)
        if given["do"] == "restart":
            if given.get("forget"):
                await rig.core.database.write(lambda c: c.execute("DELETE FROM sessions"))
            return True
        try:
            _say(await getattr(rig, given["do"])(given))
        except Exception as error:
            _say({"error": repr(error)})
    return False


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


async def main(root: Path) -> None:
    """Run until the standard input ends."""
    model = RehearsalServer(0, play)
    threading.Thread(target=model.serve_forever, daemon=True).start()
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[str | None]()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    await _serve(root, model, lines)
    model.shutdown()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
