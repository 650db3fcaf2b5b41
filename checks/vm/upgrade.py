# The host gets a new configuration while agents run: the core becomes a new one, containers go on in their old clothes.
import json


def agent(name):
    return json.loads(host.succeed(f"hyperhive agent show {name} --json"))


def answers(name):
    host.wait_until_succeeds(f'hyperhive agent show {name} --json | grep -q \'"activity": "idle"\'', timeout=90)


def pid_of(unit):
    return host.get_unit_property(unit, "MainPID")


start_all()
for name in ("manager", "worker"):
    answers(name)
original = host.succeed("readlink -f /run/current-system").strip()
containers = {name: pid_of(f"container@{name}.service") for name in ("manager", "worker")}
core = pid_of("hive-c0re.service")
host.succeed("hyperhive agent stop manager", "hyperhive send manager 'before the upgrade'")

with subtest("the upgrade restarts the core alone, and what it had accepted is still there"):
    host.succeed("/run/current-system/specialisation/upgraded/bin/switch-to-configuration test")
    assert pid_of("hive-c0re.service") != core
    answers("worker")
    assert pid_of("container@worker.service") == containers["worker"]
    assert agent("manager")["state"] == "stopped", agent("manager")
    assert agent("manager")["unread"] == 1, agent("manager")

with subtest("an agent that it adds runs, and one that was stopped is as it was left"):
    answers("scribe")
    host.succeed("hyperhive agent start manager")
    answers("manager")

with subtest("new bounds hold, and a restarted container still has its generation"):
    assert host.get_unit_property("container@worker.service", "MemoryMax") == str(1500 * 2**20)
    host.succeed("hyperhive agent restart worker")
    answers("worker")
    assert agent("worker")["generation"] == 1
    assert pid_of("container@worker.service") != containers["worker"]

with subtest("nobody was told of a crash"):
    entries = json.loads(host.succeed("hyperhive audit --limit 1000 --json"))
    assert [entry for entry in entries if entry["action"] == "agent.crashed"] == []

with subtest("the way back: an agent that is declared no more goes on as one made at run time, with the same ids"):
    running = pid_of("container@worker.service")
    host.succeed(f"{original}/bin/switch-to-configuration test")
    answers("worker")
    assert pid_of("container@worker.service") == running
    answers("scribe")
    leader = host.succeed("machinectl show scribe --property=Leader --value").strip()
    assert host.succeed(f"awk '{{print $2}}' /proc/{leader}/uid_map").strip() == str(1879048192 + 2 * 65536)
    host.succeed("hyperhive agent destroy scribe --yes")
    host.wait_until_fails("machinectl show scribe", timeout=30)
