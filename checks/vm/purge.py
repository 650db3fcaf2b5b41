# Destroying keeps an agent's state; purging removes it, and nothing that it planted links to.
import json

kept = ("/var/lib/hyperhive/agents/worker", "/var/lib/hyperhive/configs/worker", "/var/lib/hyperhive/applied/worker")

start_all()
host.wait_until_succeeds('hyperhive agent show worker --json | grep -q \'"activity": "idle"\'', timeout=60)
host.succeed("mkdir -p /srv/precious && echo treasure > /srv/precious/file")

with subtest("an agent plants links to what is not its own"):
    inside = "systemd-run --quiet --machine=worker --pipe --wait -- "
    host.succeed(f"{inside} ln -s /srv/precious /state/link", f"{inside} ln -s / /state/root")
    host.succeed("ln -s /srv/precious /var/lib/hyperhive/agents/worker/planted")

with subtest("root purges no agent that lives, and none that nobody destroyed"):
    host.fail("systemctl start hive-purge@worker.service")
    host.fail("systemctl start hive-purge@manager.service")
    assert json.loads(host.succeed("hyperhive agent show worker --json"))["state"] == "running"

with subtest("destroy keeps everything but the agent"):
    host.succeed("hyperhive agent destroy worker --yes")
    host.fail("hyperhive agent show worker")
    assert host.get_unit_property("container@worker.service", "ActiveState") == "inactive"
    host.succeed(*[f"test -d {path}" for path in kept])
    host.fail("systemctl start hive-purge@worker.service")
    host.succeed(*[f"test -d {path}" for path in kept])

with subtest("it can be made again from what was kept, and then be purged"):
    host.succeed("hyperhive agent create worker")
    host.fail("echo manager | hyperhive agent destroy worker --purge")
    host.succeed("hyperhive agent destroy worker --purge --yes")
    host.succeed(*[f"test ! -e {path}" for path in kept])
    host.succeed("test ! -e /var/lib/nixos-containers/worker")

with subtest("what it had links to is whole"):
    assert host.succeed("cat /srv/precious/file") == "treasure\n"
