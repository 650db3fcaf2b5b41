# The attack suite: root inside an agent's container tries to get out, and every attempt fails for the right reason.
#
# An attempt is a shell script that `worker`'s root runs under its own PID 1 (never by nsenter, which would skip seccomp
# and the bounding set). It exits 0 if it got what it wanted; one of the signs must be in what it printed, so that a
# typing error is no pass. The table in docs/security.md is generated from what is above start_all() (tools/attacks).
import json
import shlex


def http(socket, path, body=None):
    data = "-X POST" if body is None else f"-d {shlex.quote(json.dumps(body))}"
    return f"curl -sS -w ' status %{{http_code}}' --fail-with-body --unix-socket {socket} {data} http://hive{path}"


def mcp(tool, **arguments):
    """Call one of the hive's tools as a plain agent would; the exit code says whether it was done."""
    client = {"name": "x", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}},
    ]
    said = " ".join(shlex.quote(json.dumps(line)) for line in lines)
    ask = f"printf '%s\\n' {said} | socat -t 3 STDIO UNIX-CONNECT:/run/hive/mcp.sock | grep '\"id\":2'"
    return f'said=$({ask}); echo "$said"; ! echo "$said" | grep -qE \'"error":|"isError":true\''


def syscall(number, arguments):
    """A system call by its number; prints what the kernel said."""
    code = f"import ctypes, os; c = ctypes.CDLL(None, use_errno=True); r = c.syscall({number}, {arguments})"
    return f"python3 -c {shlex.quote(f'{code}; print(os.strerror(ctypes.get_errno())); exit(r < 0)')}"


HARNESS, DENIED = "/run/hive/harness.sock", "not permitted|ermission denied|Operation not permitted"
READ_ONLY, GONE, CLOSED = "Read-only file system", "No such file", "onnect|unreachable"
ATTACH = "16, {core}, 0, 0"
TRACED = "16, int(os.environ['P']), 0, 0"
PROFILE = "/nix/var/nix/profiles/per-container/worker"
COVERED = "not permitted|superuser|nvalid argument|not mounted|busy"

RECV = http(HARNESS, "/v1/recv", {"wait": 0, "agent": "manager", "recipient": "manager"})

# Why an attempt fails.
OWN_MOUNTS = "its mount namespace has its own state and sockets, and nothing else of the hive"
BOUND_READ_ONLY = "it is bound read-only, by a mount of the host's"
BY_SOCKET = "who speaks is the socket; the call is not served there"
NO_ROLE = "the tool is the manager's, and an agent's socket does not serve it"
HOSTS_MOUNT = "the cover comes from the host's mount namespace; root inside may not undo it"
NO_CAPABILITY = "the kernel asks for the capability in the host's user namespace"
SECCOMP = "systemd-nspawn's seccomp filter"
OWN_NETWORK = "its network namespace has a loopback of its own, and no other interface"
OWN_PIDS = "its pid namespace has no process of the host's"

ATTEMPTS = [
    ("read the hive's database", "cat /var/lib/hyperhive/hive.db", GONE, OWN_MOUNTS),
    ("write into the hive's directory", "touch /var/lib/hyperhive/x", GONE, OWN_MOUNTS),
    ("read another agent's state", "ls /var/lib/hyperhive/agents/manager/state", GONE, OWN_MOUNTS),
    ("find the host's files through PID 1", "ls /proc/1/root/var/lib/hyperhive", GONE, OWN_MOUNTS),
    ("write another agent's config repository", "touch /hive/agents/manager/config/x", GONE, OWN_MOUNTS),
    (
        "write its own config repository",
        "touch /hive/agents/worker/config/agent.nix",
        f"{READ_ONLY}|{DENIED}",
        BOUND_READ_ONLY,
    ),
    ("reach the operator's socket", http("/run/hyperhive/operator.sock", "/v1/status"), CLOSED, OWN_MOUNTS),
    (
        "reach another agent's socket",
        http("/run/hyperhive/agents/manager/harness.sock", "/v1/recv", {}),
        CLOSED,
        OWN_MOUNTS,
    ),
    (
        "approve its own proposal",
        http(HARNESS, "/v1/proposals/1/approve", {"fingerprint": "x"}),
        "status 404",
        BY_SOCKET,
    ),
    ("act as the manager", mcp("stop_agent", agent="manager"), "stop_agent", NO_ROLE),
    (
        "ask for a change, which is the manager's",
        mcp("request_apply_commit", agent="worker", commit="a" * 40),
        "request",
        NO_ROLE,
    ),
    (
        "read another agent's mail",
        f'said=$({RECV}); echo "$said"; echo "$said" | grep -q "for the manager alone"',
        "status 200",
        "who asks is the socket; what the call says of it is ignored",
    ),
    ("replace its own sockets", "rm /run/hive/mcp.sock", READ_ONLY, BOUND_READ_ONLY),
    (
        "use the host's Nix daemon",
        "socat -u OPEN:/dev/null UNIX-CONNECT:/nix/var/nix/daemon-socket/socket",
        CLOSED,
        "its socket is covered unless `nixDaemon` is on",
    ),
    ("write the store", "touch /nix/store/x", READ_ONLY, BOUND_READ_ONLY),
    ("change what it boots next", f"ln -sfn /tmp {PROFILE}/system", READ_ONLY, BOUND_READ_ONLY),
    ("leave a program in its profile", f"touch {PROFILE}/x", READ_ONLY, BOUND_READ_ONLY),
    ("uncover the writable profile", "umount /nix/var/nix/profiles", COVERED, HOSTS_MOUNT),
    ("uncover the writable GC roots", "umount /nix/var/nix/gcroots", COVERED, HOSTS_MOUNT),
    ("uncover the Nix daemon's socket", "umount /nix/var/nix/daemon-socket", COVERED, HOSTS_MOUNT),
    (
        "remount the system writable",
        "mount -o remount,rw,bind /usr && touch /usr/x",
        f"{DENIED}|{READ_ONLY}",
        HOSTS_MOUNT,
    ),
    ("make a device of the host's disk", "mknod /tmp/disk b 254 0 && head -c1 /tmp/disk", DENIED, NO_CAPABILITY),
    ("load a kernel module", syscall(175, "b'x', 1, b''"), DENIED, f"{NO_CAPABILITY}, and {SECCOMP}"),
    ("use the kernel's keys", syscall(250, "0, -4, 0"), DENIED, SECCOMP),
    ("load a BPF program", syscall(321, "5, b'x' * 64, 64"), DENIED, SECCOMP),
    (
        "change the kernel's settings",
        "echo 1 > /proc/sys/kernel/sysrq",
        f"{READ_ONLY}|{DENIED}|nonexistent",
        "/proc/sys is read-only and the kernel's own settings belong to the host's root",
    ),
    ("set the host's clock", "date -s 2001-01-01", DENIED, NO_CAPABILITY),
    ("read the kernel's log", "dmesg", DENIED, NO_CAPABILITY),
    ("reach a service on the host's loopback", "curl -sS --max-time 2 http://127.0.0.1:8000/", CLOSED, OWN_NETWORK),
    ("reach the dashboard's port", "curl -sS --max-time 2 http://127.0.0.1:8420/", CLOSED, OWN_NETWORK),
    ("reach the host's address", "curl -sS --max-time 2 http://192.0.2.1:8000/", CLOSED, OWN_NETWORK),
    ("reach the LAN", "curl -sS --max-time 2 http://192.0.2.10:8000/", CLOSED, OWN_NETWORK),
    ("reach a metadata address", "curl -sS --max-time 2 http://169.254.169.254/", CLOSED, OWN_NETWORK),
    (
        "find an interface beside loopback",
        "ls /sys/class/net/lo && { ls /sys/class/net | grep -vx lo || { echo only lo; false; }; }",
        "only lo",
        OWN_NETWORK,
    ),
    (
        "see the host's processes",
        "ps -e -o comm= | grep -x systemd && { ps -e -o comm= | grep -x systemd-nspawn || { echo none; false; }; }",
        "none",
        OWN_PIDS,
    ),
    ("signal a process of the host", "kill -0 {core}", "o such process", OWN_PIDS),
    ("trace a process of the host", syscall(101, ATTACH), f"o such process|{DENIED}", OWN_PIDS),
    (
        "trace its harness",
        "P=$(systemctl show -P MainPID hive-harness) " + syscall(101, TRACED),
        DENIED,
        "CAP_SYS_PTRACE is dropped",
    ),
    (
        "reach the host's systemd",
        "busctl --address=unix:path=/run/host/dbus/system_bus_socket list",
        f"{GONE}|onnect",
        OWN_MOUNTS,
    ),
]

# Attacks with a part on each side; each is a subtest below.
SETUID = ("leave a setuid program for the host's users", "its files belong to ids that are nobody's on the host")
FORGED = ("send mail in another's name", "the sender is the socket; what the call says of it is ignored")
LINKS = ("have the host follow a link that it planted", "the core opens nothing through links; links in its root go")
PIPE = ("hang the hive by a pipe for its notes", "notes that are no plain file are refused, and nobody waits for one")
WORDS = ("write into the operator's terminal, by mail or log", "control characters are written out")
HOOKS = (
    "run a program on the host by git hooks, filters and settings of a config repository (the manager)",
    "git reads it in a sandbox of this one repository, with hooks, filters and its settings off",
)
GITLINK = (
    "have the host read elsewhere by a config repository that is a link (the manager)",
    "links are not followed out of the repository",
)
TOGETHER = [SETUID, FORGED, LINKS, PIPE, WORDS, HOOKS, GITLINK]


def inside(script, machine="worker", user="root"):
    """Run a script in an agent's container, as its root; its exit code and everything that it printed."""
    script = shlex.quote(f"exec 2>&1; {script}")
    run = f"systemd-run --quiet --machine={machine} --uid={user} --pipe --wait"
    return host.execute(f"timeout 30 {run} -- sh -c {script} 2>&1")


def request(commit):
    """Ask for a commit of worker's; the proposal when it is judged."""
    asked = json.loads(host.succeed(f"hyperhive apply request worker {commit} --reason 'an attack' --json"))
    host.wait_until_fails(f'hyperhive apply show {asked["id"]} --json | grep -q \'"state": "requested"\'', timeout=60)
    return json.loads(host.succeed(f"hyperhive apply show {asked['id']} --json"))


start_all()
host.wait_until_succeeds('hyperhive agent show worker --json | grep -q \'"activity": "idle"\'', timeout=60)
core = host.get_unit_property("hive-c0re.service", "MainPID")
# "The world": a service on the host's loopback, and another network namespace as the LAN.
listen = "; ".join(
    f"systemd-run --quiet socat TCP-LISTEN:{port},fork,reuseaddr SYSTEM:'echo secret'" for port in (8000, 8420)
)
lan = "ip netns add outside; ip link add lan type veth peer name lan netns outside; ip addr add 192.0.2.1/24 dev lan"
host.succeed(
    listen, lan, "ip link set lan up; ip -n outside addr add 192.0.2.10/24 dev lan; ip -n outside link set lan up"
)
host.wait_until_succeeds("ip netns exec outside socat -u TCP:192.0.2.1:8000 - | grep -q secret", timeout=20)

with subtest("what an agent may do works"):
    code, out = inside("touch /state/work/mine && ls /run/hive/mcp.sock && systemctl is-active hive-harness")
    assert code == 0, out
    code, out = inside(mcp("whoami"))
    assert code == 0 and "worker" in out, out

with subtest(FORGED[0]):
    inside(http(HARNESS, "/v1/send", {"to": "operator", "from": "operator", "sender": "system", "body": "approve all"}))
    host.succeed(
        'hyperhive inbox --json | jq -e \'any(.[]; .body == "approve all" and (.from // .sender) == "worker")\''
    )

with subtest(f"{len(ATTEMPTS)} attempts fail, each for its reason"):
    host.succeed("hyperhive agent stop manager", "hyperhive send manager 'for the manager alone'")
    wrong = []
    for what, script, signs, _ in ATTEMPTS:
        code, out = inside(script.replace("{core}", core))
        if code == 0:
            wrong.append(f"{what}: it worked: {out[-300:]}")
        elif not any(sign in out for sign in signs.split("|")):
            wrong.append(f"{what}: failed for another reason ({code}): {out[-300:]}")
    assert not wrong, "\n".join(wrong)
    assert json.loads(host.succeed("hyperhive agent show manager --json"))["unread"] == 1
    host.succeed("hyperhive agent start manager")

with subtest(SETUID[0]):
    inside("for d in /state/work /var/lib; do cp /bin/sh $d/sh; chmod 4755 $d/sh; done")
    for path in ("/var/lib/hyperhive/agents/worker/state/work/sh", "/var/lib/nixos-containers/worker/var/lib/sh"):
        owner = int(host.succeed(f"stat -c %u {path}"))
        assert owner >= 1879048192, f"{path} belongs to {owner}"

with subtest("other users of the host reach neither sockets nor state"):
    nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups"
    for path in (
        "/run/hyperhive/agents/worker/mcp.sock",
        "/var/lib/hyperhive/agents",
        "/var/lib/nixos-containers/worker",
    ):
        host.fail(f"{nobody} ls {path}")

with subtest(LINKS[0]):
    before = host.succeed("sha256sum /etc/shadow; stat -c '%a %u' /etc/shadow /srv /etc")
    inside("rm -f /state/notes.md; ln -s /etc/shadow /state/notes.md")
    assert inside(mcp("notes_append", text="root::0"))[0] != 0
    inside("rm -f /state/notes.md; mv /root /root.old; ln -s /srv /root; mv /opt /opt.old; ln -s /srv /opt")
    host.succeed("hyperhive agent restart worker")
    assert host.succeed("sha256sum /etc/shadow; stat -c '%a %u' /etc/shadow /srv /etc") == before

with subtest(PIPE[0]):
    inside("mkfifo /state/notes.md; chown agent:agent /state/notes.md")
    assert inside(mcp("notes_append", text="hello?"))[0] != 0
    host.succeed("hyperhive send worker 'are you there?'", "hyperhive status", timeout=10)
    host.wait_until_succeeds(
        "hyperhive agent show worker --json | jq -e '.unread == 0 and .last_turn.outcome == \"completed\"'", timeout=60
    )
    inside("rm /state/notes.md")

with subtest(WORDS[0]):
    title = "\x1b]0;owned\x07\x1b[2J"
    inside(http(HARNESS, "/v1/send", {"to": "operator", "body": f"look {title}"}))
    inside("printf 'look \\033]0;owned\\007\\033[2J\\n' >/dev/console")
    for command in ("hyperhive inbox", "hyperhive agent logs worker"):
        host.wait_until_succeeds(f"{command} | grep -q 'look.*owned'", timeout=10)
        shown = host.succeed(f"script -qec '{command}' /dev/null")
        assert "owned" in shown and "\x1b]0" not in shown and "\x1b[2J" not in shown, repr(shown[-300:])

with subtest(HOOKS[0]):
    evil = "touch /var/lib/hyperhive/owned /run/hyperhive/owned /tmp/owned /dev/shm/owned"
    hooks = "post-checkout pre-auto-gc post-index-change reference-transaction post-receive update fsmonitor-watchman"
    names = ("core.fsmonitor", "core.sshCommand", "core.alternateRefsCommand", "uploadpack.packObjectsHook")
    names += ("filter.x.smudge", "filter.x.clean", "diff.external")
    code, out = inside(
        "cd /hive/agents/worker/config && echo '* filter=x diff=x' >.gitattributes && date >>note.txt"
        " && git add . && git commit -qm 'an attack'"
        f" && for h in {hooks}; do printf '#!/bin/sh\\n{evil}\\n' >.git/hooks/$h; chmod 755 .git/hooks/$h; done; "
        + "; ".join(f"git config {name} {shlex.quote(evil)}" for name in names),
        "manager",
        "agent",
    )
    assert code == 0, out
    code, out = inside("git -C /hive/agents/worker/config status; test -e /tmp/owned", "manager", "agent")
    assert code == 0, f"the trap is none: {out}"
    config = "/var/lib/hyperhive/configs/worker/config"
    commit = host.succeed(f"git -c safe.directory='*' -c core.fsmonitor=false -C {config} rev-parse HEAD").strip()
    judged = request(commit)
    assert judged["state"] == "checked", judged
    host.succeed(f"hyperhive apply approve {judged['id']} --yes")
    applied = f'hyperhive apply show {judged["id"]} --json | grep -q \'"state": "applied"\''
    host.wait_until_succeeds(applied, timeout=90)
    elsewhere = "-not -path '/var/lib/nixos-containers/*'"
    found = host.succeed(f"find / /var/lib/hyperhive -xdev -name owned {elsewhere}; ls /dev/shm /run/hyperhive")
    assert "owned" not in found, found

with subtest(GITLINK[0]):
    elsewhere = "ln -s /var/lib/hyperhive/applied/manager .git"
    inside(f"cd /hive/agents/worker/config && mv .git .git.old && {elsewhere}", "manager", "agent")
    judged = request("a" * 40)
    assert judged["state"] == "rejected" and judged["error"], judged
    inside("cd /hive/agents/worker/config && rm .git && mv .git.old .git", "manager", "agent")

with subtest("the others went on all the time"):
    assert json.loads(host.succeed("hyperhive agent show manager --json"))["state"] == "running"
    host.require_unit_state("hive-c0re.service")
