# A change is a commit; nothing of it runs before an operator agreed, and root itself looks whether one did.
import json


def commit(text):
    """Commit an agent.nix of worker, as the manager's container would; returns the hash."""
    config = "/var/lib/hyperhive/configs/worker/config"
    git = f"git -c safe.directory='*' -c user.name=boss -c user.email=boss@hive.local -C {config}"
    host.succeed(f"cat > {config}/agent.nix <<'EOF'\n{text}\nEOF", f"{git} commit --quiet -am 'a change'")
    return host.succeed(f"{git} rev-parse HEAD").strip()


def proposal(number):
    return json.loads(host.succeed(f"hyperhive apply show {number} --json"))


def request(text):
    asked = json.loads(host.succeed(f"hyperhive apply request worker {commit(text)} --reason 'it needs it' --json"))
    number = asked["id"]
    host.wait_until_fails(f'hyperhive apply show {number} --json | grep -q \'"state": "requested"\'', timeout=60)
    return proposal(number)


def pid_of(name):
    return host.succeed(f"machinectl show {name} --property=Leader --value").strip()


def settings(name):
    return json.loads(host.succeed(f"cat /proc/{pid_of(name)}/root/etc/hyperhive/settings.json"))


start_all()
host.wait_until_succeeds('hyperhive agent show worker --json | grep -q \'"activity": "idle"\'', timeout=60)
before = pid_of("worker")

with subtest("a checked proposal says what it means and changes nothing"):
    checked = request('{ hyperhive.agent = { model = "sonnet"; bash.allow = [ "ls *" "gzip *" ]; }; }')
    assert checked["state"] == "checked", checked
    assert any("gzip *" in change["text"] for change in checked["delta"]), checked["delta"]
    assert pid_of("worker") == before
    assert settings("worker")["model"] == "haiku"

with subtest("an approved one is built, and the container runs it"):
    host.succeed(f"hyperhive apply approve {checked['id']} --yes")
    host.wait_until_succeeds(
        f'hyperhive apply show {checked["id"]} --json | grep -q \'"state": "applied"\'', timeout=90
    )
    assert pid_of("worker") != before
    assert settings("worker")["model"] == "sonnet"
    assert json.loads(host.succeed("hyperhive agent show worker --json"))["generation"] == 2

with subtest("a denied one is never run"):
    denied = request('{ hyperhive.agent.model = "opus"; }')
    host.succeed(f"hyperhive apply deny {denied['id']} --reason 'too dear'")
    assert proposal(denied["id"])["state"] == "denied"
    assert settings("worker")["model"] == "sonnet"

with subtest("root activates no generation that nobody agreed to, and nothing by a crooked name"):
    before = pid_of("worker")
    for instance in ("worker:3", "worker:99", "nobody:1", "worker", "..:1"):
        host.fail(f"systemctl start 'hive-activate@{instance}.service'")
    assert pid_of("worker") == before

with subtest("a rollback is a container of the earlier generation"):
    host.succeed("hyperhive apply rollback worker")
    assert settings("worker")["model"] == "haiku"
