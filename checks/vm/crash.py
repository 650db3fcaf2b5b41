# A container that dies comes back by itself; the manager is told why it died, and never of what the operator stopped.
import json


def pid_of(name):
    return host.succeed(f"machinectl show {name} --property=Leader --value").strip()


def crashes():
    """What the audit log has of worker's crashes, oldest first."""
    entries = json.loads(host.succeed("hyperhive audit --agent worker --limit 1000 --json"))
    return [entry["detail"] for entry in entries if entry["action"] == "agent.crashed"]


def answers():
    host.wait_until_succeeds('hyperhive agent show worker --json | grep -q \'"activity": "idle"\'', timeout=60)


def crashed(count):
    """Wait until that many crashes were told; the newest."""
    command = "hyperhive audit --agent worker --limit 1000 --json | grep -c agent.crashed"
    host.wait_until_succeeds(f'test "$({command})" -ge {count}', timeout=30)
    return crashes()[-1]


start_all()
answers()

with subtest("the operator's stop, start and restart are no crashes"):
    host.succeed("hyperhive agent restart worker", "hyperhive agent stop worker", "hyperhive agent start worker")
    host.succeed("systemctl restart container@worker.service")
    answers()
    assert crashes() == [], crashes()

with subtest("the guest's PID 1 dies: it comes back, and the event says so"):
    before = pid_of("worker")
    host.succeed(f"kill -9 {before}")
    event = crashed(1)
    assert event["ending"] == "pid1_died", event
    answers()
    assert pid_of("worker") != before

with subtest("systemd-nspawn is killed: it comes back too"):
    main = host.get_unit_property("container@worker.service", "MainPID")
    host.succeed(f"kill -9 {main}")
    event = crashed(2)
    assert event["ending"] == "killed", event
    host.wait_for_unit("container@worker.service", timeout=60)
    answers()

with subtest("what systemd has given up is started at once when an operator asks for it"):
    unit = "container@worker.service"
    host.succeed(
        f"until systemctl is-failed {unit}; do systemctl kill --signal=KILL {unit} || true; sleep 0.1; done", timeout=60
    )
    host.wait_until_succeeds("hyperhive inbox --json | grep -q given_up", timeout=30)
    host.succeed("hyperhive agent restart worker")
    answers()
    before = len(crashes())

with subtest("a crash while the core is away is told when it is back"):
    host.succeed("systemctl stop hive-c0re.service")
    host.succeed(f"kill -9 {pid_of('worker')}")
    host.wait_for_unit("container@worker.service", timeout=60)
    host.succeed("systemctl start hive-c0re.service")
    crashed(before + 1)
    answers()
