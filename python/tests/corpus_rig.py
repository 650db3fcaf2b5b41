"""The two corpora of Bash commands (corpus/*.toml), and the repository that they are run in."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from settings_samples import sample

from hyperhive.settings import Settings

CORPUS = Path(__file__).parent / "corpus"
PWNED = "PWNED"
"""What a bypass leaves in /state."""

# Runs in /state/work. The program ./pwn is there, and no rule allows it (but for the everyday corpus, where one does).
FIXTURE = r"""
set -e
exec >/dev/null 2>&1
export GIT_CONFIG_COUNT=0
git init -q -b main .
git config user.name worker && git config user.email worker@hive.local
mkdir -p src tests sub
printf 'hello\nworld\n' > a.txt; echo two > b.txt; echo three > 'b c.txt'; echo four > sub/s.txt; echo x > a.md
printf 'import os\n\ndef main():\n    return os\n' > src/main.py; cp src/main.py src/util.py
printf 'def test_a():\n    pass\n' > tests/test_a.py
printf 'test:\n\t@echo tested\n' > Makefile
printf '{"name": "x", "items": [{"id": 1}]}\n' > data.json
printf 'system("./pwn")\n' > script
git add -A && git commit -qm first
printf '#!/bin/sh\n: > /state/PWNED\n' > pwn && chmod +x pwn
"""


@dataclass(frozen=True)
class Case:
    """One command, the rules it is judged by, and why it must not run (a bypass)."""

    command: str
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    why: str

    def settings(self) -> Settings:
        """An agent that has these rules."""
        return sample(bash={"allow": list(self.allow), "deny": list(self.deny)})


def cases(name: str) -> list[Case]:
    """`bypasses` or `everyday`, in the file's order."""
    groups = tomllib.loads((CORPUS / f"{name}.toml").read_text())["group"]
    return [
        Case(command, tuple(group["allow"]), tuple(group.get("deny", ())), group.get("why", ""))
        for group in groups
        for command in group["commands"]
    ]
