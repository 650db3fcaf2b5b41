"""The reference of the options, docs/options.md: what nix says of them, rendered by tools/options."""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / "checks/stand-in/lib"
NIXPKGS = os.environ.get("HYPERHIVE_NIXPKGS_LIB")
LIBS = [
    pytest.param(STAND_IN, id="stand-in"),
    pytest.param(
        Path(NIXPKGS or ""),
        id="nixpkgs",
        marks=pytest.mark.skipif(not NIXPKGS, reason="HYPERHIVE_NIXPKGS_LIB is not set"),
    ),
]
PAGE = (ROOT / "docs/options.md").read_text()
SECTIONS = dict(re.findall(r"^#### `(\S+)`\n(.*?)(?=^#{2,4} |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE))

pytestmark = pytest.mark.skipif(shutil.which("nix-instantiate") is None, reason="nix is not installed")


def _evaluate(expression: str) -> Any:
    done = subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "--store", "dummy://", "--expr", f"({expression})"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.cache
def _options(lib: Path) -> list[dict[str, Any]]:
    """What checks/options.nix gives."""
    options: list[dict[str, Any]] = _evaluate(f"import {ROOT}/checks/options.nix {{ lib = import {lib}; }}")
    return options


def _names(options: list[dict[str, Any]]) -> list[str]:
    return [option["name"] for option in options]


def _tool(*arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tools/options"), *arguments],
        capture_output=True, text=True, timeout=60, check=False, env={"PATH": path},
    )  # fmt: skip


@functools.cache
def _program() -> ModuleType:
    """tools/options as a module, to ask for what this tree's options have no example of."""
    loader = importlib.machinery.SourceFileLoader("options_page", str(ROOT / "tools/options"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = sys.modules[loader.name] = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_page_is_up_to_date() -> None:
    done = _tool("--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("key", ["description", "type", "name"])
def test_a_page_that_says_something_else_is_out_of_date(tmp_path: Path, key: str) -> None:
    first, *rest = _options(STAND_IN)
    changed = first | ({"loc": [*first["loc"], "x"]} if key == "name" else {key: "another."})
    (tmp_path / "options.json").write_text(json.dumps([changed, *rest]))
    done = _tool("--check", "--from", str(tmp_path / "options.json"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "docs/options.md is out of date: run `make docs`\n"
    assert (ROOT / "docs/options.md").read_text() == PAGE


def test_without_nix_the_error_is_one_line_that_says_so(tmp_path: Path) -> None:
    done = _tool("--check", path=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: nix-instantiate is not on PATH; install nix\n"


def test_the_page_has_each_option_once_and_no_other() -> None:
    headings = re.findall(r"^#### `(\S+)`$", PAGE, flags=re.MULTILINE)
    assert len(headings) > 40
    assert sorted(headings) == sorted(_names(_options(STAND_IN)))


def test_the_options_of_submodules_are_listed_below_a_name() -> None:
    assert "services.hyperhive.agents.<name>.defaults" in SECTIONS
    assert "services.hyperhive.agents.<name>.extraBinds.<name>.hostPath" in SECTIONS
    assert [name for name in SECTIONS if "_module" in name or "\u2039" in name] == []


def test_every_option_is_described_in_full_sentences() -> None:
    options = _options(STAND_IN)
    described = {option["name"]: option["description"].strip() for option in options}
    assert {name: text for name, text in described.items() if not re.fullmatch(r"[A-Z`].+ .+\.", text, re.DOTALL)} == {}
    assert {name: text for name, text in described.items() if text not in SECTIONS[name]} == {}


def test_every_option_has_a_default_or_says_why_not() -> None:
    for option in _options(STAND_IN):
        said = SECTIONS[option["name"]].partition("- Default: ")[2].partition("\n\nExample:")[0].strip()
        if "default" in option:
            assert said, option["name"]
            assert not said.startswith("none;"), option["name"]
        else:
            assert said == f"none; it is {'read-only' if option['readOnly'] else 'mandatory'}", option["name"]


def test_every_structured_option_has_an_example() -> None:
    structured = [option for option in _options(STAND_IN) if re.search(r"\b(list|set) of\b", option["type"])]
    assert len(structured) > 10
    assert [name for name in _names(structured) if "\nExample:\n\n```nix\n" not in SECTIONS[name]] == []


@pytest.mark.parametrize("lib", LIBS)
def test_every_example_can_be_copied(lib: Path) -> None:
    """Each assignment of the page, as the configuration of a module: its option takes it."""
    blocks = re.findall(r"^Example:\n\n```nix\n(.*?)\n```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == len([option for option in _options(lib) if "example" in option])
    assert not [block for block in blocks if "<name>" in block]
    cases = " ".join(f"{{ config = {{ {block} }}; place = {_place(block)}; }}" for block in blocks)
    values = _evaluate(
        f"let lib = import {lib}; taken = case: lib.getAttrFromPath case.place (lib.evalModules {{ modules ="
        f" [ {ROOT}/modules/options.nix {ROOT}/modules/agent.nix case.config ]; }}).config; in map taken [ {cases} ]"
    )
    assert len(values) == len(blocks)


def _place(assignment: str) -> str:
    """The attribute path of `a.b = c;` as a Nix list of strings."""
    names = re.findall(r'"[^"]*"|[^.\s]+', assignment.partition(" = ")[0])
    return f"[ {' '.join(json.dumps(name.strip(chr(34))) for name in names)} ]"


def test_every_link_of_the_contents_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL), flags=re.MULTILINE)
    anchors = ["".join(c for c in h.lower().replace(" ", "-") if c.isalnum() or c in "-_") for h in headings]
    links = re.findall(r"\]\(#(.+?)\)", PAGE)
    assert len(set(anchors)) == len(anchors)
    assert sorted(links) == sorted(anchors[1:])  # all but the page's own title


@pytest.mark.skipif(not NIXPKGS, reason="HYPERHIVE_NIXPKGS_LIB is not set")
def test_nixpkgs_lib_says_the_same_of_every_option() -> None:
    assert _options(STAND_IN) == _options(Path(NIXPKGS or ""))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (False, "false"),
        (-3, "-3"),
        (1.5, "1.5"),
        ('a"b\\c ${d} $e\nf\tg ä', '"a\\"b\\\\c \\${d} $e\\nf\tg ä"'),
        ([], "[ ]"),
        ({}, "{ }"),
        ([1, [2, {}]], "[ 1 [ 2 { } ] ]"),
        ({"a": {"b": {"c d": 1}}}, '{ a.b."c d" = 1; }'),
        ({"a": {"b": 1, "c": []}}, "{ a = { b = 1; c = [ ]; }; }"),
        ({"a": ["x" * 40, "y" * 40]}, f'{{\n  a = [\n    "{"x" * 40}"\n    "{"y" * 40}"\n  ];\n}}'),
    ],
)
def test_a_value_is_written_as_nix_reads_it(value: object, written: str) -> None:
    assert _program().nix(value) == written
    assert _evaluate(written) == value


def test_what_has_no_value_is_shown_as_its_text() -> None:
    option = {"loc": ["a", "<name>"], "type": "one of <x>, *y*", "description": "Some text.\n", "readOnly": False}
    [shown] = _program().read(
        json.dumps([option | {"default": {"words": "<a_b>"}, "example": {"code": "pkgs.hello\n"}}])
    )
    assert (shown.type, shown.default, shown.example) == (r"one of \<x>, \*y\*", r"\<a\_b>", "a.<name> = pkgs.hello;")
    [shown] = _program().read(json.dumps([option | {"default": {"code": "{\n  a = 1;\n}"}}]))
    assert (shown.default, shown.example) == ("\n\n  ```nix\n  {\n    a = 1;\n  }\n  ```", "")


def test_the_flake_compares_the_page_with_what_nix_renders() -> None:
    name = _evaluate(
        f"let lib = import {STAND_IN}; pkgs = import {ROOT}/checks/stand-in/pkgs.nix {{ inherit lib; }};"
        f' in (import {ROOT}/checks {{ inherit pkgs; self = "{ROOT}"; }}).options.name'
    )
    assert name == "hyperhive-options"
