"""The loop that `make run` shows, played by whoever holds the operator's socket; it goes on where it was left."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any

from hyperhive.cli.output import clean, said
from hyperhive.client import Client
from hyperhive.errors import Conflict
from hyperhive.event_stream import Event

WISH = (
    "Please have worker compress its report: it should run `gzip --keep --force report.txt` in its working directory "
    "and tell the operator when report.txt.gz is there. If it lacks a permission for that, give it that one and no "
    "more; a stronger model (sonnet) would do it good as well."
)
AGENTS = (("manager", "manager"), ("worker", "agent"))

OPEN = ("requested", "checked", "approved", "building", "activating")

Approve = Callable[[dict[str, Any]], bool]


class Story:
    """One operator's view: it prints what happens and decides proposals with `approve`."""

    def __init__(self, client: Client, approve: Approve) -> None:
        self._client = client
        self._approve = approve
        self._started = time.time()

    def play(self, limit: float | None) -> bool:
        """Show the loop (at most `limit` seconds) and return whether it came to its end: the worker's report."""
        with self._client.events(tick=1.0) as events:
            self._create_agents()
            if self._report() is not None:
                self._say_over()
                return True
            self._begin()
            for event in chain([Event("tick", {})], events):
                self._print(event.kind, event.data)
                # by an earlier event the card would come before the line that announces it
                if (event.kind == "tick" or event.data.get("state") == "checked") and self._decide() is False:
                    return False
                if (report := self._report()) is not None:
                    print(f"\nworker reports to the operator: {clean(report['body'])}", flush=True)
                    return True
                if limit is not None and time.time() - self._started > limit:
                    print(f"nothing more within {limit:g} s; look at `hyperhive status`", flush=True)
                    return False
        return False

    def follow(self) -> None:
        """Print what happens until the core ends or Ctrl-C comes; proposals are announced, not asked about."""
        with self._client.events() as events:
            for event in events:
                self._print(event.kind, event.data)

    def _create_agents(self) -> None:
        known = {agent["name"] for agent in self._client.agents()}
        for name, role in AGENTS:
            if name not in known:
                self._client.create_agent(name, role=role, source=str(demo_directory(name)))
                self._say("hive", f"{name} is created and answers (generation 1)")

    def _begin(self) -> None:
        """Say the wish, unless what an earlier start began is still under way; then that goes on by itself."""
        if self._under_way():
            self._say("hive", "an earlier start began the loop; it goes on from there")
        else:
            self._client.send("manager", WISH)

    def _under_way(self) -> bool:
        """Whether mail waits for an agent, a turn runs, or a proposal is not over."""
        busy = any(agent["unread"] or agent["activity"] == "turn" for agent in self._client.agents())
        return busy or any(proposal["state"] in OPEN for proposal in self._client.proposals())

    def _decide(self) -> bool | None:
        """Decide what waits for the operator: None if nothing does, else whether it was approved."""
        for proposal in self._client.proposals(state="checked"):
            shown = self._client.proposal(proposal["id"])
            try:
                if not self._approve(shown):
                    self._client.deny(shown["id"], "denied at the prompt")
                    return False
                self._client.approve(shown["id"], shown["fingerprint"])
            except Conflict as error:
                self._say("hive", str(error))
                continue
            return True
        return None

    def _report(self) -> dict[str, Any] | None:
        """The worker's mail to the operator, once it has come."""
        mails = self._client.inbox(all_=True)
        return next((mail for mail in mails if mail["sender"] == "worker" and mail["kind"] == "mail"), None)

    def _say_over(self) -> None:
        worker = self._client.agent("worker")
        applied = next((p for p in self._client.proposals(state="applied")), None)
        self._say("hive", f"the loop was shown by an earlier start: worker runs generation {worker['generation']}")
        if applied:
            self._say("hive", f"proposal {applied['id']} was applied: {clean(applied['reason'])}")
        report = self._report()
        assert report is not None
        self._say("worker → operator", clean(report["body"]))

    def _print(self, kind: str, data: dict[str, Any]) -> None:
        """One line per thing that a reader of the loop wants to see."""
        for who, what in lines_of(kind, data):
            self._say(who, what)

    def _say(self, who: str, what: str) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {who:<20} {what}", flush=True)


def lines_of(kind: str, data: dict[str, Any]) -> list[tuple[str, str]]:
    """What an event of the hive means in words: (who, what) pairs, none for those that only machines need."""
    match kind:
        case "message":
            return [(f"{data['sender']} → {data['recipient']}", shorten(said(data)))]
        case "proposal":
            return [(f"proposal {data['id']}", _proposal_words(data))]
        case "turn_event":
            return [(data["agent"], words) for words in _turn_words(data["event"])]
        case "turn" if data.get("outcome") not in (None, "completed"):
            return [(data["agent"], f"the turn ended: {data['outcome']} {clean(data.get('detail') or '')}")]
        case "agent" if data["event"] in ("crashed", "started", "stopped", "destroyed"):
            return [(data["name"], data["event"])]
        case _:
            return []


def _proposal_words(data: dict[str, Any]) -> str:
    commit = f"{data['agent']}@{data['commit'][:12]}"
    match data["state"]:
        case "requested":
            return f"{data['requester']} requests {commit}: {shorten(data['reason'])}"
        case "checked":
            return "checked: " + "; ".join(clean(change["text"].splitlines()[0]) for change in data["delta"] or [])
        case "applied":
            return f"applied: {data['agent']} runs generation {data['generation']}"
        case state:
            return f"{state} {clean(data['error'] or '')}".strip()


def _turn_words(event: dict[str, Any]) -> list[str]:
    """Tool calls, denials and text of one of Claude Code's stream events."""
    content = (event.get("message") or {}).get("content")
    words = []
    for block in content if isinstance(content, list) else []:
        if not isinstance(block, dict):
            continue
        if block.get("type") == "tool_use":
            words.append(f"  {block['name']}: {_call_words(block.get('input') or {})}")
        elif block.get("type") == "tool_result" and block.get("is_error"):
            words.append(f"  DENIED or failed: {shorten(str(block.get('content')))}")
    return words


def _call_words(arguments: dict[str, Any]) -> str:
    for name in ("command", "file_path", "commit", "body", "text"):
        if name in arguments:
            return shorten(str(arguments[name]))
    return ""


def shorten(text: str, limit: int = 110) -> str:
    """One line of `text`, safe to print, at most `limit` characters."""
    line = clean(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def demo_directory(name: str) -> Path:
    """The directory with the agent.nix of one of the demo's agents."""
    return Path(str(resources.files("hyperhive").joinpath("demo", name)))
