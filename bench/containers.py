"""Containers on a host that checks/driver boots: a restart against bare systemd-nspawn, and the word of a crash."""

from __future__ import annotations

import contextlib
import io
import json
import statistics
import sys

from checks.driver.__main__ import WORK, lacking, modules
from checks.driver.images import ROOT, image
from checks.driver.machine import Machine
from checks.driver.provision import SOURCE, provision

from bench.row import Row

ROUNDS = 7
CRASHES = 3  # more within a minute are told in a sum
MAX_RATIO = 1.3
MAX_MS = 250.0

# The command line and environment of worker's container as a unit that is nothing else; the hive's stays stopped.
BARE = """
import json, pathlib, subprocess
unit = "container@worker.service"
shown = subprocess.run(["systemctl", "show", unit, "-P", "MainPID"], capture_output=True, text=True, check=True)
process = pathlib.Path("/proc") / shown.stdout.strip()
quoted = [json.dumps(part).replace("%", "%%").replace("$", "$$")
          for part in process.joinpath("cmdline").read_text().split("\\0")[:-1]]
environment = [part for part in process.joinpath("environ").read_text().split("\\0")
               if part.startswith(("PATH=", "SYSTEMD_NSPAWN", "LOCALE"))]
pathlib.Path("/run/systemd/system/bare.service").write_text("\\n".join([
    "[Unit]", "StartLimitIntervalSec=0",
    "[Service]", "Type=notify", "NotifyAccess=all", "Delegate=true", "KillMode=mixed", "Slice=machine.slice",
    "TimeoutStopSec=30", "DeviceAllow=/dev/net/tun rwm",
    *("Environment=" + json.dumps(part) for part in environment),
    "ExecStart=" + " ".join(quoted), ""]))
"""
RESTART = "curl -sSf -d '{}' --unix-socket /run/hyperhive/operator.sock http://hive/v1/agents/worker/restart >/dev/null"
# When systemd wrote of the container, by the messages of its catalog; and when the manager's events were stored.
STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
EXITED = "98e322203f7a4ed290d09fe03c09fe15"
SIGNALLED = (
    "journalctl --unit container@worker.service --output json --no-pager | jq -r"
    " 'select(.MESSAGE_ID == \"{}\") | .__REALTIME_TIMESTAMP' | tail -n {}"
)
STORED = (
    "import sqlite3; rows = sqlite3.connect('file:/var/lib/hyperhive/hive.db?mode=ro', uri=True).execute("
    "\"SELECT sent_at FROM messages WHERE recipient = 'manager' AND body LIKE '%container_crash%' ORDER BY id\");"
    " print(*(row[0] for row in rows))"
)


def measure() -> list[Row]:
    """About a minute. Where no host can be booted (not root, say) it says so, and measures nothing."""
    if reason := lacking("trixie"):
        print(f"  not measured: {reason}", file=sys.stderr)
        return []
    with contextlib.redirect_stderr(io.StringIO()):
        host = Machine("host", image("trixie"), WORK)
        try:
            host.bind(ROOT, SOURCE)
            host.start()
            provision(host, modules("bench"))
            return _measure(host)
        finally:
            host.destroy()


def _measure(host: Machine) -> list[Row]:
    _idle(host, "manager")
    _idle(host, "worker")
    latency = _crashes(host)
    restarts = [_restart(host) for _ in range(ROUNDS)]
    asked = statistics.median(whole for whole, _ in restarts)
    restart = statistics.median(drained for _, drained in restarts)
    bare = _bare(host)
    return [
        Row("restart asked for -> heartbeat", asked * 1000, "ms", "", ok=True),
        Row("container drained -> heartbeat", restart * 1000, "ms", "", ok=True),
        Row("bare systemd-nspawn, restart until it is ready", bare * 1000, "ms", "", ok=True),
        Row("container restart / bare", restart / bare, "x", f"≤ {MAX_RATIO:g}", restart / bare <= MAX_RATIO),
        Row("systemd's word of a crash -> event in the inbox", latency, "ms", f"≤ {MAX_MS:g}", latency <= MAX_MS),
    ]


def _restart(host: Machine) -> tuple[float, float]:
    """Seconds from the request, and from when the container is stopped, to the heartbeat; nothing is to drain."""
    began, ended = _times(host, RESTART)
    return ended - began, ended - float(host.succeed(SIGNALLED.format(STOPPING, 1))) / 1e6


def _crashes(host: Machine) -> float:
    """The longest of some, in milliseconds. The manager is stopped, so that what is stored stays."""
    host.succeed("hyperhive agent stop manager")
    for number in range(CRASHES):
        host.succeed("kill -9 $(machinectl show worker -P Leader)")
        host.wait_until_succeeds(f"hyperhive audit --limit 1000 --json | jq -e {_told(number + 1)}", timeout=30)
        _idle(host, "worker")
    signalled = [float(line) / 1e6 for line in host.succeed(SIGNALLED.format(EXITED, CRASHES)).split()]
    stored = [float(word) for word in host.succeed(f"python3 -c {json.dumps(STORED)}").split()]
    assert len(signalled) == len(stored) == CRASHES, (signalled, stored)
    return max(after - before for before, after in zip(signalled, stored, strict=True)) * 1000


def _told(count: int) -> str:
    return f"'[.[] | select(.action == \"agent.crashed\")] | length == {count}'"


def _bare(host: Machine) -> float:
    host.succeed(f"python3 <<'END'\n{BARE}\nEND", "hyperhive agent stop worker", "systemctl daemon-reload")
    host.succeed("systemctl start bare.service")
    return statistics.median(_seconds(host, "systemctl restart bare.service") for _ in range(ROUNDS))


def _seconds(host: Machine, command: str) -> float:
    began, ended = _times(host, command)
    return ended - began


def _times(host: Machine, command: str) -> tuple[float, float]:
    """The host's Unix time before and after a command."""
    began, ended = host.succeed(f"date +%s.%N; {command}; date +%s.%N").split()
    return float(began), float(ended)


def _idle(host: Machine, name: str) -> None:
    host.wait_until_succeeds(f'hyperhive agent show {name} --json | grep -q \'"activity": "idle"\'', timeout=90)
