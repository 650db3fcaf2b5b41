# The dashboard from the host's loopback: log in, look, notes, and a shell in an agent's container.
import json
import shlex

URL = "http://127.0.0.1:8420"
CURL = f"curl -sS --fail-with-body -b /tmp/jar -c /tmp/jar -H @/tmp/key -H 'Origin: {URL}'"

# Opens the terminal at argv[1], types the lines of standard input, prints what comes until it has said argv[2].
CLIENT = r"""
import base64, os, socket, struct, sys

cookie = [l.split() for l in open("/tmp/jar") if "hyperhive-8420" in l][-1]
s = socket.create_connection(("127.0.0.1", 8420), 20)
s.sendall((
    f"GET {sys.argv[1]} HTTP/1.1\r\nHost: 127.0.0.1:8420\r\nOrigin: http://127.0.0.1:8420\r\n"
    f"Cookie: {cookie[-2]}={cookie[-1]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
).encode())
stream = s.makefile("rb")
print(stream.readline().decode(), end="")
while stream.readline().strip():
    pass
typed = sys.stdin.buffer.read()
s.sendall(struct.pack("!BB", 0x82, 0x80 | 126) + struct.pack("!H", len(typed)) + bytes(4) + typed)
seen = b""
while sys.argv[2].encode() not in seen:
    first, size = stream.read(2)
    if size == 126:
        size = struct.unpack("!H", stream.read(2))[0]
    seen += stream.read(size)
    if first & 15 == 8:
        break
print(seen.decode())
"""


def get(path):
    return json.loads(host.succeed(f"{CURL} {URL}{path}"))


def send(method, path, body):
    return json.loads(
        host.succeed(
            f"{CURL} -X {method} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))} {URL}{path}"
        )
    )


def terminal(typed, until):
    path = f"/v1/agents/worker/terminal?cols=100&rows=30&key={key}"
    argv = f"python3 -c {shlex.quote(CLIENT)} '{path}' {shlex.quote(until)}"
    return host.succeed(f"printf %s {shlex.quote(typed)} | timeout 30 {argv}")


start_all()
host.wait_until_succeeds('hyperhive agent show worker --json | grep -q \'"activity": "idle"\'', timeout=90)

with subtest("without a session there is nothing but the page"):
    assert host.succeed(f"curl -sS -o /dev/null -w '%{{http_code}}' {URL}/v1/agents") == "401"
    assert "<title>hyperhive</title>" in host.succeed(f"curl -sSf {URL}/")
    host.fail(f"curl -sSf -H 'Host: evil.example' {URL}/")

with subtest("a link logs in once, as the user who asked for it"):
    link = host.succeed("runuser -u ops -- hyperhive dashboard").strip().partition("#link=")[2]
    host.succeed("touch /tmp/key")
    session = send("POST", "/v1/session", {"link": link})
    assert session["user"] == "ops", session
    host.fail(f"{CURL} {URL}/v1/agents")  # the cookie alone is not enough
    key = session["key"]
    host.succeed(f"echo 'X-Hyperhive-Key: {key}' > /tmp/key")
    host.fail(f"{CURL} -H 'Content-Type: application/json' -d '{json.dumps({'link': link})}' {URL}/v1/session")
    assert {agent["name"] for agent in get("/v1/agents")["agents"]} == {"manager", "worker"}

with subtest("an agent's notes are read and written in its container, as its user"):
    empty = get("/v1/agents/worker/notes")
    assert empty["text"] == "", empty
    written = send("PUT", "/v1/agents/worker/notes", {"text": "the operator was here\n", "version": empty["version"]})
    assert written["text"] == "the operator was here\n", written
    owner = host.succeed("stat -c %u /var/lib/hyperhive/agents/worker/state/notes.md").strip()
    assert owner == str(1879048192 + 65536 + 1000), owner

with subtest("a terminal is a shell of the agent's in its container, never the host's"):
    said = terminal(
        "id -un; echo $HIVE_AGENT; stty size; tty; cat /state/notes.md;"
        " socat -u OPEN:/dev/null UNIX-CONNECT:/run/hive/control.sock || echo hid''den\r",
        "hidden\r\n",
    )
    assert "101 Switching Protocols" in said, said
    for line in ("agent\r", "worker\r", "30 100\r", "/dev/pts/", "the operator was here\r", "hidden\r"):
        assert line in said, (line, said)
    assert get("/v1/agents/worker/terminal")["terminal"]["opened_by"] == "operator:ops"

with subtest("it goes on when the page comes back, and ends when told, with every process of it"):
    typed = "sleep 7777 & disown; trap '' HUP; echo be''gun; sleep 8888\r"
    assert "the operator was here" in terminal(typed, "begun")
    host.wait_until_succeeds("pgrep -f 'sleep 8888'", timeout=20)
    host.succeed(f"{CURL} -X DELETE {URL}/v1/agents/worker/terminal")
    host.wait_until_fails("pgrep -f 'sleep (7777|8888)'", timeout=30)
    assert get("/v1/agents/worker/terminal")["terminal"] is None
    actions = [entry["action"] for entry in json.loads(host.succeed("hyperhive audit --agent worker --json"))]
    assert actions.count("terminal.opened") == actions.count("terminal.closed") == 1, actions
