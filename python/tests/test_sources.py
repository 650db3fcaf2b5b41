"""Where settings come from: what an evaluation may claim, and what agent.nix can do about it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from flakes_rig import PLAIN, candidate, needs_nix, stand_in_evaluator, wait

from hyperhive.flakes.applied import HiveFile
from hyperhive.flakes.evaluate import Evaluated, Evaluator
from hyperhive.settings import validate
from hyperhive.sources import Source, checked, paths

REAL = os.environ.get("HYPERHIVE_NIXPKGS_LIB")
HIVE = HiveFile("worker", "agent", {"model": "sonnet", "bash": {"allow": ["ls *"]}}, {"prompt": "Over."})
NONE = dict.fromkeys(paths(), "default")
NOTHING = object()


def test_there_is_a_path_for_every_setting() -> None:
    assert len(paths()) == 20
    assert {"name", "bash.allow", "session.maxTurns", "network.allow"} < paths()
    assert not {"schema", "bash", "session"} & paths()


def test_an_evaluation_s_words_are_taken() -> None:
    found = checked({**NONE, "model": "agent.nix"})
    assert found["model"] is Source.AGENT_NIX
    assert found.keys() == paths()


@pytest.mark.parametrize(
    "value",
    [
        None, [], "host", 3, {},
        {"model": "host"},
        {**NONE, "colour": "host"},
        {**NONE, "model": "operator"},
        {**NONE, "model": None},
        {**NONE, "model": ["host"]},
        {**NONE, "model": {"host": 1}},
        {path: word for path, word in NONE.items() if path != "role"},
    ],
)  # fmt: skip
def test_anything_else_is_not_known(value: object) -> None:
    assert checked(value) == {}


@pytest.fixture
def evaluator(monkeypatch: pytest.MonkeyPatch) -> Evaluator:
    return stand_in_evaluator(monkeypatch)


@pytest.fixture
def real(evaluator: Evaluator) -> Evaluator:
    """The tricks need all of the module system."""
    if not REAL:
        pytest.skip("no nixpkgs lib: set HYPERHIVE_NIXPKGS_LIB")
    return replace(evaluator, lib=Path(REAL))


@needs_nix
def test_an_evaluation_gives_the_settings_with_their_sources(evaluator: Evaluator, tmp_path: Path) -> None:
    found = wait(evaluator.evaluate(candidate(tmp_path, "{ hyperhive.agent.session.maxTurns = 80; }", HIVE)))
    assert (found.settings["model"], found.settings["session"]["maxTurns"]) == ("sonnet", 80)
    assert found.sources == {
        **NONE,
        **dict.fromkeys(["name", "role", "git.name", "git.email"], "identity"),
        **dict.fromkeys(["model", "bash.allow"], "host"),
        "session.maxTurns": "agent.nix",
        "prompt": "override",
    }


@needs_nix
@pytest.mark.parametrize("sources", ['"host"', "{ }", '{ model = "host"; }'])
def test_a_flake_with_sources_of_another_shape_has_none(evaluator: Evaluator, tmp_path: Path, sources: str) -> None:
    directory = candidate(tmp_path, PLAIN)
    (directory / "flake.nix").write_text(
        f"{{ outputs = _: {{ evaluated = {{ settings.model = 1; sources = {sources}; }}; }}; }}"
    )
    assert wait(evaluator.evaluate(directory)) == Evaluated({"model": 1}, {})


@needs_nix
def test_a_lib_that_does_not_tell_what_is_disabled_gives_no_sources(evaluator: Evaluator, tmp_path: Path) -> None:
    lib, config = tmp_path / "lib", tmp_path / "config"
    lib.mkdir()
    config.mkdir()
    for file in evaluator.lib.glob("*.nix"):
        (lib / file.name).write_text(file.read_text().replace("graph = ", "graphs = "))
    found = wait(replace(evaluator, lib=lib).evaluate(candidate(config, PLAIN)))
    assert (found.settings["model"], found.sources) == ("haiku", {})


# What agent.nix does -> (its model, who has chosen that, who has chosen bash.deny, which it never touches)
OWN, UNTOUCHED = Source.AGENT_NIX, Source.DEFAULT
TRICKS = {
    "disables the host's defaults": (
        'disabledModules = [ { key = ":anon-3"; } ]; hyperhive.agent.model = lib.mkOverride 1250 "sonnet";',
        ("sonnet", OWN, OWN),
    ),
    "disables the host's defaults from an import": (
        'imports = [ { disabledModules = [ { key = ":anon-3"; } ]; } ];', ("haiku", OWN, OWN),
    ),
    "disables the host's identity": (
        'disabledModules = [ { key = ":anon-2"; } ]; hyperhive.agent = { name = "worker"; role = "agent";'
        ' git.name = "worker"; git.email = lib.mkOverride 1400 "worker@hive.local"; };',
        ("sonnet", OWN, OWN),
    ),
    "declares the options anew": (
        "disabledModules = [ options ]; options = lib.recursiveUpdate (import options { inherit lib; }).options"
        ' { hyperhive.agent.fallbackModel.default = "opus"; };',
        ("sonnet", OWN, OWN),
    ),
    "applies a function": (
        'options.hyperhive.agent.model = lib.mkOption { apply = _: "opus"; };', ("opus", OWN, UNTOUCHED),
    ),
    "applies a function that reads no definition": (
        'options.hyperhive.agent.model = lib.mkOption { apply = _: "opus"; };'
        ' config.hyperhive.agent.model = lib.mkOverride (throw "read") (throw "read");',
        ("opus", OWN, UNTOUCHED),
    ),
    "merges by a type of its own": (
        "options.hyperhive.agent.model = lib.mkOption { type = lib.types.str // {"
        ' functor = lib.types.str.functor // { name = "strMatching"; };'
        ' typeMerge = _: lib.types.str // { merge = _: _: "opus"; check = _: true; }; }; };',
        ("opus", OWN, UNTOUCHED),
    ),
    "declares an option above all": (
        "options.hyperhive.agent = lib.mkOption { type = lib.types.submodule { };"
        ' apply = all: all // { model = "opus"; }; };',
        ("opus", OWN, OWN),
    ),
    "names another file": (
        'hyperhive.agent.model = lib.mkMerge [ { _type = "definition"; file = "<unknown-file>";'
        ' value = lib.mkOverride 1250 "sonnet"; } ];',
        ("sonnet", OWN, UNTOUCHED),
    ),
    "has a priority that is no number": (
        'hyperhive.agent.model = let inf = 1.0e308 * 10; in lib.mkOverride (inf - inf) "opus";',
        ("sonnet", Source.HOST, UNTOUCHED),
    ),
    "has the strongest priority": (
        'hyperhive.agent.model = lib.mkOverride (-1.0e308 * 10) "opus";', ("opus", OWN, UNTOUCHED),
    ),
    "has the host's priority as another kind of number": (
        'hyperhive.agent.model = lib.mkOverride 1250.0 "sonnet";', ("sonnet", OWN, UNTOUCHED),
    ),
    "takes the module system's own place": (
        'key = "lib/modules.nix"; config.hyperhive.agent.model = lib.mkOverride 1250 "sonnet";'
        " options._module = builtins.mapAttrs (_: default: lib.mkOption { inherit default; })"
        " { args = { }; check = true; freeformType = null; specialArgs = { }; };",
        ("sonnet", OWN, UNTOUCHED),
    ),
}  # fmt: skip


@needs_nix
@pytest.mark.parametrize("name", TRICKS)
def test_an_agent_nix_that_tricks_fails_nothing_and_does_not_pass_for_the_host(
    real: Evaluator, tmp_path: Path, name: str
) -> None:
    text, expected = TRICKS[name]
    options = 'options = dirOf (dirOf (builtins.unsafeGetAttrPos "evalModules" lib).file) + "/modules/agent.nix";'
    found = wait(real.evaluate(candidate(tmp_path, f"{{ lib, ... }}: let {options} in {{ {text} }}", HIVE)))
    assert (validate(found.settings).model, found.sources["model"], found.sources["bash.deny"]) == expected
    assert [found.sources[path] for path in ("name", "role", "prompt")] == ["identity", "identity", "override"]
    assert found.sources.keys() == paths()
