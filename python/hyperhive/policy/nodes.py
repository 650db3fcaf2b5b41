"""shfmt's nodes: what each may have. A field, or a kind of node, that is not known is refused."""

from __future__ import annotations

import re
from typing import Any

from hyperhive.policy.script import NotUnderstood

Node = dict[str, Any]
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def literal(node: Node | None) -> str | None:
    """The text of a word that is one plain piece."""
    if node is None or node.get("Type", "Word") != "Word" or len(node.get("Parts") or []) != 1:
        return None
    only(node, "Parts")
    part = node["Parts"][0]
    return str(part["Value"]) if part["Type"] == "Lit" else None


def name_of(node: Node) -> str:
    name = str(node["Value"])
    if not PLAIN_NAME.match(name) and not name.isdigit():
        raise NotUnderstood(f"the variable {name} is not understood")
    return name


def only(node: Node, *fields: str) -> None:
    """Raises NotUnderstood if the node has a field that is not one of these, and neither a position nor a comment."""
    for comment in node.get("Comments") or []:
        if "\\" in comment.get("Text", ""):  # shfmt lets a line end in a backslash go on, Bash does not
            raise NotUnderstood("a comment with a backslash")
    for key, value in node.items():
        if key.endswith("Last"):  # comments at the end of a list
            only({"Comments": value})
        if key in fields or key in ("Type", "Comments") or key.endswith("Last") or value in (None, False, []):
            continue
        if not (isinstance(value, dict) and set(value) == {"Offset", "Line", "Col"}):
            raise NotUnderstood(REFUSED.get(key, f"{node.get('Type', 'a statement')} with {key} is not understood"))


def flag(node: Node, key: str) -> bool:
    return node.get(key) is True


REFUSED = {
    "FuncDecl": "a function is not decided; write its commands where they are needed",
    "CoprocClause": "a coprocess is not decided",
    "Coprocess": "a coprocess is not decided",
    "Select": "`select` is not decided",
    "Excl": "${!name} reads a variable that the command does not name",
    "ExtGlob": "an extended glob is not decided",
}
"""Why a kind of node, or a field of one, is refused; all other unknown ones are, too."""
