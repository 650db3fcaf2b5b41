# The host reboots, also by a power cut: the agents come back with their mail, and nothing that was accepted is lost.
import json

host.start(allow_reboot=True)
host.wait_until_succeeds('hyperhive agent show worker --json | grep -q \'"activity": "idle"\'', timeout=60)
host.succeed("hyperhive agent stop worker", "hyperhive send worker 'are you there?'")

for cut in (False, True):
    with subtest("after a power cut" if cut else "after a reboot"):
        if cut:
            host.crash()
            host.start()
        else:
            host.reboot()
        host.wait_until_succeeds('hyperhive agent show manager --json | grep -q \'"activity": "idle"\'', timeout=90)
        worker = json.loads(host.succeed("hyperhive agent show worker --json"))
        assert (worker["state"], worker["unread"], worker["generation"]) == ("stopped", 1, 1), worker
