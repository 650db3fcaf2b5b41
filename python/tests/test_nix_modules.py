"""The Nix modules, evaluated for real: with the stand-in's lib always, with nixpkgs' own where there is one."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hyperhive.config import CoreConfig, DeclaredAgent
from hyperhive.containers.cage import managed_settings
from hyperhive.harness.config import HarnessConfig
from hyperhive.settings import Role, schema, validate

ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / "checks/stand-in/lib"
NO_NIX = shutil.which("nix-instantiate") is None

pytestmark = pytest.mark.skipif(NO_NIX, reason="nix is not installed")


def _real_lib() -> Path | None:
    named = os.environ.get("HYPERHIVE_NIXPKGS_LIB")
    places = [Path(named)] if named else []
    entries = os.environ.get("NIX_PATH", "").split(":")
    places += [Path(entry.removeprefix("nixpkgs="), "lib") for entry in entries if entry.startswith("nixpkgs=")]
    return next((place for place in places if (place / "default.nix").is_file()), None)


REAL = _real_lib()
LIBS = [
    pytest.param(STAND_IN, id="stand-in"),
    pytest.param(
        REAL,
        id="nixpkgs",
        marks=pytest.mark.skipif(REAL is None, reason="no nixpkgs lib: set HYPERHIVE_NIXPKGS_LIB or NIX_PATH"),
    ),
]


def _nix(expression: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "--store", "dummy://", "--expr", expression],
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def _evaluate(expression: str) -> Any:
    done = _nix(expression)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.cache
def _tests(lib: Path) -> dict[str, dict[str, Any]]:
    """Every test's value and expectation (negatives: their pattern), in one evaluation."""
    found: dict[str, dict[str, Any]] = _evaluate(
        "builtins.mapAttrs"
        " (_: t: if t ? fails then { inherit (t) fails; } else { inherit (t) expected; value = t.expr; })"
        f" (import {ROOT}/checks/eval {{ lib = import {lib}; }})"
    )
    return found


def _names(*, negative: bool) -> list[str]:
    if NO_NIX:
        return []
    done = _evaluate(f"builtins.mapAttrs (_: t: t ? fails) (import {ROOT}/checks/eval {{ lib = import {STAND_IN}; }})")
    return [name for name, fails in done.items() if fails is negative]


@pytest.mark.parametrize("lib", LIBS)
@pytest.mark.parametrize("name", _names(negative=False))
def test_evaluates_to_what_is_expected(lib: Path, name: str) -> None:
    test = _tests(lib)[name]
    assert test["value"] == test["expected"]


@functools.cache
def _refusals(lib: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """What nix says to each negative: an evaluation each, for the first error ends it; some at a time."""
    names = _names(negative=True)
    expressions = [f"(import {ROOT}/checks/eval {{ lib = import {lib}; }}).{json.dumps(name)}.expr" for name in names]
    with ThreadPoolExecutor() as pool:
        return dict(zip(names, pool.map(_nix, expressions), strict=True))


@pytest.mark.parametrize("lib", LIBS)
@pytest.mark.parametrize("name", _names(negative=True))
def test_is_refused_with_the_reason(lib: Path, name: str) -> None:
    done = _refusals(lib)[name]
    assert done.returncode != 0, done.stdout
    assert re.search(_tests(lib)[name]["fails"], done.stderr), done.stderr


@pytest.mark.skipif(REAL is None, reason="no nixpkgs lib: set HYPERHIVE_NIXPKGS_LIB or NIX_PATH")
def test_the_stand_in_and_nixpkgs_agree_in_every_value() -> None:
    assert REAL is not None
    assert _tests(STAND_IN) == _tests(REAL)


@pytest.mark.parametrize("lib", LIBS)
def test_evaluated_settings_are_valid_by_the_schema(lib: Path) -> None:
    values = [test["value"] for name, test in _tests(lib).items() if name in ("every default", "every option set")]
    assert [validate(value).to_json() for value in values] == values
    assert len(values) == 2


@pytest.mark.parametrize("lib", LIBS)
def test_option_names_and_schema_properties_are_equal(lib: Path) -> None:
    names = _evaluate(
        f"let lib = import {lib};"
        f" tree = (lib.evalModules {{ modules = [ {ROOT}/modules/agent.nix ]; }}).options.hyperhive.agent;"
        ' walk = t: builtins.mapAttrs (_: o: if (o._type or null) == "option" then null else walk o) t; in walk tree'
    )

    def of_schema(node: dict[str, Any]) -> Any:
        if node.get("type") != "object":
            return None
        return {name: of_schema(child) for name, child in node["properties"].items()}

    expected = of_schema(schema())
    del expected["schema"]
    assert names == expected


def _rule(path: str) -> dict[str, Any]:
    """The schema's rule for one value of that option: of a list, for its elements."""
    node = schema()
    for name in path.split("."):
        node = node["properties"][name]
    node = node.get("items", node)
    node = node["anyOf"][1] if "anyOf" in node else node
    found: dict[str, Any] = schema()["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
    return found


def _samples(rule: dict[str, Any]) -> list[str | int]:
    """Values on both sides of a rule: each ASCII character first, inside and last in short texts; each bound."""
    if "minimum" in rule:
        return [value for name in ("minimum", "maximum") for value in range(rule[name] - 1, rule[name] + 2)]
    texts = ["", *("a" * length for length in (2, 31, 32, 41, 42, 100, 101, 200, 201))]
    for frame in ("{}", "{}a", "a{}", "a{}a", "A{}Z", "a@b{}c", "{}@b", "host:1{}", "ho{}st:1", "a.b{}c"):
        texts += [frame.format(chr(code)) for code in range(1, 127)]
    return list(texts)


def _keeps(rule: dict[str, Any], value: str | int) -> bool:
    if isinstance(value, int):
        return bool(rule["minimum"] <= value <= rule["maximum"])
    return re.fullmatch(rule["pattern"], value) is not None


@pytest.mark.parametrize("lib", LIBS)
def test_nix_types_and_schema_take_the_same_values(lib: Path, tmp_path: Path) -> None:
    paths = [
        "name", "model", "fallbackModel", "bash.allow", "bash.deny", "tools.allow", "tools.deny", "git.name",
        "git.email", "packages", "network.allow", "notes.maxBytes", "session.turnTimeout", "session.maxTurns",
        "session.compactAt",
    ]  # fmt: skip
    samples = {path: _samples(_rule(path)) for path in paths}
    (tmp_path / "samples.json").write_text(json.dumps(samples))
    taken = _evaluate(
        f"let lib = import {lib};"
        f" options = (lib.evalModules {{ modules = [ {ROOT}/modules/agent.nix ]; }}).options.hyperhive.agent;"
        " element = type: if type ? nestedTypes.elemType then type.nestedTypes.elemType else type;"
        ' check = path: (element (lib.getAttrFromPath (lib.splitString "." path) options).type).check;'
        f" samples = builtins.fromJSON (builtins.readFile {tmp_path}/samples.json);"
        " in builtins.mapAttrs (path: map (check path)) samples"
    )
    for path, values in samples.items():
        expected = [_keeps(_rule(path), value) for value in values]
        different = [value for value, nix, ours in zip(values, taken[path], expected, strict=True) if nix is not ours]
        assert different == [], path
        assert True in expected, path
        assert False in expected, path


@pytest.mark.parametrize("lib", LIBS)
def test_every_option_is_described_in_full_sentences(lib: Path) -> None:
    described = _evaluate(
        f"let lib = import {lib}; evaluate = m: (lib.evalModules {{ modules = [ m ]; }}).options;"
        " walk = path: t: builtins.concatLists (builtins.attrValues (builtins.mapAttrs (n: o:"
        ' if n == "_module" then [ ]'
        ' else if (o._type or null) == "option" then [ { name = "${path}.${n}"; text = o.description or ""; } ]'
        ' else walk "${path}.${n}" o) t)); in'
        f' walk "" (evaluate {ROOT}/modules/agent.nix).hyperhive'
        f' ++ walk "" (evaluate {ROOT}/modules/options.nix).services'
    )
    assert len(described) > 30
    assert [option["name"] for option in described if not option["text"].strip().endswith(".")] == []


def test_mk_agent_gives_settings_and_both_configurations_without_nixpkgs(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/agent.nix").write_text('{ hyperhive.agent.model = "opus"; }\n')
    (tmp_path / "hive.toml").write_text('name = "bee"\nrole = "agent"\n')
    value = _evaluate(
        f"let made = (import {ROOT}/modules/lib {{ lib = import {STAND_IN}; }}).mkAgent"
        f" {{ hive = {tmp_path}/hive.toml; source = {tmp_path}/agent; }};"
        " in { inherit (made) settings; systems = builtins.attrNames made.nixosConfigurations; }"
    )
    assert value["settings"]["model"] == "opus"
    assert value["systems"] == ["bee", "container"]


def test_the_flakes_outputs_are_there_and_evaluate() -> None:
    scripts = sorted(path.stem for path in (ROOT / "checks/vm").glob("*.py"))
    value = _evaluate(
        f"let lib = import {STAND_IN}; pkgs = import {ROOT}/checks/stand-in/pkgs.nix {{ inherit lib; }};"
        ' systems = { x86_64-linux = pkgs; aarch64-linux = pkgs; }; nixpkgs = { inherit lib; outPath = "/nixpkgs";'
        f" legacyPackages = systems; }}; flake = import {ROOT}/flake.nix;"
        " out = flake.outputs { inherit nixpkgs; self.outPath = toString ./.; }; names = builtins.attrNames; in {"
        " inherit (flake.inputs.nixpkgs) url; outputs = names out; lib = names out.lib;"
        " modules = names out.nixosModules;"
        " packages = names out.packages.x86_64-linux; checks = names out.checks.x86_64-linux;"
        " apps = names out.apps.aarch64-linux; program = out.apps.x86_64-linux.run.program;"
        " evaluation = out.checks.x86_64-linux.evaluation.name; shells = names out.devShells.x86_64-linux;"
        " formatter = out.formatter.x86_64-linux.name;"
        " templates = builtins.mapAttrs (_: t: builtins.pathExists t.path) out.templates; }"
    )
    assert value.pop("program").startswith("/nix/store/")
    assert value == {
        "url": "github:NixOS/nixpkgs/nixos-26.05",
        "outputs": [
            "apps", "checks", "devShells", "formatter", "lib", "nixosModules", "packages", "templates",
        ],
        "modules": ["agent", "default", "hyperhive"],
        "lib": ["mkAgent", "settings"],
        "checks": ["evaluation", "options", "package", *(f"vm-{name}" for name in scripts)],
        "packages": ["default", "hyperhive", "page"],
        "apps": ["default", "run"],
        "evaluation": "hyperhive-evaluation",
        "shells": ["default"],
        "formatter": "treefmt",
        "templates": {"agent": True, "host": True},
    }  # fmt: skip


def test_the_lock_holds_the_input_of_the_flake() -> None:
    lock = json.loads((ROOT / "flake.lock").read_text())
    assert lock["nodes"]["root"]["inputs"] == {"nixpkgs": "nixpkgs"}
    assert lock["nodes"]["nixpkgs"]["original"]["ref"] == "nixos-26.05"
    assert len(lock["nodes"]["nixpkgs"]["locked"]["rev"]) == 40


def test_the_modules_never_import_the_stand_in() -> None:
    texts = {path: path.read_text() for path in (ROOT / "modules").rglob("*.nix")}
    assert texts
    assert [path for path, text in texts.items() if "stand-in/" in text] == []


def _build(directory: Path, expression: str) -> subprocess.CompletedProcess[str]:
    """Let nix build a derivation with the host's /bin/sh in a store of its own; prints the file it made."""
    (directory / "passwd").write_text("builder:x:0:0::/tmp:/bin/sh\n")
    links = [("--symlink", str(p.readlink()), str(p)) for p in map(Path, ("/bin", "/lib", "/lib64")) if p.is_symlink()]
    return subprocess.run(
        ["bwrap", "--unshare-all", "--uid", "0", "--gid", "0", "--ro-bind", "/usr", "/usr", *sum(links, ()),
         "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/nix", "--ro-bind", str(ROOT), str(ROOT),
         "--ro-bind", str(directory / "passwd"), "/etc/passwd", "--setenv", "HOME", "/tmp", "--",
         "sh", "-c", 'out=$(nix-build --no-out-link --option sandbox false --option build-users-group ""'
         ' --option substituters "" --expr "$1") && cat "$out"', "sh", expression],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_nix_really_builds_the_files_of_guest_and_host(tmp_path: Path) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    done = _build(
        tmp_path,
        f"let lib = import {STAND_IN}; tools = import {ROOT}/checks/eval/tools.nix {{ inherit lib; }};"
        ' etc = (tools.guest (tools.agent { bash.deny = [ "git push *" ]; }) { }).environment.etc;'
        " host = tools.host { services.hyperhive.enable = true; };"
        ' in tools.pkgs.runCommand "files" { settings = etc."hyperhive/settings.json".text;'
        ' managed = etc."claude-code/managed-settings.json".text; harness = etc."hyperhive/harness.json".text;'
        ' core = host.environment.etc."hyperhive/core.json".text; flake = host.environment.variables.HYPERHIVE_FLAKE; }'
        " ''test -f $flake/modules/lib/host-flake/flake.nix && test -f $flake/modules/agent.nix"
        ' && printf "[%s,%s,%s,%s]" "$settings" "$managed" "$harness" "$core" > $out'
        "''",
    )
    assert done.returncode == 0, done.stderr
    settings, managed, harness, core = json.loads(done.stdout)
    (hook,) = managed["hooks"]["PreToolUse"][0]["hooks"]
    hook["command"] = re.sub(r"/nix/store/[^ ]*/libexec/hyperhive", "/etc/claude-code", hook["command"])
    assert managed == managed_settings(validate(settings))
    assert harness["claude"].endswith("-claude/bin/claude")
    assert HarnessConfig.load(_written(tmp_path, harness, settings)).cage[-1] == "--"
    assert CoreConfig.from_json(core).agents == (DeclaredAgent("manager", Role.MANAGER),)


def _written(directory: Path, harness: dict[str, Any], settings: dict[str, Any]) -> Path:
    """The guest's two files, where the harness can read them."""
    (directory / "settings.json").write_text(json.dumps(settings))
    harness["settings"] = str(directory / "settings.json")
    path = directory / "harness.json"
    path.write_text(json.dumps(harness))
    return path
