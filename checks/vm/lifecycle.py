# An agent's life: it runs, is stopped, started, restarted and made at run time, and its container outlives the core.
import json


def agent(name):
    return json.loads(host.succeed(f"hyperhive agent show {name} --json"))


def pid_of(name):
    return host.succeed(f"machinectl show {name} --property=Leader --value").strip()


start_all()
host.wait_for_unit("hive-c0re.service")

with subtest("what the host's configuration declares runs, and its harness answers"):
    for name in ("manager", "worker"):
        host.wait_until_succeeds(f'hyperhive agent show {name} --json | grep -q \'"activity": "idle"\'', timeout=60)
        assert agent(name)["state"] == "running", agent(name)

with subtest("the container's root is nobody on the host"):
    base = 1879048192 + 65536
    assert host.succeed(f"awk '{{print $2}}' /proc/{pid_of('worker')}/uid_map").strip() == str(base)
    assert host.succeed("stat -c %u /var/lib/hyperhive/agents/worker/state").strip() == str(base + 1000)

with subtest("a stopped agent stays stopped until it is started"):
    host.succeed("hyperhive agent stop worker")
    assert agent("worker")["state"] == "stopped"
    assert host.get_unit_property("container@worker.service", "ActiveState") == "inactive"
    host.succeed("hyperhive agent start worker")
    assert agent("worker")["state"] == "running"

with subtest("a restart gives it a new container"):
    before = pid_of("worker")
    host.succeed("hyperhive agent restart worker")
    assert pid_of("worker") != before

with subtest("its log is the container's"):
    assert "worker" in host.succeed("hyperhive agent logs worker")

with subtest("an operator who is not root operates it, and gets a shell as the agent's user, and as nobody else"):
    ops = "setpriv --reuid=ops --regid=users --init-groups"
    host.succeed(f"{ops} hyperhive agent show worker")
    host.fail("setpriv --reuid=nobody --regid=nogroup --clear-groups hyperhive agent show worker")
    typed = "(sleep 2; echo 'echo I am $(id -un) in $(pwd); exit'; sleep 2)"
    for who in ("", f"{ops} "):
        shell = f"{typed} | {who}script -qec 'hyperhive agent shell worker' /dev/null"
        host.wait_until_succeeds(f"{shell} | grep 'I am agent in /state/work'", timeout=60)
    host.fail(f"{ops} machinectl --quiet shell root@worker /bin/true", timeout=30)

with subtest("its container outlives the core"):
    before = pid_of("worker")
    host.succeed("systemctl restart hive-c0re.service")
    host.wait_until_succeeds('hyperhive agent show worker --json | grep -q \'"activity": "idle"\'', timeout=60)
    assert pid_of("worker") == before

with subtest("what a change that ended with the core had begun is taken back"):
    profile, built = "/nix/var/nix/profiles/per-container/worker/system", "/var/lib/hyperhive/systems/worker"
    host.succeed("hyperhive agent model worker sonnet", "systemctl stop hive-c0re.service")
    host.succeed(f"nix-env --profile {profile} --set $(readlink {built}/1)", "systemctl restart container@worker")
    host.succeed("systemctl start hive-c0re.service")
    host.wait_until_succeeds(f"[ $(readlink -f {profile}) = $(readlink {built}/2) ]", timeout=60)
    host.wait_until_succeeds('hyperhive agent show worker --json | grep -q \'"activity": "idle"\'', timeout=60)
    assert (agent("worker")["generation"], agent("worker")["model"]) == (2, "sonnet")

with subtest("an agent can be made at run time, with a user namespace of its own"):
    host.succeed("hyperhive agent create scout")
    assert agent("scout")["state"] == "running"
    first = host.succeed(f"awk '{{print $2}}' /proc/{pid_of('scout')}/uid_map").strip()
    assert first == str(1879048192 + 65536 * 2048), first

with subtest("what nobody may ask for is refused and changes nothing"):
    host.fail("hyperhive agent create Scout")
    host.fail("hyperhive agent create scout")
    host.fail("hyperhive agent start nobody")
    assert len(json.loads(host.succeed("hyperhive agent list --json"))) == 3
