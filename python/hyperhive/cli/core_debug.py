"""`hive-c0re debug`: the harness's calls by hand, on an agent's own socket. For operations; not part of the help.

Whoever can open the socket (root, the core's user) is that agent for the core: what is received here is leased, and
comes again to the real harness if it is not acknowledged.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hyperhive.cli.output import print_json
from hyperhive.client import call

RUNTIME = Path("/run/hyperhive")


def execute(words: list[str]) -> None:
    """Run one debug command. Raises HyperhiveError."""
    options = _parser().parse_args(words)
    socket = options.runtime / "agents" / options.agent / "harness.sock"
    target, body = _request(options)
    print_json(call(socket, "POST", target, body, timeout=options.wait + 30 if options.command == "recv" else 30))


def _request(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    match options.command:
        case "send":
            return "/v1/send", {"to": options.to, "body": options.body}
        case "recv":
            return "/v1/recv", {"max": options.max, "wait": options.wait, "lease": options.lease}
        case _:
            return "/v1/ack", {"ids": options.ids}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hive-c0re debug", description=__doc__, allow_abbrev=False)
    parser.add_argument("--runtime", type=Path, default=RUNTIME, metavar="DIR", help=f"default: {RUNTIME}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    send = _command(commands, "send", "send a message as AGENT")
    send.add_argument("to", metavar="TO")
    send.add_argument("body", metavar="TEXT")
    recv = _command(commands, "recv", "lease what waits for AGENT")
    recv.add_argument("--max", type=int, default=20, help="default: 20")
    recv.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="for the first one; default: 0")
    recv.add_argument("--lease", type=float, default=10.0, metavar="SECONDS", help="default: 10")
    ack = _command(commands, "ack", "acknowledge leased messages of AGENT")
    ack.add_argument("ids", type=int, nargs="+", metavar="ID")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, told: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=told, description=told, allow_abbrev=False)
    command.add_argument("agent", metavar="AGENT")
    return command
