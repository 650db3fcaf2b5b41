# What a container may take is bounded: a memory bomb and a fork bomb of its root end in it, and nobody else notices.
#
# The kernel may count for cgroup v1 only (checks/driver then boots a host of v1); what needs v2 is said to be not run.
import json
import shlex

MEMORY = ("take all the memory", "the kernel kills what goes beyond the container's MemoryMax, in the container")
FORKS = ("fork without end", "the kernel refuses what goes beyond the container's TasksMax")
TOGETHER = [MEMORY, FORKS]
OURS = "systemctl show container@worker.service --property="


def answers(name):
    host.wait_until_succeeds(f'hyperhive agent show {name} --json | grep -q \'"activity": "idle"\'', timeout=90)


def inside(script, timeout):
    """Run a script as root of worker's container; its exit code and everything that it printed."""
    run = f"systemd-run --quiet --machine=worker --pipe --wait -- bash -c {shlex.quote(f'exec 2>&1; {script}')}"
    return host.execute(f"timeout {timeout} {run} 2>&1")


def others_work():
    """The manager's mail and the operator's commands, while worker does what it does."""
    host.succeed("hyperhive send manager 'are you there?'", timeout=20)
    host.wait_until_succeeds(
        "hyperhive agent show manager --json | jq -e '.unread == 0 and .last_turn.outcome == \"completed\"'", timeout=30
    )
    host.require_unit_state("hive-c0re.service")


start_all()
for name in ("manager", "worker"):
    answers(name)

with subtest(MEMORY[0]):
    before = host.get_unit_property("container@worker.service", "MainPID")
    _, out = inside("head -c 2G /dev/zero | tail -c 1500M >/dev/null; echo ended with $?", 60)
    assert "ended with 137" in out, out
    assert host.get_unit_property("container@worker.service", "MainPID") == before
    answers("worker")
    others_work()

with subtest(FORKS[0]):
    bomb = "systemd-run --quiet --machine=worker -- bash -c 'b() { b | b & b; }; b' >/dev/null 2>&1"
    host.succeed(bomb)
    host.wait_until_succeeds(f'test "$({OURS}TasksCurrent --value)" -ge 190', timeout=30)
    others_work()
    assert int(host.succeed(f"{OURS}TasksCurrent --value")) <= 200
    host.succeed("systemctl kill --signal=KILL container@worker.service")
    host.wait_until_succeeds(f'test "$({OURS}TasksCurrent --value)" -le 50', timeout=30)
    answers("worker")

with subtest("the end is told as what it was"):
    entries = json.loads(host.succeed("hyperhive audit --agent worker --limit 1000 --json"))
    told = [entry["detail"]["ending"] for entry in entries if entry["action"] == "agent.crashed"]
    assert told == ["killed"], told

if host.execute("grep -qw memory /sys/fs/cgroup/cgroup.controllers")[0] == 0:
    with subtest("a turn that takes all the memory ends alone: the guest has controllers of its own"):
        code, out = inside("cat /sys/fs/cgroup/cgroup.controllers", 10)
        assert "memory" in out and "pids" in out, out
else:
    log.warning("not run: a turn's own MemoryMax and TasksMax inside the container need controllers of cgroup v2")
