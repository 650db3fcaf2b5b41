# A generation whose harness does not answer is taken back by itself: profile and container.
import json

config = "/var/lib/hyperhive/configs/worker/config"
git = f"git -c safe.directory='*' -c user.name=boss -c user.email=boss@hive.local -C {config}"
profile = "/nix/var/nix/profiles/per-container/worker/system"

start_all()
host.wait_until_succeeds('hyperhive agent show worker --json | grep -q \'"activity": "idle"\'', timeout=60)
before = host.succeed(f"readlink -f {profile}").strip()

with subtest("a guest whose harness cannot start is built and tried, and fails"):
    broken = '{ lib, ... }: { systemd.services.hive-harness.serviceConfig.ExecStart = lib.mkForce "/bin/false"; }'
    host.succeed(f"cat > {config}/nixos.nix <<'EOF'\n{broken}\nEOF", f"{git} add nixos.nix", f"{git} commit -qm broken")
    commit = host.succeed(f"{git} rev-parse HEAD").strip()
    asked = json.loads(host.succeed(f"hyperhive apply request worker {commit} --reason 'an experiment' --json"))
    number = asked["id"]
    host.wait_until_fails(f'hyperhive apply show {number} --json | grep -q \'"state": "requested"\'', timeout=60)
    shown = json.loads(host.succeed(f"hyperhive apply show {number} --json"))
    assert any("NixOS configuration" in change["text"] for change in shown["delta"]), shown["delta"]
    host.succeed(f"hyperhive apply approve {number} --yes || true")
    host.wait_until_succeeds(f'hyperhive apply show {number} --json | grep -q \'"state": "failed"\'', timeout=120)

with subtest("the generation before it runs again"):
    failed = json.loads(host.succeed(f"hyperhive apply show {number} --json"))
    assert "generation 1 runs again" in failed["error"], failed["error"]
    assert host.succeed(f"readlink -f {profile}").strip() == before
    worker = json.loads(host.succeed("hyperhive agent show worker --json"))
    assert (worker["state"], worker["generation"], worker["activity"]) == ("running", 1, "idle"), worker
