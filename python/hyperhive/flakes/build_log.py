"""What nix says while it builds, as lines for a person: from the stream of its `--log-format internal-json`."""

from __future__ import annotations

import json
import re
from typing import Any

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_BUILD, _COPY = 105, 100  # nix's ActivityType: actBuild, actCopyPath
_LINE = 101  # nix's ResultType: resBuildLogLine
_WORTH_TELLING = 3  # nix's Verbosity: up to lvlInfo


class BuildLog:
    """Takes standard error as it comes and gives whole lines; `feed` the rest with a last newline."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [text for line in lines for text in _texts(line.decode(errors="replace"))]


def _texts(line: str) -> list[str]:
    if not line.startswith("@nix "):
        return [line] if line.strip() else []
    try:
        said: dict[str, Any] = json.loads(line.removeprefix("@nix "))
        text = _text(said)
    except (ValueError, KeyError, IndexError, TypeError):
        return []
    return _ANSI.sub("", text).splitlines() if text else []


def _text(said: dict[str, Any]) -> str:
    match said["action"]:
        case "start" if said["type"] in (_BUILD, _COPY):
            return str(said["text"])
        case "result" if said["type"] == _LINE:
            return str(said["fields"][0])
        case "msg" if said["level"] <= _WORTH_TELLING:
            return str(said["msg"])
        case _:
            return ""
