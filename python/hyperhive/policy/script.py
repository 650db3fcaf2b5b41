"""What one Bash command does, whatever its structure: simple commands, assignments and redirections."""

from __future__ import annotations

from dataclasses import dataclass, field

from hyperhive.errors import HyperhiveError
from hyperhive.policy.words import Word


class NotUnderstood(HyperhiveError):
    """The command cannot be decided; the message says why."""

    code = "not_understood"


@dataclass(frozen=True)
class Assignment:
    """`name` gets a value; None is one that nobody knows. `exported`: commands see it in their environment."""

    name: str
    value: Word | None
    exported: bool = False


@dataclass(frozen=True)
class Redirect:
    """`op` as written (`>`, `2>&1` has `>&`), and the file or descriptor; None for a here-document."""

    op: str
    target: Word | None


@dataclass(frozen=True)
class Simple:
    """A simple command: its words (the first is the program) and the assignments before them."""

    words: tuple[Word, ...]
    environment: tuple[Assignment, ...] = ()


@dataclass
class Script:
    """All that one command line does, in its order; nothing says what runs how often."""

    commands: list[Simple] = field(default_factory=list)
    assignments: list[Assignment] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
