"""Flattens shfmt's tree of a Bash command into what it does.

Whatever is not known here, a kind of node or a field of one that a later shfmt may have, is refused. Operators are read
from the command's own text, since shfmt's numbers for them change from version to version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hyperhive.policy.expansions import Expansions
from hyperhive.policy.nodes import PLAIN_NAME, REFUSED, Node, name_of, only
from hyperhive.policy.script import Assignment, NotUnderstood, Redirect, Script, Simple
from hyperhive.policy.values import Values
from hyperhive.policy.words import Word

MAX_DEPTH = 150
_REDIRECTS = (b"&>>", b"<<<", b"<<-", b"&>", b">>", b">&", b">|", b"<>", b"<<", b"<&", b">", b"<")


def flatten(tree: Node, source: bytes) -> Script:
    """The script of shfmt's JSON of `source`. Raises NotUnderstood."""
    values = Values()
    only(tree, "Stmts")
    _Walk(source, values).statements(tree)
    values.settle()
    walk = _Walk(source, values)
    walk.statements(tree)
    return walk.script


class _Walk(Expansions):
    """One walk over the tree. The first only learns the variables' values, the second uses them."""

    def __init__(self, source: bytes, values: Values) -> None:
        super().__init__(source, values)
        self.script = Script()
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
        only(node, "Cmd", "Redirs", "Negated", "Background")
        for redirect in node.get("Redirs") or []:
            self._redirect(redirect)
        if (command := node.get("Cmd")) is not None:
            kind = command["Type"]
            walk = getattr(self, f"_{kind}", None)
            if walk is None:
                raise NotUnderstood(REFUSED.get(kind, f"{kind} is not understood"))
            walk(command)

    # --- commands, named as shfmt names them

    def _CallExpr(self, node: Node) -> None:  # noqa: N802
        only(node, "Assigns", "Args")
        words = tuple(self._words(node.get("Args") or []))
        before = tuple(self._assignments(node.get("Assigns") or [], exported=bool(words)))
        if words:
            self.script.commands.append(Simple(words, before))
            self._filled(words)
        else:
            self.assign(before)

    def _filled(self, words: tuple[Word, ...]) -> None:
        """`read NAME` and its like give a variable a value that nobody knows; any word could be the name."""
        if words[0].text in ("read", "printf", "mapfile", "readarray", "getopts", "wait"):
            for word in words[1:]:
                if word.text is not None and PLAIN_NAME.match(word.text):
                    self.values.add(word.text, None)

    def _Subshell(self, node: Node) -> None:  # noqa: N802
        only(node, "Stmts")
        self.statements(node)

    _Block = _Subshell

    def _BinaryCmd(self, node: Node) -> None:  # noqa: N802
        only(node, "Op", "X", "Y")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotUnderstood(f"the command has more than {MAX_DEPTH} parts")
        self._statement(node["X"])
        self._statement(node["Y"])
        self._depth -= 1

    def _IfClause(self, node: Node) -> None:  # noqa: N802
        only(node, "Cond", "Then", "Else", "CondLast", "ThenLast", "Kind")
        self.statements(node, "Cond")
        self.statements(node, "Then")
        if node.get("Else") is not None:
            self._IfClause(node["Else"])

    def _WhileClause(self, node: Node) -> None:  # noqa: N802
        only(node, "Until", "Cond", "Do", "CondLast", "DoLast")
        self.statements(node, "Cond")
        self.statements(node, "Do")

    def _ForClause(self, node: Node) -> None:  # noqa: N802
        only(node, "Loop", "Do", "Braces", "DoLast")
        loop = node["Loop"]
        if loop["Type"] == "WordIter":
            self._word_loop(loop)
        elif loop["Type"] == "CStyleLoop":
            self._counting_loop(loop)
        else:
            raise NotUnderstood(f"a loop of the kind {loop['Type']} is not understood")
        self.statements(node, "Do")

    def _word_loop(self, loop: Node) -> None:
        only(loop, "Name", "Items")
        name = name_of(loop["Name"])
        items = list(self._words(loop.get("Items") or []))
        values = items if items else [None]  # without `in` it takes the positional parameters
        self.assign(Assignment(name, self._item(value)) for value in values)

    def _item(self, word: Word | None) -> Word | None:
        """What a loop's variable gets of one of its words: a glob's file names begin as the glob does."""
        if word is None or word.whole or word.number:
            return word
        return None if word.option else Word(word.head, whole=False)

    def _counting_loop(self, loop: Node) -> None:
        only(loop, "Init", "Cond", "Post")
        for key in ("Init", "Cond", "Post"):
            self._arithmetic(loop.get(key))

    def _CaseClause(self, node: Node) -> None:  # noqa: N802
        only(node, "Word", "Items", "Braces")
        self._word(node["Word"])
        for item in node.get("Items") or []:
            only(item, "Op", "Patterns", "Stmts")
            list(self._words(item["Patterns"]))
            self.statements(item)

    def _TimeClause(self, node: Node) -> None:  # noqa: N802
        only(node, "PosixFormat", "Stmt")
        if node.get("Stmt") is not None:
            self._statement(node["Stmt"])

    def _TestClause(self, node: Node) -> None:  # noqa: N802
        only(node, "X")
        self._test(node["X"])

    def _ArithmCmd(self, node: Node) -> None:  # noqa: N802
        only(node, "X")
        self._arithmetic(node["X"])

    def _LetClause(self, node: Node) -> None:  # noqa: N802
        only(node, "Exprs")
        for expression in node["Exprs"]:
            self._arithmetic(expression)

    def _DeclClause(self, node: Node) -> None:  # noqa: N802
        only(node, "Variant", "Args")
        variant = node["Variant"]["Value"]
        if variant not in ("export", "local", "readonly", "declare", "typeset"):
            raise NotUnderstood(f"`{variant}` is not understood")
        self.assign(self._assignments(node.get("Args") or [], exported=variant == "export"))

    # --- assignments and redirections

    def assign(self, assignments: Iterable[Assignment]) -> None:
        for assignment in assignments:
            self.values.add(assignment.name, assignment.value)
            self.script.assignments.append(assignment)

    def _assignments(self, nodes: list[Node], *, exported: bool) -> Iterator[Assignment]:
        for node in nodes:
            only(node, "Append", "Naked", "Name", "Index", "Value", "Array")
            if node.get("Name") is None:
                raise NotUnderstood(f"an option of a declaration ({self._text(node)}) is not understood")
            if node.get("Index") is not None:
                self._index(node["Index"])
            yield Assignment(name_of(node["Name"]), self._value(node), exported)

    def _value(self, node: Node) -> Word | None:
        """None if it is appended, an array, or no value at all."""
        word = self._word(node["Value"]) if node.get("Value") is not None else Word("")
        if (array := node.get("Array")) is not None:
            self._array(array)
        return None if array or node.get("Append") or node.get("Index") or node.get("Naked") else word

    def _array(self, node: Node) -> None:
        only(node, "Elems")
        for element in node.get("Elems") or []:
            only(element, "Index", "Value")
            if element.get("Index") is not None:
                self._index(element["Index"])
            if element.get("Value") is not None:
                self._word(element["Value"])

    def _redirect(self, node: Node) -> None:
        only(node, "Op", "N", "Word", "Hdoc")
        at = self._source[node["OpPos"]["Offset"] :]
        op = next((op for op in _REDIRECTS if at.startswith(op)), None)
        if op is None:
            raise NotUnderstood("a redirection is not understood")
        if (number := node.get("N")) is not None and not number["Value"].isdigit():
            raise NotUnderstood(f"the descriptor {number['Value']} is not a number")
        word = self._word(node["Word"]) if node.get("Word") is not None else None
        if node.get("Hdoc") is not None:
            self._in_quotes = True  # an expansion in a here-document is read as between double quotes
            self._word(node["Hdoc"])
            self._in_quotes = False
        inside = op in (b"<<", b"<<-", b"<<<")
        self.script.redirects.append(Redirect(op.decode(), None if inside else word))
