"""From what nix writes to stderr to the one line that a person needs.

nix runs with `--log-format internal-json` (the same from 2.8 to 2.34): each line is `@nix {…}`, and the last
message of level 0 that has a `raw_msg` is the error, with file, line and column when nix knows them. A few
deaths (stack, heap) are plain lines. Paths in the evaluation's store are shown relative to the agent's tree.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

MAX_REASON = 600

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_STORE_ROOT = "/tmp/store"  # noqa: S108  (in the sandbox)
_STORE = re.compile(r"(?:/tmp/store)?/nix/store/[0-9a-z]{32}-source/(?:agent/)?|/applied/(?:agent/)?")
_AGENT_FILE = re.compile(r"(?:/tmp/store)?/nix/store/[0-9a-z]{32}-source/(?:agent/(?P<agent>.+)|hive\.toml)$")
_POSITION = re.compile(r"(:\d+){1,2}$")
_HOST_FILE = re.compile(r"/nix/store/[0-9a-z]{32}-source/(?:modules|nixpkgs-lib)/")

_FETCH = "may not fetch {0}: an evaluation has no network; commit what it needs to the agent's repository"
_LOOP = "infinite recursion: a value depends on itself, or a function calls itself without end"
_MEANINGS = (
    (
        re.compile(r"access to (?:absolute )?path '([^']*)' is forbidden"),
        "may not read {0}: only files of its own tree",
    ),
    (re.compile(r"access to URI '([^']*)' is forbidden"), _FETCH),
    (re.compile(r"unable to download '([^']*)'"), _FETCH),
    (re.compile(r"fetch\w* (?:unlocked input|.* without a locked) '([^']*)'"), _FETCH),
    (re.compile(r"cannot call 'getFlake' on unlocked flake reference '([^']*)'"), _FETCH),
    (re.compile(r"NAR hash mismatch in input '([^']*)'"), _FETCH),
    (re.compile(r"'(fetch\w+)' (?:requires|is not allowed)"), _FETCH.replace("fetch {0}", "use builtins.{0}")),
    (
        re.compile(r"cannot build '(?:/nix/store/[0-9a-z]{32}-)?([^']*)' during evaluation"),
        "may not build {0} to read its result: import from derivation is off; write the value itself",
    ),
    (re.compile(r"infinite recursion encountered|stack overflow|call-depth exceeded"), _LOOP),
    (
        re.compile(r"No space left on device"),
        "wrote more files than an evaluation may; do not generate files in agent.nix",
    ),
    (
        re.compile(r"attribute 'pkgs' missing|without required argument 'pkgs'"),
        'has no `pkgs`: name packages by attribute path, hyperhive.agent.packages = [ "ripgrep" ]',
    ),
    (
        re.compile(r"attribute '(currentTime|currentSystem)' missing"),
        "may not use builtins.{0}: the same commit must always mean the same",
    ),
    (
        re.compile(r"cannot look up '<([^']*)>' in pure|file '([^']*)' was not found in the Nix search path"),
        "may not use <{0}>: an agent.nix needs no nixpkgs and gets `lib` as its argument",
    ),
)


@dataclass(frozen=True)
class Complaint:
    """One error as nix reports it: the message without colours, and where, relative to the agent's tree."""

    message: str
    where: str | None


def explain(stderr: bytes, memory: int) -> str:
    """One line: where, what, and what to do. `memory` is the evaluation's limit in bytes."""
    complaint = _last_complaint(stderr.decode(errors="replace"))
    if "out of memory" in complaint.message.lower():
        reason = f"the evaluation needs more than {memory >> 20} MiB; look for a huge list or string"
    else:
        reason = _meaning(complaint.message)
    where = complaint.where or "agent.nix"
    return _one_line(f"{where}: {reason}")


def _last_complaint(text: str) -> Complaint:
    last = Complaint("nix failed without a message", None)
    for line in text.splitlines():
        if line.startswith("@nix "):
            last = _from_json(line[5:]) or last
        elif line.startswith("error:"):
            last = Complaint(line.removeprefix("error:").strip(), None)
        elif "out of memory" in line.lower():
            last = Complaint("out of memory", None)
    return last


def _from_json(text: str) -> Complaint | None:
    try:
        event = json.loads(text)
    except ValueError:
        return None
    if not isinstance(event, dict) or event.get("action") != "msg" or event.get("level") != 0:
        return None
    raw = event.get("raw_msg")
    if isinstance(raw, str):
        return Complaint(_ANSI.sub("", raw), _where(event))
    message = _ANSI.sub("", str(event.get("msg", "")))
    if message.startswith("error:"):
        return Complaint(message.removeprefix("error:").strip(), None)
    return None


def _where(event: dict[str, object]) -> str | None:
    """`agent.nix:3:1` if the error is in the agent's own tree (2.34 appends the position to the name)."""
    file, line, column = (event.get(name) for name in ("file", "line", "column"))
    if not isinstance(file, str) or not line:
        return None
    match = _AGENT_FILE.match(_POSITION.sub("", file))
    if match is None:
        return None
    return f"{match['agent'] or 'hive.toml'}:{line}:{column}"


def _meaning(message: str) -> str:
    for pattern, words in _MEANINGS:
        if match := pattern.search(message):
            found = next((group for group in match.groups() if group), "")
            return words.format(_STORE.sub("", found).removeprefix(_STORE_ROOT))
    return message


def _one_line(text: str) -> str:
    """Joined, without store paths, escaped where a terminal would obey, and bounded."""
    shown = " ".join(_STORE.sub("", _HOST_FILE.sub("hyperhive/", text)).split())
    shown = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in shown)
    return shown if len(shown) <= MAX_REASON else shown[: MAX_REASON - 1] + "…"
