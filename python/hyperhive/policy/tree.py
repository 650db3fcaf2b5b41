"""Flattens shfmt's tree of a Bash command into what it does.

Whatever is not known here, a kind of node or a field of one that a later shfmt may have, is refused. Operators are read
from the command's own text, since shfmt's numbers for them change from version to version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hyperhive.errors import HyperhiveError
from hyperhive.policy.words import GLOB, Builder, Word, add_literal

MAX_DEPTH = 150
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RANGE = re.compile(r"\{[0-9]+\.\.[0-9]+(?:\.\.[0-9]+)?\}\Z")
_NUMBER = re.compile(r"-?[0-9]+\Z")
_REDIRECTS = (b"&>>", b"<<<", b"<<-", b"&>", b">>", b">&", b">|", b"<>", b"<<", b"<&", b">", b"<")
_NUMBERS = frozenset("#?$!")  # special parameters whose value is a number

Node = dict[str, Any]


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


def flatten(tree: Node, source: bytes) -> Script:
    """The script of shfmt's JSON of `source`. Raises NotUnderstood."""
    values = _Values()
    _Walk(source, values).statements(tree)
    values.settle()
    walk = _Walk(source, values)
    walk.statements(tree)
    return walk.script


class _Values:
    """What the command's own assignments give to its variables; None: a value that nobody knows.

    A variable's use may stand before its assignment (in a loop), so they are collected in a walk of their own.
    """

    def __init__(self) -> None:
        self.settled = False
        self._known: dict[str, list[Word | None]] = {}

    def add(self, name: str, value: Word | None) -> None:
        if not self.settled:
            self._known.setdefault(name, []).append(value)

    def settle(self) -> None:
        self.settled = True

    def assigned(self, name: str) -> bool:
        return name in self._known

    def tame(self, name: str, *, quoted: bool) -> bool:
        """Whether the variable is never an option, and one word also without quotes."""
        return self._all(name, _is_plain if quoted else _is_steady)

    def numeric(self, name: str) -> bool:
        """Whether the variable holds numbers only, so that arithmetic cannot take it for code."""
        return self._all(name, _is_number)

    def _all(self, name: str, good: Callable[[Word], bool]) -> bool:
        values = self._known.get(name) if self.settled else None
        return values is not None and all(value is not None and good(value) for value in values)


def _is_number(word: Word) -> bool:
    return word.number or (word.whole and _NUMBER.match(word.head) is not None)


def _is_plain(word: Word) -> bool:
    """Whether it is never an option."""
    return word.number or not (word.option or word.head[:1] in ("", "-"))


def _is_steady(word: Word) -> bool:
    """Whether it is never an option and stays one word without quotes too."""
    plain = word.whole and word.head[:1] not in ("", "-")
    return word.number or (plain and not set(word.head) & (GLOB | set(" \t\n\\")))


class _Walk:
    """One walk over the tree. The first only learns the variables' values, the second uses them."""

    def __init__(self, source: bytes, values: _Values) -> None:
        self.script = Script()
        self.values = values
        self._source = source
        self._depth = 0

    def statements(self, node: Node, key: str = "Stmts") -> None:
        """Walk a list of statements; `Last` and its like hold comments."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotUnderstood(f"the command is nested more than {MAX_DEPTH} deep")
        for statement in node.get(key) or []:
            self._statement(statement)
        self._depth -= 1

    def _statement(self, node: Node) -> None:
        _only(node, "Cmd", "Redirs", "Negated", "Background")
        for redirect in node.get("Redirs") or []:
            self._redirect(redirect)
        if (command := node.get("Cmd")) is not None:
            kind = command["Type"]
            walk = getattr(self, f"_{kind}", None)
            if walk is None:
                raise NotUnderstood(_REFUSED.get(kind, f"{kind} is not understood"))
            walk(command)

    # --- commands, named as shfmt names them

    def _CallExpr(self, node: Node) -> None:  # noqa: N802
        _only(node, "Assigns", "Args")
        words = tuple(self._words(node.get("Args") or []))
        before = tuple(self._assignments(node.get("Assigns") or [], exported=bool(words)))
        if words:
            self.script.commands.append(Simple(words, before))
        else:
            self._assign(before)

    def _Subshell(self, node: Node) -> None:  # noqa: N802
        _only(node, "Stmts")
        self.statements(node)

    _Block = _Subshell

    def _BinaryCmd(self, node: Node) -> None:  # noqa: N802
        _only(node, "Op", "X", "Y")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotUnderstood(f"the command has more than {MAX_DEPTH} parts")
        self._statement(node["X"])
        self._statement(node["Y"])
        self._depth -= 1

    def _IfClause(self, node: Node) -> None:  # noqa: N802
        _only(node, "Cond", "Then", "Else", "CondLast", "ThenLast", "Kind")
        self.statements(node, "Cond")
        self.statements(node, "Then")
        if node.get("Else") is not None:
            self._IfClause(node["Else"])

    def _WhileClause(self, node: Node) -> None:  # noqa: N802
        _only(node, "Until", "Cond", "Do", "CondLast", "DoLast")
        self.statements(node, "Cond")
        self.statements(node, "Do")

    def _ForClause(self, node: Node) -> None:  # noqa: N802
        _only(node, "Loop", "Do", "Braces", "DoLast")
        loop = node["Loop"]
        if loop["Type"] == "WordIter":
            self._word_loop(loop)
        elif loop["Type"] == "CStyleLoop":
            self._counting_loop(loop)
        else:
            raise NotUnderstood(f"a loop of the kind {loop['Type']} is not understood")
        self.statements(node, "Do")

    def _word_loop(self, loop: Node) -> None:
        _only(loop, "Name", "Items")
        name = _name(loop["Name"])
        items = list(self._words(loop.get("Items") or []))
        values = items if items else [None]  # without `in` it takes the positional parameters
        self._assign(Assignment(name, self._item(value)) for value in values)

    def _item(self, word: Word | None) -> Word | None:
        """What a loop's variable gets of one of its words: a glob's file names begin as the glob does."""
        if word is None or word.whole or word.number:
            return word
        return None if word.option else Word(word.head, whole=False)

    def _counting_loop(self, loop: Node) -> None:
        _only(loop, "Init", "Cond", "Post")
        for key in ("Init", "Cond", "Post"):
            self._arithmetic(loop.get(key))

    def _CaseClause(self, node: Node) -> None:  # noqa: N802
        _only(node, "Word", "Items", "Braces")
        self._word(node["Word"])
        for item in node.get("Items") or []:
            _only(item, "Op", "Patterns", "Stmts")
            list(self._words(item["Patterns"]))
            self.statements(item)

    def _TimeClause(self, node: Node) -> None:  # noqa: N802
        _only(node, "PosixFormat", "Stmt")
        if node.get("Stmt") is not None:
            self._statement(node["Stmt"])

    def _TestClause(self, node: Node) -> None:  # noqa: N802
        _only(node, "X")
        self._test(node["X"])

    def _ArithmCmd(self, node: Node) -> None:  # noqa: N802
        _only(node, "X")
        self._arithmetic(node["X"])

    def _LetClause(self, node: Node) -> None:  # noqa: N802
        _only(node, "Exprs")
        for expression in node["Exprs"]:
            self._arithmetic(expression)

    def _DeclClause(self, node: Node) -> None:  # noqa: N802
        _only(node, "Variant", "Args")
        variant = node["Variant"]["Value"]
        if variant not in ("export", "local", "readonly", "declare", "typeset"):
            raise NotUnderstood(f"`{variant}` is not understood")
        self._assign(self._assignments(node.get("Args") or [], exported=variant == "export"))

    # --- assignments and redirections

    def _assign(self, assignments: Iterable[Assignment]) -> None:
        for assignment in assignments:
            self.values.add(assignment.name, assignment.value)
            self.script.assignments.append(assignment)

    def _assignments(self, nodes: list[Node], *, exported: bool) -> Iterator[Assignment]:
        for node in nodes:
            _only(node, "Append", "Naked", "Name", "Index", "Value", "Array")
            if node.get("Name") is None:
                raise NotUnderstood(f"an option of a declaration ({self._text(node)}) is not understood")
            if node.get("Index") is not None:
                self._index(node["Index"])
            yield Assignment(_name(node["Name"]), self._value(node), exported)

    def _value(self, node: Node) -> Word | None:
        """None if it is appended, an array, or no value at all."""
        word = self._word(node["Value"]) if node.get("Value") is not None else Word("")
        if (array := node.get("Array")) is not None:
            self._array(array)
        return None if array or node.get("Append") or node.get("Index") or node.get("Naked") else word

    def _array(self, node: Node) -> None:
        _only(node, "Elems")
        for element in node.get("Elems") or []:
            _only(element, "Index", "Value")
            if element.get("Index") is not None:
                self._index(element["Index"])
            if element.get("Value") is not None:
                self._word(element["Value"])

    def _redirect(self, node: Node) -> None:
        _only(node, "Op", "N", "Word", "Hdoc")
        at = self._source[node["OpPos"]["Offset"] :]
        op = next((op for op in _REDIRECTS if at.startswith(op)), None)
        if op is None:
            raise NotUnderstood("a redirection is not understood")
        if (number := node.get("N")) is not None and not number["Value"].isdigit():
            raise NotUnderstood(f"the descriptor {number['Value']} is not a number")
        word = self._word(node["Word"]) if node.get("Word") is not None else None
        if node.get("Hdoc") is not None:
            self._word(node["Hdoc"])
        inside = op in (b"<<", b"<<-", b"<<<")
        self.script.redirects.append(Redirect(op.decode(), None if inside else word))

    # --- tests and arithmetic

    def _test(self, node: Node) -> None:
        match node["Type"]:
            case "Word":
                self._word(node)
            case "ParenTest":
                self._test(node["X"])
            case "UnaryTest":
                self._unary_test(node)
            case "BinaryTest":
                self._binary_test(node)
            case kind:
                raise NotUnderstood(f"a test of the kind {kind} is not understood")

    def _unary_test(self, node: Node) -> None:
        if self._operator(node) in ("-v", "-R"):
            raise NotUnderstood("`-v` evaluates its operand as code")
        self._test(node["X"])

    def _binary_test(self, node: Node) -> None:
        if self._operator(node) in ("-eq", "-ne", "-lt", "-le", "-gt", "-ge"):
            self._arithmetic(node["X"])
            self._arithmetic(node["Y"])
        else:
            self._test(node["X"])
            self._test(node["Y"])

    def _operator(self, node: Node) -> str:
        at = self._source[node["OpPos"]["Offset"] :]
        return at.split(maxsplit=1)[0].decode(errors="replace") if at.strip() else ""

    def _arithmetic(self, node: Node | None) -> None:
        """An expression whose variables are numbers: of any other, bash runs the commands in its value."""
        if node is None:
            return
        match node["Type"]:
            case "BinaryArithm":
                self._binary_arithmetic(node)
            case "UnaryArithm" | "ParenArithm":
                self._arithmetic(node["X"])
            case "Word":
                self._operand(node)
            case kind:
                raise NotUnderstood(f"arithmetic of the kind {kind} is not understood")

    def _binary_arithmetic(self, node: Node) -> None:
        target = _literal(node["X"])
        if target and _PLAIN_NAME.match(target) and self._is_assignment(node):
            self._assign([Assignment(target, Word("0"))])
        else:
            self._arithmetic(node["X"])
        self._arithmetic(node["Y"])

    def _is_assignment(self, node: Node) -> bool:
        at = self._source[node["OpPos"]["Offset"] :]
        return re.match(rb"(?:[-+*/%&^|]|<<|>>)?=(?!=)", at) is not None

    def _operand(self, node: Node) -> None:
        _only(node, "Parts")
        for part in node["Parts"]:
            name = self._operand_name(part)
            if name is not None and self.values.settled and not self.values.numeric(name):
                raise NotUnderstood(f"arithmetic on {name}: its value could hold a command; use `[ ]` or `expr`")
        self._word(node)

    def _operand_name(self, part: Node) -> str | None:
        """The variable that this part of an operand reads; None for a number. Raises NotUnderstood for all else."""
        if part["Type"] == "Lit" and _NUMBER.match(part["Value"]):
            return None
        if part["Type"] == "Lit" and _PLAIN_NAME.match(part["Value"]):
            return str(part["Value"])
        if part["Type"] == "DblQuoted" and len(part["Parts"]) == 1:
            return self._operand_name(part["Parts"][0])
        if part["Type"] == "ArithmExp":
            return None
        if part["Type"] == "ParamExp" and (part.get("Length") or part["Param"]["Value"] in _NUMBERS):
            return None
        if part["Type"] == "ParamExp" and not set(part) & {"Excl", "Index", "Slice", "Repl", "Exp"}:
            return _name(part["Param"])
        raise NotUnderstood(f"arithmetic on {self._text(part)}: its value could hold a command")

    def _index(self, node: Node) -> None:
        if _literal(node) not in ("@", "*"):
            self._arithmetic(node)

    # --- words

    def _words(self, nodes: list[Node]) -> Iterator[Word]:
        for node in nodes:
            yield self._word(node)

    def _word(self, node: Node) -> Word:
        _only(node, "Type", "Parts")
        if _RANGE.match(_literal(node) or ""):
            return Word("", whole=False, one=False, number=True)
        made = Builder()
        for number, part in enumerate(node.get("Parts") or []):
            self._part(part, made, quoted=False, first=number == 0)
        return made.word()

    def _part(self, part: Node, made: Builder, *, quoted: bool, first: bool = False) -> None:
        match part["Type"]:
            case "Lit":
                _only(part, "Value")
                add_literal(part["Value"], made, quoted=quoted, first=first)
            case "SglQuoted":
                self._single_quoted(part, made)
            case "DblQuoted":
                self._double_quoted(part, made)
            case "ParamExp":
                self._parameter(part, made, quoted=quoted)
            case "CmdSubst":
                _only(part, "Stmts", "Backquotes")
                self.statements(part)
                made.unknown(quoted=quoted)
            case "ArithmExp":
                _only(part, "X", "Bracket")
                self._arithmetic(part["X"])
                made.number()
            case "ProcSubst":
                _only(part, "Op", "Stmts")
                self.statements(part)
                made.tail("/dev/fd/")
            case kind:
                raise NotUnderstood(_REFUSED.get(kind, f"{kind} in a word is not understood"))

    def _single_quoted(self, part: Node, made: Builder) -> None:
        _only(part, "Dollar", "Value")
        if _flag(part, "Dollar") and "\\" in part["Value"]:
            made.unknown(quoted=True)  # its escapes could be any character
        else:
            made.static(part["Value"])

    def _double_quoted(self, part: Node, made: Builder) -> None:
        _only(part, "Dollar", "Parts")
        if _flag(part, "Dollar"):
            raise NotUnderstood('$"…" is translated by the locale')
        made.static("")
        for inner in part.get("Parts") or []:
            self._part(inner, made, quoted=True)

    def _parameter(self, part: Node, made: Builder, *, quoted: bool) -> None:
        _only(part, "Short", "Length", "Param", "Index", "Slice", "Repl", "Exp")
        name = part["Param"]["Value"]
        if part.get("Index") is not None:
            self._index(part["Index"])
        self._slice(part.get("Slice"))
        for word in (part.get("Repl") or {}).values():
            if isinstance(word, dict) and "Parts" in word:
                self._word(word)
        if part.get("Exp") is not None:
            self._expansion(part, name)
        if part.get("Length") or name in _NUMBERS:
            made.number()
        elif set(part) & {"Index", "Slice", "Repl", "Exp"} or name in ("@", "*"):
            made.unknown(quoted=quoted and name != "@" and _literal(part.get("Index")) != "@")
        else:
            self._variable(name, made, quoted=quoted)

    def _slice(self, node: Node | None) -> None:
        if node is not None:
            _only(node, "Offset", "Length")
            self._arithmetic(node.get("Offset"))
            self._arithmetic(node.get("Length"))

    def _expansion(self, part: Node, name: str) -> None:
        _only(part["Exp"], "Op", "Word")
        start = part["Index"]["End"]["Offset"] + 1 if part.get("Index") else part["Param"]["End"]["Offset"]
        op = self._source[start : part["End"]["Offset"]]
        word = self._word(part["Exp"]["Word"]) if part["Exp"].get("Word") is not None else Word("")
        if op.startswith(b"@") and word.text not in ("Q", "U", "u", "L"):
            raise NotUnderstood(f"${{{name}@{word}}} can run commands")
        if op.startswith((b"=", b":=")):
            self._assign([Assignment(_name(part["Param"]), None)])

    def _variable(self, name: str, made: Builder, *, quoted: bool) -> None:
        if name == "HOME" and not self.values.assigned(name):
            made.static("/state")
        elif name == "PWD" and not self.values.assigned(name):
            made.tail("/") if quoted else made.unknown(quoted=False)
        elif self.values.tame(name, quoted=quoted):
            made.tame()
        else:
            made.unknown(quoted=quoted)

    def _text(self, node: Node) -> str:
        return self._source[node["Pos"]["Offset"] : node["End"]["Offset"]].decode(errors="replace")


def _literal(node: Node | None) -> str | None:
    """The text of a word that is one plain piece."""
    if node is None or node.get("Type", "Word") != "Word" or len(node.get("Parts") or []) != 1:
        return None
    part = node["Parts"][0]
    return str(part["Value"]) if part["Type"] == "Lit" else None


def _name(node: Node) -> str:
    name = str(node["Value"])
    if not _PLAIN_NAME.match(name) and not name.isdigit():
        raise NotUnderstood(f"the variable {name} is not understood")
    return name


def _only(node: Node, *fields: str) -> None:
    """Raises NotUnderstood if the node has a field that is not one of these, and neither a position nor a comment."""
    for key, value in node.items():
        if key in fields or key in ("Type", "Comments", "Last") or key.endswith("Last") or value in (None, False, []):
            continue
        if not (isinstance(value, dict) and set(value) == {"Offset", "Line", "Col"}):
            raise NotUnderstood(_REFUSED.get(key, f"{node.get('Type', 'a statement')} with {key} is not understood"))


def _flag(node: Node, key: str) -> bool:
    return node.get(key) is True


_REFUSED = {
    "FuncDecl": "a function is not decided; write its commands where they are needed",
    "CoprocClause": "a coprocess is not decided",
    "Coprocess": "a coprocess is not decided",
    "Select": "`select` is not decided",
    "Excl": "${!name} reads a variable that the command does not name",
    "ExtGlob": "an extended glob is not decided",
}
"""Why a kind of node, or a field of one, is refused; all other unknown ones are, too."""
