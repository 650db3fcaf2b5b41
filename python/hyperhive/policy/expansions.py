"""Words, tests and arithmetic of shfmt's tree: what they give, and the commands that stand in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hyperhive.policy.nodes import PLAIN_NAME, REFUSED, Node, flag, literal, name_of, only
from hyperhive.policy.script import Assignment, NotUnderstood
from hyperhive.policy.values import Values
from hyperhive.policy.words import Builder, Word, add_literal

_RANGE = re.compile(r"\{[0-9]+\.\.[0-9]+(?:\.\.[0-9]+)?\}\Z")
_NUMBER = re.compile(r"-?[0-9]+\Z")
_NUMBERS = frozenset("#?$!")  # special parameters whose value is a number


class Expansions:
    """The part of a walk that reads words; commands in them go back to the walk (`statements`)."""

    def __init__(self, source: bytes, values: Values) -> None:
        self.values = values
        self._source = source
        self._in_quotes = False

    def statements(self, node: Node, key: str = "Stmts") -> None:
        """Walk a list of statements."""
        raise NotImplementedError

    def assign(self, assignments: Iterable[Assignment]) -> None:
        """Take note of assignments."""
        raise NotImplementedError

    # --- tests and arithmetic

    def _test(self, node: Node) -> None:
        only(node, "Op", "X", "Y", "Parts")
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
        only(node, "Op", "Post", "X", "Y", "Parts")
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
        target = literal(node["X"])
        if target and PLAIN_NAME.match(target) and self._is_assignment(node):
            self.assign([Assignment(target, Word("0"))])
        else:
            self._arithmetic(node["X"])
        self._arithmetic(node["Y"])

    def _is_assignment(self, node: Node) -> bool:
        at = self._source[node["OpPos"]["Offset"] :]
        return re.match(rb"(?:[-+*/%&^|]|<<|>>)?=(?!=)", at) is not None

    def _operand(self, node: Node) -> None:
        only(node, "Parts")
        for part in node["Parts"]:
            name = self._operand_name(part)
            if name is not None and self.values.settled and not self.values.numeric(name):
                raise NotUnderstood(f"arithmetic on {name}: its value could hold a command; use `[ ]` or `expr`")
        self._word(node)

    def _operand_name(self, part: Node) -> str | None:
        """The variable that this part of an operand reads; None for a number. Raises NotUnderstood for all else."""
        if part["Type"] == "Lit" and _NUMBER.match(part["Value"]):
            return None
        if part["Type"] == "Lit" and PLAIN_NAME.match(part["Value"]):
            return str(part["Value"])
        if part["Type"] == "DblQuoted" and len(part["Parts"]) == 1:
            return self._operand_name(part["Parts"][0])
        if part["Type"] == "ArithmExp":
            return None
        if part["Type"] == "ParamExp" and (part.get("Length") or part["Param"]["Value"] in _NUMBERS):
            return None
        if part["Type"] == "ParamExp" and not set(part) & {"Excl", "Index", "Slice", "Repl", "Exp"}:
            return name_of(part["Param"])
        raise NotUnderstood(f"arithmetic on {self._text(part)}: its value could hold a command")

    def _index(self, node: Node) -> None:
        if literal(node) not in ("@", "*"):
            self._arithmetic(node)

    # --- words

    def _words(self, nodes: list[Node]) -> Iterator[Word]:
        for node in nodes:
            yield self._word(node)

    def _word(self, node: Node) -> Word:
        only(node, "Type", "Parts")
        if _RANGE.match(literal(node) or ""):
            return Word("", whole=False, one=False, number=True)
        made = Builder()
        for number, part in enumerate(node.get("Parts") or []):
            self._part(part, made, quoted=False, first=number == 0)
        return made.word()

    def _part(self, part: Node, made: Builder, *, quoted: bool, first: bool = False) -> None:
        match part["Type"]:
            case "Lit":
                only(part, "Value")
                add_literal(part["Value"], made, quoted=quoted, first=first)
            case "SglQuoted":
                self._single_quoted(part, made)
            case "DblQuoted":
                self._double_quoted(part, made)
            case "ParamExp":
                self._parameter(part, made, quoted=quoted)
            case "CmdSubst":
                only(part, "Stmts", "Backquotes")
                self._apart(part)
                made.unknown(quoted=quoted)
            case "ArithmExp":
                only(part, "X", "Bracket")
                self._arithmetic(part["X"])
                made.number()
            case "ProcSubst":
                only(part, "Op", "Stmts")
                self._apart(part)
                made.tail("/dev/fd/")
            case kind:
                raise NotUnderstood(REFUSED.get(kind, f"{kind} in a word is not understood"))

    def _apart(self, part: Node) -> None:
        """The commands of a substitution, in which quoting begins anew."""
        before, self._in_quotes = self._in_quotes, False
        self.statements(part)
        self._in_quotes = before

    def _single_quoted(self, part: Node, made: Builder) -> None:
        only(part, "Dollar", "Value")
        if self._in_quotes:  # between the " of "${x:-'…'}" Bash and shfmt disagree about what a ' is
            raise NotUnderstood("a single quote in an expansion that is quoted itself")
        value = part.get("Value", "")  # none for ''
        if flag(part, "Dollar") and "\\" in value:
            made.unknown(quoted=True)  # its escapes could be any character
        else:
            made.static(value)

    def _double_quoted(self, part: Node, made: Builder) -> None:
        only(part, "Dollar", "Parts")
        if flag(part, "Dollar"):
            raise NotUnderstood('$"…" is translated by the locale')
        made.static("")
        before, self._in_quotes = self._in_quotes, True
        for inner in part.get("Parts") or []:
            self._part(inner, made, quoted=True)
        self._in_quotes = before

    def _parameter(self, part: Node, made: Builder, *, quoted: bool) -> None:
        only(part, "Short", "Length", "Param", "Index", "Slice", "Repl", "Exp")
        name = part["Param"]["Value"]
        if part.get("Index") is not None:
            self._index(part["Index"])
        self._slice(part.get("Slice"))
        self._replacement(part.get("Repl"))
        if part.get("Exp") is not None:
            self._expansion(part, name)
        if part.get("Length") or name in _NUMBERS:
            made.number()
        elif set(part) & {"Index", "Slice", "Repl", "Exp"} or name in ("@", "*"):
            made.unknown(quoted=quoted and name != "@" and literal(part.get("Index")) != "@")
        else:
            self._variable(name, made, quoted=quoted)

    def _replacement(self, node: Node | None) -> None:
        if node is not None:
            only(node, "All", "Orig", "With")
            for key in ("Orig", "With"):
                if node.get(key) is not None:
                    self._word(node[key])

    def _slice(self, node: Node | None) -> None:
        if node is not None:
            only(node, "Offset", "Length")
            self._arithmetic(node.get("Offset"))
            self._arithmetic(node.get("Length"))

    def _expansion(self, part: Node, name: str) -> None:
        only(part["Exp"], "Op", "Word")
        start = part["Index"]["End"]["Offset"] + 1 if part.get("Index") else part["Param"]["End"]["Offset"]
        op = self._source[start : part["End"]["Offset"]]
        word = self._word(part["Exp"]["Word"]) if part["Exp"].get("Word") is not None else Word("")
        if op.startswith(b"@") and word.text not in ("Q", "U", "u", "L"):
            raise NotUnderstood(f"${{{name}@{word}}} can run commands")
        if op.startswith((b"=", b":=")):
            self.assign([Assignment(name_of(part["Param"]), None)])

    def _variable(self, name: str, made: Builder, *, quoted: bool) -> None:
        if name == "HOME" and not self.values.assigned(name):
            made.static("/state")
        elif name == "PWD" and not self.values.assigned(name):
            made.tail("/") if quoted else made.unknown(quoted=False)
        elif self.values.tame(name, quoted=quoted):
            made.tame(self.values.of(name))
        else:
            made.unknown(quoted=quoted)

    def _text(self, node: Node) -> str:
        return self._source[node["Pos"]["Offset"] : node["End"]["Offset"]].decode(errors="replace")
