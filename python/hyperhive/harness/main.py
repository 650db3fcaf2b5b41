"""The executables hive-ag3nt and hive-m1nd: the same loop, for an agent and for the manager."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from hyperhive.errors import HyperhiveError, Unavailable
from hyperhive.harness.client import HarnessClient
from hyperhive.harness.config import HarnessConfig
from hyperhive.harness.control import listen
from hyperhive.harness.loop import Harness
from hyperhive.harness.startup import check_role
from hyperhive.settings import Role

START_FAILED = 3


def agent() -> None:
    """hive-ag3nt."""
    sys.exit(main("hive-ag3nt", Role.AGENT, sys.argv[1:]))


def manager() -> None:
    """hive-m1nd."""
    sys.exit(main("hive-m1nd", Role.MANAGER, sys.argv[1:]))


def main(program: str, role: Role, arguments: Sequence[str]) -> int:
    """Parse and run; every error is one line on standard error. Exit 3: the cage or Claude Code did not start."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Runs the turns of one agent: mail in, one Claude Code process per turn, mail acknowledged.",
        epilog="Its backend starts it. SIGTERM ends it after the running turn; a second one interrupts the turn.",
    )
    parser.add_argument("--config", type=Path, default=Path("/etc/hyperhive/harness.json"), metavar="FILE")
    parser.add_argument(
        "--parent", type=int, metavar="PID", help="do not start if that process is gone, or another one"
    )
    _add_debug(parser)
    options = parser.parse_args(arguments)
    try:
        config = HarnessConfig.load(options.config)
        if options.command == "debug":
            return _debug(options, config)
        check_role(config, role)
        if options.parent not in (None, os.getppid()):  # it ended before its death could be a signal to this process
            raise Unavailable(f"process {options.parent}, which started this one, has ended")
        harness = Harness(options.config)
        signal.signal(signal.SIGTERM, harness.terminate)
        listen(options.config)
        harness.run()
    except HyperhiveError as error:
        print(f"error: {error}", file=sys.stderr)
        return START_FAILED
    except KeyboardInterrupt:
        return 130
    return 0


def _add_debug(parser: argparse.ArgumentParser) -> None:
    """The ops-only sub-commands, which the help does not show."""
    commands = parser.add_subparsers(dest="command", metavar="", help=argparse.SUPPRESS)
    debug = commands.add_parser("debug").add_subparsers(dest="verb", required=True)
    send = debug.add_parser("send", description="send mail as this agent")
    send.add_argument("to")
    send.add_argument("body")
    recv = debug.add_parser("recv", description="show what waits (leased for a second)")
    recv.add_argument("--max", type=int, default=20)
    ack = debug.add_parser("ack", description="acknowledge messages")
    ack.add_argument("ids", type=int, nargs="+")


def _debug(options: argparse.Namespace, config: HarnessConfig) -> int:
    with contextlib.closing(HarnessClient(config.socket)) as client:
        match options.verb:
            case "send":
                print(client.send(options.to, options.body))
            case "recv":
                for message in client.recv(0, most=options.max, lease=1):
                    print(json.dumps(message))
            case "ack":
                print(client.ack(options.ids))
    return 0
