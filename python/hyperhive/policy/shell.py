"""What a Bash command does, as a shell grammar reads it: its simple commands, assignments and redirections.

shfmt (mvdan/sh) parses, policy.tree flattens what it gives. What is no Bash, or not decidable, is not run.
"""

from __future__ import annotations

import json
import re

from hyperhive import process
from hyperhive.policy.script import NotUnderstood, Script
from hyperhive.policy.tree import flatten

MAX_COMMAND = 64 * 1024
"""Bytes of a command that are looked at; Claude Code's own are far shorter."""
_TIMEOUT = 5.0
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]")
"""Control characters, and blanks that Bash takes for none."""


async def parse(command: str) -> Script:
    """The flattened command. Raises NotUnderstood for what is no Bash or not decidable, Unavailable without shfmt."""
    if any("\ud800" <= character <= "\udfff" for character in command):
        raise NotUnderstood("the command is not valid Unicode")
    if len(data := command.encode()) > MAX_COMMAND:
        raise NotUnderstood(f"the command has more than {MAX_COMMAND} bytes")
    if match := _ODD.search(command):
        raise NotUnderstood(f"the character U+{ord(match[0]):04X} looks like another one, or like none")
    argv = ["shfmt", "-ln", "bash", "--to-json"]
    result = await process.run(argv, stdin=data, timeout=_TIMEOUT, check=False)
    if result.returncode != 0:
        raise NotUnderstood(f"it is not Bash: {_reason(result.error)}")
    try:
        return flatten(json.loads(result.stdout), data)
    except (RecursionError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotUnderstood(f"shfmt's tree of it is not understood ({type(error).__name__})") from error


def _reason(said: str) -> str:
    first = (said.strip().splitlines() or ["shfmt gave no reason"])[0]
    return first.removeprefix("<standard input>:")
