"""Advice on Bash patterns that allow more than they say. Advice only: the ceilings are what holds.

The table is a first, small one; what each pattern lets through was tried on Claude Code itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hyperhive.settings import Settings


@dataclass(frozen=True)
class Rule:
    """A kind of pattern that is doubtful: what it looks like, why, and what would be safer."""

    pattern: re.Pattern[str]
    why: str
    safer: str


def _program(*names: str) -> re.Pattern[str]:
    """Patterns that give these programs free arguments: `git *`, `git*`, `/usr/bin/git *`."""
    return re.compile(rf"(?:\S*/)?(?:{'|'.join(names)})\s?\*")


RULES = (
    Rule(re.compile(r"\*"), "it allows every command", "list the commands that the agent needs"),
    Rule(
        _program(
            "(?:ba|da)?sh", "zsh", "python[0-9.]*", "perl", "ruby", "node", "deno", "bun", "php", "lua", "nix-shell"
        ),
        "it is an interpreter and runs any program",
        "allow the one script it is for, with its full path",
    ),
    Rule(
        _program("env", "xargs", "sudo", "doas", "nohup", "timeout", "nice", "setsid", "watch", "ssh", "eval", "exec"),
        "it runs any other command",
        "allow that other command by itself",
    ),
    Rule(
        re.compile(r"(?:\S*/)?git\s?\*|(?:\S*/)?git -C \S+ \*"),
        "git runs any program (`git -c alias.x='!command' x`)",
        "allow single subcommands: `git add *`, `git commit *`",
    ),
    Rule(
        re.compile(r"git(?: -C \S+)? (?:log|diff|show) \*"),
        "`--output=FILE` writes any file",
        "allow it without free arguments: `git log`, `git diff`",
    ),
    Rule(
        re.compile(r"git(?: -C \S+)? (?:grep|fetch|push|pull|clone|config|rebase|submodule|bisect) \*"),
        "an option of it runs any program (`--upload-pack=`, `-O`, `--exec`)",
        "allow it with its exact arguments",
    ),
    Rule(
        _program("find", "fd"),
        "`-exec` runs any program and `-delete` deletes",
        "use the Glob tool",
    ),
    Rule(
        _program("sed", "g?awk", "mawk", "vim?", "less", "man", "tar", "rsync", "zip", "dd"),
        "an option or its own language runs any program or writes any file",
        "use the Read, Grep and Edit tools, or exact arguments",
    ),
    Rule(
        _program("make", "just", "npm", "npx", "yarn", "pip3?", "cargo", "go", "nix", "nix-build", "docker", "podman"),
        "it runs what a file or an option of the call says",
        "allow single targets: `make test`",
    ),
    Rule(
        _program("curl", "wget", "nc", "socat", "scp"),
        "it sends what the agent can read to any host that it may reach",
        "use network.allow, and exact URLs",
    ),
    Rule(
        re.compile(r"\*.+"),
        "a leading * puts any command in front (`./anything --version`)",
        "begin the pattern with the program",
    ),
)


def lint(settings: Settings) -> list[str]:
    """One sentence for each doubtful rule of an agent: the rule, why, and what would be safer."""
    found = [sentence for pattern in settings.bash.allow if (sentence := _judge(pattern))]
    if "Bash" in settings.tools.allow and "Bash" not in settings.tools.deny:
        found.append('tools.allow "Bash": it allows every command; leave it out and list commands in bash.allow')
    return found


def _judge(pattern: str) -> str | None:
    for rule in RULES:
        if rule.pattern.fullmatch(pattern):
            return f'bash.allow "{pattern}": {rule.why}; {rule.safer}'
    return None
