"""Whether an agent may run a Bash command: every simple command in it needs a rule of the agent's settings.

The grammar of the rules is documented in docs/bash-rules.md. What cannot be decided is denied, with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hyperhive.policy import builtins, git, programs, scripts, wrappers
from hyperhive.policy.match import ANY, is_exact, matches, may_match, tokens
from hyperhive.policy.places import WORK, Places
from hyperhive.policy.script import Assignment, NotUnderstood, Script, Simple
from hyperhive.policy.shell import parse
from hyperhive.policy.variables import may_set
from hyperhive.policy.words import ANYTHING, Word
from hyperhive.settings import Settings

MAX_NESTED = 4
"""How deep `sh -c` may stand in `sh -c`."""


_OPAQUE = wrappers.SHELLS | frozenset(
    {"source", ".", "trap", "alias", "hash", "enable", "mapfile", "readarray", "jobs", "compgen", "complete", "builtin"}
    | {"bind", "fc", "shopt", "zsh"}
)
"""What runs other commands that nothing here sees; where `*` is allowed and something is denied, it is not run."""
_WHY_UNSAFE = {
    False: "{} can run programs or write files",
    True: "{} could become an option that runs programs or writes files; write it out, or put it after --",
}


@dataclass(frozen=True)
class Verdict:
    """On one simple command (or redirection, or assignment): `rule` is the pattern that decided, if one did."""

    command: str
    allowed: bool
    rule: str | None
    why: str


@dataclass(frozen=True)
class Decision:
    """On a whole command. `reason` is that of the first denial, or says that all is allowed."""

    allowed: bool
    reason: str
    verdicts: tuple[Verdict, ...]

    def view(self) -> dict[str, Any]:
        """The JSON object that the sockets show."""
        return {
            "allowed": self.allowed,
            "reason": self.reason,
            "verdicts": [vars(verdict) for verdict in self.verdicts],
        }


async def decide(command: str, settings: Settings, *, cwd: str = WORK) -> Decision:
    """Decide about a command that Bash would run in `cwd`. Raises Unavailable, ProcessTimeout (shfmt)."""
    if ANY in settings.bash.allow and not settings.bash.deny:
        return Decision(True, "every command is allowed", (Verdict(command, True, ANY, "it allows every command"),))
    judge = _Judge(settings, cwd)
    try:
        await judge.script(command)
    except NotUnderstood as error:
        judge.verdicts.append(Verdict(command, False, None, str(error)))
    return _decision(judge.verdicts)


def _decision(verdicts: Sequence[Verdict]) -> Decision:
    denied = next((verdict for verdict in verdicts if not verdict.allowed), None)
    if denied is None:
        return Decision(True, "every command in it is allowed", tuple(verdicts))
    return Decision(False, f"`{_short(denied.command)}`: {denied.why}", tuple(verdicts))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:119]}…"


class _Judge:
    """Collects the verdicts on one command."""

    def __init__(self, settings: Settings, cwd: str) -> None:
        self.verdicts: list[Verdict] = []
        self._allow = settings.bash.allow
        self._deny = settings.bash.deny
        self._all = ANY in settings.bash.allow
        self._places = Places(settings, cwd)
        self._nested = 0

    async def script(self, command: str) -> None:
        """Judge all of a script. Raises NotUnderstood."""
        script = await parse(command)
        for simple in script.commands:
            await self._command(simple)
        if not self._all:
            self._side_effects(script)

    def _side_effects(self, script: Script) -> None:
        for assignment in script.assignments:
            self._assignment(assignment)
        for redirect in script.redirects:
            if (why := self._places.redirect(redirect.op, redirect.target)) is not None:
                self._add(f"{redirect.op} {redirect.target}", why)

    def _assignment(self, assignment: Assignment) -> None:
        value = assignment.value.text if assignment.value is not None else None
        if not may_set(assignment.name, value, exported=assignment.exported):
            kept = "the shell or other programs take orders from it"
            self._add(f"{assignment.name}=…", f"{assignment.name} may not be set: {kept}")

    async def _command(self, simple: Simple) -> None:
        words = simple.words
        shown = " ".join(map(str, words))
        if words[0].text is None:
            self._add(shown, "the program's name is not written out")
        elif (rule := self._denied(words)) is not None:
            self._add(shown, f'bash.deny "{rule}" forbids it', rule)
        elif simple.environment and (rule := self._spelled(simple)) is not None:
            self._add(shown, f'bash.allow "{rule}"', rule, allowed=True)
        else:
            for assignment in simple.environment:
                self._assignment(assignment)
            await self._unwrapped(words, shown)

    def _denied(self, words: Sequence[Word]) -> str | None:
        base = (replace(words[0], head=words[0].head.rpartition("/")[2]), *words[1:])
        forms = [words, base]
        if base[0].head == "git":
            forms.append((base[0], ANYTHING) if git.may_be_any(base) else git.bare(base))
        return next((rule for rule in self._deny for form in forms if may_match(rule, form)), None)

    def _spelled(self, simple: Simple) -> str | None:
        """The rule that spells the variables before the command out."""
        before = [Word(f"{item.name}={item.value.head}", item.value.whole) for item in simple.environment if item.value]
        if len(before) != len(simple.environment):
            return None
        words = (*before, *simple.words)
        literal = [
            rule
            for rule in self._allow
            if all("=" in token and ANY not in token for token in tokens(rule)[: len(before)])
        ]
        return next(
            (rule for rule in literal if matches(rule, words) and doubt(rule, words, len(before)) is None), None
        )

    async def _unwrapped(self, words: Sequence[Word], shown: str) -> None:
        name = words[0].head
        if (rule := self._exact(words)) is not None:
            self._add(shown, f'bash.allow "{rule}"', rule, allowed=True)
        elif name == "cd" and not self._all:
            self._say(shown, self._places.change(words[1:]))
        elif builtins.knows(name):
            self._say(shown, builtins.doubt(words))
        elif wrappers.looks_up(words):
            self._say(shown, None)
        elif name in wrappers.NAMES and (inner := wrappers.inside(words)) is not None:
            await self._command(inner)
        elif self._all and self._deny and name in _OPAQUE and wrappers.shell_script(words) is None:
            self._add(shown, f"what {name} runs is not looked at, and bash.deny forbids some of it")
        elif (script := wrappers.shell_script(words)) and (self._all or self._rule(words)[0] is None):
            await self._nest(script)
        else:
            self._by_rule(words, shown)
            await self._inside(words)

    async def _inside(self, words: Sequence[Word]) -> None:
        """What a program that a rule gives by its path, or find, runs: it needs a rule as well."""
        bare = (replace(words[0], head=words[0].head.rpartition("/")[2]), *words[1:])
        if bare[0].head == "find":
            for command in wrappers.find_commands(bare):
                await self._command(command)
        elif bare[0].head != words[0].head and bare[0].head in (*wrappers.NAMES, *wrappers.SHELLS):
            await self._unwrapped(bare, " ".join(map(str, bare)))

    def _exact(self, words: Sequence[Word]) -> str | None:
        """The rule that is this command, written out: then it is what the operator has seen, whatever it runs."""
        return next((rule for rule in self._allow if is_exact(rule) and matches(rule, words)), None)

    async def _nest(self, script: Word) -> None:
        self._nested += 1
        if script.text is None or self._nested > MAX_NESTED:
            raise NotUnderstood("the script of a shell is not written out")
        await self.script(script.text)

    def _by_rule(self, words: Sequence[Word], shown: str) -> None:
        rule, why = self._rule(words)
        if rule is not None and not self._all and (against := self._written(words)) is not None:
            rule, why = None, f'bash.allow "{rule}" does not give this: {against}'
        self._add(shown, why, rule, allowed=rule is not None)

    def _rule(self, words: Sequence[Word]) -> tuple[str | None, str]:
        """The rule that allows the command, and how; None and why no rule does."""
        why = "no rule of bash.allow matches it"
        forms = [words, git.plain(words)] if words[0].head == "git" else [words]
        for rule in self._allow:
            for form in forms:
                if matches(rule, form):
                    against = None if rule == ANY else doubt(rule, form, 0)
                    if against is None:
                        return rule, f'bash.allow "{rule}"'
                    why = f'bash.allow "{rule}" does not give this: {against}'
        return None, why

    def _written(self, words: Sequence[Word]) -> str | None:
        """Why a program that writes files may not have these arguments."""
        held, first = known(words)
        if not any(entry.writes for entry in held):
            return None
        link = words[0].head.rpartition("/")[2] == "ln"
        return next((against for word in words[first:] if (against := self._places.argument(word, link=link))), None)

    def _say(self, shown: str, against: str | None) -> None:
        self._add(shown, against or "a command of the shell itself", allowed=against is None)

    def _add(self, shown: str, why: str, rule: str | None = None, *, allowed: bool = False) -> None:
        self.verdicts.append(Verdict(shown, allowed, rule, why))


def doubt(rule: str, words: Sequence[Word], start: int) -> str | None:
    """Why the `*` of a rule does not give these words (from `start`, the program, on); None if it does."""
    spelled = tokens(rule)
    name = words[start].head.rpartition("/")[2]
    if name == "git":
        for index, why in git.doubts(words[start:]):
            if not _is_spelled(spelled, words, start + index):
                return why
    held, first = known(words[start:])
    first += start
    rest = words[first:]
    at = 0
    while (found_at := programs.unsafe(held, rest[at:])) is not None:
        at += found_at
        if not _is_spelled(spelled, words, first + at):
            return _WHY_UNSAFE[rest[at].option].format(rest[at])
        at += 1
    return _script_doubt(name, rest)


def known(words: Sequence[Word]) -> tuple[tuple[programs.Program, ...], int]:
    """What the table knows about a command (for git, of its subcommand too), and where its arguments begin."""
    name = words[0].head.rpartition("/")[2]
    if name != "git":
        return programs.entries(name), 1
    at = git.subcommand(words)
    return programs.entries(name, *(f"git {word}" for word in words[at : at + 1])), at + 1


def _is_spelled(spelled: Sequence[str], words: Sequence[Word], index: int) -> bool:
    """Whether the rule says this word itself."""
    return index < len(spelled) and ANY not in spelled[index] and spelled[index] == words[index].text


def _script_doubt(name: str, arguments: Sequence[Word]) -> str | None:
    if name in ("sed", "gsed"):
        return scripts.sed_doubt(arguments)
    if name.endswith("awk"):
        return scripts.awk_doubt(arguments)
    return None
