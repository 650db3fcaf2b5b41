# The real Claude Code works in its container, and the whole loop closes: a wish, a denied command, a commit of the
# manager, an approval, a container of the next generation, and the work done. Only the model is scripted.
import base64
import json
import shlex

GRANTED = '{ hyperhive.agent = { model = "haiku"; packages = [ "gzip" ]; bash.allow = [ "ls *" "cat *" "wc *" ]; }; }'
config = "/hive/agents/worker/config"


def manager(script):
    """Run a script as the manager's user in its container."""
    return host.succeed(
        f"systemd-run --quiet --machine=manager --uid=agent --pipe --wait -- sh -ec {shlex.quote(script)}"
    )


def proposals(state):
    return [each for each in json.loads(host.succeed("hyperhive apply list --json")) if each["state"] == state]


def wait_for(state, count):
    host.wait_until_succeeds(
        f"hyperhive apply list --json | jq -e '[.[] | select(.state == \"{state}\")] | length == {count}'", timeout=120
    )
    return proposals(state)


def apply(text, why, applied):
    """Commit that agent.nix as the manager, and let the operator have it applied, as the `applied`th one."""
    manager(f"cd {config}; cat > agent.nix <<'EOF'\n{text}\nEOF\ngit commit --quiet -am '{why}'")
    commit = manager(f"git -C {config} rev-parse HEAD").strip()
    host.succeed(f"hyperhive apply request worker {commit} --reason '{why}'")
    (asked,) = wait_for("checked", 1)
    host.succeed(f"hyperhive apply approve {asked['id']} --yes")
    wait_for("applied", applied)


def quiet():
    """Wait until nobody has mail or work: what a turn sends is stored before the turn ends."""
    idle = '.unread == 0 and .activity == "idle"'
    host.wait_until_succeeds(f"hyperhive agent list --json | jq -e 'all(.[]; {idle})'", timeout=120)


start_all()
for name in ("manager", "worker"):
    host.wait_until_succeeds(f'hyperhive agent show {name} --json | grep -q \'"activity": "idle"\'', timeout=90)

with subtest("a commit of the manager's is asked for by the operator and applied"):
    apply(GRANTED, "the play begins", 1)

with subtest("a wish becomes work, a denial, and the manager's commit"):
    host.succeed("hyperhive send manager 'Have worker write the weekly report and compress it.'")
    quiet()  # the apply before has had the manager say that worker may try again, so there may be two requests
    (asked,) = wait_for("checked", 1)
    assert any("gzip *" in change["text"] for change in asked["delta"]), asked["delta"]
    entries = json.loads(host.succeed("hyperhive audit --agent worker --limit 1000 --json"))
    denied = [entry["detail"] for entry in entries if entry["action"] == "bash.denied"]
    assert {each["command"] for each in denied} == {"gzip --keep --force report.txt"}, denied
    assert all("no rule of bash.allow" in each["reason"] for each in denied), denied
    host.succeed("hyperhive policy explain worker 'ls | wc -l'", "! hyperhive policy explain worker 'gzip x'")
    host.succeed("hyperhive audit --verify")
    assert manager(f"git -C {config} log -1 --format=%an").strip() == "manager"
    state = "/var/lib/hyperhive/agents/worker/state/work"
    host.succeed(f"test -s {state}/report.txt", f"test ! -e {state}/report.txt.gz")

with subtest("the approved change lets it finish"):
    host.succeed(f"hyperhive apply approve {asked['id']} --yes")
    wait_for("applied", 2)
    host.wait_until_succeeds("hyperhive inbox --json | grep -q 'report.txt.gz is there'", timeout=120)
    assert host.succeed(f"zcat {state}/report.txt.gz").startswith("Weekly report")
    assert json.loads(host.succeed("hyperhive agent show worker --json"))["model"] == "sonnet"

with subtest("the turns ran as the agent's own user in units of their own"):
    owner = int(host.succeed(f"stat -c %u {state}/report.txt.gz"))
    assert owner == 1879048192 + 65536 + 1000, owner

with subtest("an agent that has removed its working directory works on"):
    inside = "systemd-run --quiet --machine=worker --uid=agent --pipe --wait --"
    host.succeed(f"{inside} rm -r /state/work", f"{inside} ln -s /gone /state/work")
    steps = json.dumps([{"text": "done"}])
    script = "REHEARSE:" + base64.b64encode(steps.encode()).decode()  # hyperhive.rehearsal.script
    host.succeed(f"hyperhive send worker {shlex.quote(script)}")
    quiet()
    host.succeed(f"test -d {state}", f"test ! -L {state}")
    last = json.loads(host.succeed("hyperhive agent turns worker --json"))[0]
    assert last["outcome"] == "completed", last

with subtest("a turn over its time ends with every process of it, and its mail is a dead letter"):
    slow = GRANTED.replace('"wc *"', '"wc *" "sleep *"').replace("packages", "session.turnTimeout = 10; packages")
    apply(slow, "ten seconds", 3)
    steps = json.dumps([{"tool": "Bash", "input": {"command": "sleep 77777"}}])
    script = "REHEARSE:" + base64.b64encode(steps.encode()).decode()
    host.succeed(f"hyperhive send worker {shlex.quote(script)}")
    host.wait_until_succeeds("pgrep -f 'sleep 77777'", timeout=60)
    host.wait_until_succeeds("hyperhive debug dead-letters --json | jq -e 'length == 1'", timeout=60)
    host.fail("pgrep -f 'sleep 77777'")
    outcomes = [each["outcome"] for each in json.loads(host.succeed("hyperhive agent turns worker --json"))]
    assert outcomes.count("turn_timeout") == 1, outcomes
