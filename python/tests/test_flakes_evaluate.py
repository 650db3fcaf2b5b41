"""Evaluating what an agent wrote: right settings, or one clear line, within the limits."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flakes_rig import PLAIN, ROOT, STAND_IN, candidate, needs_nix, stand_in_evaluator, wait

from hyperhive.errors import Rejected, Unavailable
from hyperhive.flakes.applied import HiveFile
from hyperhive.flakes.evaluate import Evaluator, default_evaluator
from hyperhive.process import run
from hyperhive.settings import Role, validate

pytestmark = needs_nix

# Other roots whose /usr/bin/nix must judge alike, e.g. a debootstrap of a newer Debian with nix-bin.
SYSTEMS = [Path("/"), *map(Path, filter(None, os.environ.get("HYPERHIVE_TEST_SYSTEMS", "").split(":")))]


@pytest.fixture(params=SYSTEMS, ids=str)
def evaluator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Evaluator:
    here = stand_in_evaluator(monkeypatch)
    if request.param == Path("/"):
        return here
    return replace(here, nix="/usr/bin/nix", system=request.param)


def reason(evaluator: Evaluator, directory: Path, agent_nix: str) -> str:
    """Why that agent.nix is rejected: one printable line, bounded, without a path of the evaluation's store."""
    with pytest.raises(Rejected) as caught:
        wait(evaluator.evaluate(candidate(directory, agent_nix)))
    text = str(caught.value)
    assert text.isprintable() and len(text) <= 600, text
    assert "/nix/store" not in text and "/tmp" not in text and "applied" not in text, text
    return text


def test_an_empty_agent_nix_has_the_defaults_and_the_host_s_name(evaluator: Evaluator, tmp_path: Path) -> None:
    settings = validate(wait(evaluator.evaluate(candidate(tmp_path, PLAIN))).settings)
    assert (settings.name, settings.role, settings.model) == ("worker", Role.AGENT, "haiku")


def test_agent_nix_may_import_files_of_its_own_tree(evaluator: Evaluator, tmp_path: Path) -> None:
    files = {"more.nix": "{ hyperhive.agent.prompt = builtins.readFile ./prompt.txt; }", "prompt.txt": "Be kind."}
    settings = wait(evaluator.evaluate(candidate(tmp_path, "{ imports = [ ./more.nix ]; }", files=files))).settings
    assert settings["prompt"] == "Be kind."


def test_the_operator_s_override_beats_agent_nix_which_beats_the_host_s_default(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    hive = HiveFile("worker", "agent", {"model": "low", "session": {"maxTurns": 5}}, {"prompt": "over"})
    text = '{ lib, ... }: { hyperhive.agent = { model = "mid"; prompt = lib.mkForce "under"; }; }'
    settings = wait(evaluator.evaluate(candidate(tmp_path, text, hive))).settings
    assert (settings["model"], settings["prompt"], settings["session"]["maxTurns"]) == ("mid", "over", 5)


def test_text_in_hive_toml_is_never_nix(evaluator: Evaluator, tmp_path: Path) -> None:
    nasty = '${builtins.abort "x"} \'\'${y} " \\ \n\t # }'
    hive = HiveFile("worker", "agent", {}, {"prompt": nasty})
    assert wait(evaluator.evaluate(candidate(tmp_path, PLAIN, hive))).settings["prompt"] == nasty


WRONG = {
    "syntax": ("{\n\n}}\n", "agent.nix:3:2: syntax error, unexpected '}'"),
    "empty": ("", "agent.nix:1:1: syntax error, unexpected end of file"),
    "undefined": ("{ hyperhive.agent.prompt = foo; }", "agent.nix:1:28: undefined variable 'foo'"),
    "unknown option": ('{ hyperhive.agent.modle = "x"; }', "agent.nix: The option `hyperhive.agent.modle' does not"),
    "other option": ("{ services.openssh.enable = true; }", "agent.nix: The option `services' does not exist"),
    "wrong type": ("{ hyperhive.agent.model = 3; }", "option `hyperhive.agent.model' is not of type"),
    "own name": ('{ hyperhive.agent.name = "boss"; }', "`hyperhive.agent.name' is read-only"),
    "own role": (
        '{ lib, ... }: { hyperhive.agent.role = lib.mkForce "manager"; }',
        "`hyperhive.agent.role' is read-only",
    ),
    "packages": ("{ pkgs, ... }: { hyperhive.agent.prompt = pkgs.x; }", "has no `pkgs`: name packages by attribute"),
    "search path": ('{ hyperhive.agent.prompt = "${<nixpkgs>}"; }', "may not use <nixpkgs>"),
    "its own words": ('{ hyperhive.agent.prompt = throw "two\nlines\u001b[31m"; }', "agent.nix: two lines"),
    "missing file": ("{ imports = [ ./gone.nix ]; }", "'gone.nix'"),
    "shadow": ("{ hyperhive.agent.prompt = builtins.readFile /etc/shadow; }", "agent.nix: may not read /etc/shadow"),
    "relative": ("{ hyperhive.agent.prompt = builtins.readFile ../../../../etc/passwd; }", "may not read /etc/passwd"),
    "import absolute": ("{ imports = [ /etc/passwd ]; }", "may not read /etc/passwd"),
    "host program": ('{ hyperhive.agent.prompt = builtins.hashFile "md5" /usr/bin/nix; }', "may not read /usr/bin/nix"),
    "fetchurl": (
        '{ hyperhive.agent.prompt = import (builtins.fetchurl "http://127.0.0.1:1/x"); }',
        "may not fetch http://127.0.0.1:1/x: an evaluation has no network",
    ),
    "fetchurl with hash": (
        "{ hyperhive.agent.prompt = import (builtins.fetchurl { url = "
        '"http://127.0.0.1:1/x"; sha256 = "0000000000000000000000000000000000000000000000000000"; }); }',
        "may not fetch http://127.0.0.1:1/x",
    ),
    "fetchTarball": (
        '{ hyperhive.agent.prompt = import (builtins.fetchTarball "http://127.0.0.1:1/x.tar"); }',
        "may not fetch http://127.0.0.1:1/x.tar",
    ),
    "fetchGit": (
        '{ hyperhive.agent.prompt = import (builtins.fetchGit "https://example.org/r"); }',
        "https://example.org/r",
    ),
    "fetchGit by revision": (
        "{ hyperhive.agent.prompt = import (builtins.fetchGit { "
        f'url = "https://example.org/r"; rev = "{"1" * 40}"; }}); }}',
        "may not fetch",
    ),
    "getFlake": (
        f'{{ hyperhive.agent.prompt = (builtins.getFlake "github:a/b/{"1" * 40}").x; }}',
        "may not fetch https://",
    ),
    "fetchTree": (
        '{ hyperhive.agent.prompt = toString (builtins.fetchTree { type = "path"; path = "/etc"; '
        'narHash = "sha256-zSdPfQBe1ZZxkFSo7KNs1DIeyQnASn6b0ZnNQ7wQ0AE="; }); }',
        "may not fetch path:/etc",
    ),
    "import from derivation": (
        '{ hyperhive.agent.prompt = import (derivation { name = "x"; system = "x86_64-linux"; builder = "/b"; }); }',
        "import from derivation is off",
    ),
    "time": ("{ hyperhive.agent.prompt = toString builtins.currentTime; }", "may not use builtins.currentTime"),
    "system": ('{ hyperhive.agent.prompt = "" + builtins.currentSystem; }', "may not use builtins.currentSystem"),
    "exec": ('{ hyperhive.agent.prompt = builtins.exec [ "id" ]; }', "attribute 'exec' missing"),
    "recursion": ("{ hyperhive.agent.prompt = let x = x; in x; }", "agent.nix:1:36: infinite recursion"),
    "option recursion": (
        "{ config, ... }: { hyperhive.agent.prompt = config.hyperhive.agent.prompt; }",
        "infinite recursion",
    ),
    "call recursion": ("{ hyperhive.agent.prompt = let f = x: 1 + f x; in toString (f 0); }", "infinite recursion"),
    "10 GB list": (
        "{ hyperhive.agent.prompt = toString (builtins.length (builtins.genList (x: x) 1250000000)); }",
        "agent.nix: the evaluation needs more than 2048 MiB",
    ),
    "100 MB string": (
        '{ hyperhive.agent.prompt = let go = n: s: if n == 0 then s else go (n - 1) (s + s); in go 27 "x"; }',
        "agent.nix: the evaluation printed more than 1024 KiB",
    ),
    "traces": (
        '{ hyperhive.agent.prompt = builtins.foldl\' (a: b: builtins.trace "spam ${toString b}" a) "x" '
        "(builtins.genList (x: x) 1000000); }",
        "agent.nix: the evaluation printed more than 1024 KiB",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_agent_nix_is_rejected_with_one_line_that_says_why(
    evaluator: Evaluator, tmp_path: Path, name: str
) -> None:
    agent_nix, expected = WRONG[name]
    assert expected in reason(evaluator, tmp_path, agent_nix)


def test_no_environment_variable_of_the_host_is_seen(
    evaluator: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    text = '{ hyperhive.agent.prompt = "<${builtins.getEnv "ANTHROPIC_API_KEY"}>"; }'
    assert wait(evaluator.evaluate(candidate(tmp_path, text))).settings["prompt"] == "<>"


LOOP = "let l = builtins.genList (x: x) 30000; s = builtins.foldl' (a: b: a + b) 0; in "
BUSY = f"{{ hyperhive.agent.prompt = {LOOP} toString (builtins.foldl' (a: b: a + s l) 0 l); }}"


def test_an_evaluation_that_does_not_end_is_cut_off_by_the_clock(evaluator: Evaluator, tmp_path: Path) -> None:
    assert "took more than 0.5 s;" in reason(replace(evaluator, timeout=0.5), tmp_path, BUSY)


def test_an_evaluation_that_does_not_end_is_cut_off_by_its_cpu_time(evaluator: Evaluator, tmp_path: Path) -> None:
    assert "took more than 1 s of CPU;" in reason(replace(evaluator, timeout=30, cpu=1), tmp_path, BUSY)


def test_an_evaluation_may_not_fill_the_host_s_memory_with_files(evaluator: Evaluator, tmp_path: Path) -> None:
    text = 'builtins.toFile "x" (let go = n: s: if n == 0 then s else go (n - 1) (s + s); in go 27 "x")'
    found = reason(replace(evaluator, timeout=30, cpu=30), tmp_path, f"{{ hyperhive.agent.prompt = {text}; }}")
    assert "wrote more files than an evaluation may" in found or "needs more than" in found


def test_nothing_is_left_of_an_evaluation(
    evaluator: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    directory = tmp_path / "candidate"
    directory.mkdir()
    before = sorted(candidate(directory, PLAIN).rglob("*"))
    wait(evaluator.evaluate(directory))
    assert (sorted(scratch.iterdir()), sorted(directory.rglob("*"))) == ([], before)


def test_settings_are_the_same_with_nixpkgs_own_lib(evaluator: Evaluator, tmp_path: Path) -> None:
    named = os.environ.get("HYPERHIVE_NIXPKGS_LIB")
    if not named:
        pytest.skip("no nixpkgs lib: set HYPERHIVE_NIXPKGS_LIB")
    directory = candidate(tmp_path, '{ hyperhive.agent.bash.allow = [ "ls *" ]; }')
    real = replace(evaluator, lib=Path(named))
    assert wait(real.evaluate(directory)) == wait(evaluator.evaluate(directory))


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may read (pytest's own are private)."""
    directory = Path(tempfile.mkdtemp(prefix="hyperhive-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 11))"
AS_NOBODY = """
import asyncio, json, sys
from pathlib import Path
from hyperhive.errors import Rejected
from hyperhive.flakes.evaluate import default_evaluator
flake = default_evaluator(Path(sys.argv[1]))
print(json.dumps(asyncio.run(flake.evaluate(Path(sys.argv[2]))).settings["name"]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="root becomes an ordinary user here; others are one already")
def test_an_ordinary_user_can_evaluate(open_directory: Path) -> None:
    python = shutil.which("python3", path="/usr/bin")  # which every user may run
    if not python or wait(run([python, "-c", NEW_ENOUGH], timeout=10, check=False)).returncode:
        pytest.skip("needs /usr/bin/python3, 3.11 or newer")
    shutil.copytree(ROOT / "modules", open_directory / "modules")
    shutil.copytree(STAND_IN, open_directory / "lib")
    shutil.copytree(ROOT / "python/hyperhive", open_directory / "python/hyperhive")
    (open_directory / "candidate").mkdir()
    candidate(open_directory / "candidate", PLAIN)
    wait(run(["chmod", "-R", "a+rX", str(open_directory)], timeout=10))
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", python, "-c", AS_NOBODY]
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(open_directory / "python"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPERHIVE_NIXPKGS_LIB": str(open_directory / "lib"),
    }
    argv += [str(open_directory), str(open_directory / "candidate")]
    assert wait(run(argv, timeout=30, env=environment)).text == '"worker"'


@pytest.mark.parametrize("program", ["nix", "bwrap", "prlimit"])
def test_a_missing_program_is_named_with_what_to_install(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for present in {"nix", "bwrap", "prlimit"} - {program}:
        (tmp_path / present).symlink_to(shutil.which(present) or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=f"^{program} is not on PATH; install it .Debian: apt install"):
        default_evaluator(ROOT)


def test_a_tree_without_the_modules_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=f"{tmp_path} does not hold hyperhive's modules"):
        default_evaluator(tmp_path)


def test_a_wrong_nixpkgs_lib_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERHIVE_NIXPKGS_LIB", str(tmp_path))
    with pytest.raises(Unavailable, match="HYPERHIVE_NIXPKGS_LIB="):
        default_evaluator(ROOT)


def test_the_lib_of_nix_path_comes_before_the_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/default.nix").touch()
    monkeypatch.delenv("HYPERHIVE_NIXPKGS_LIB", raising=False)
    monkeypatch.setenv("NIX_PATH", f"other=/x:nixpkgs={tmp_path}")
    assert default_evaluator(ROOT).lib == tmp_path / "lib"
    monkeypatch.delenv("NIX_PATH")
    assert default_evaluator(ROOT).lib == STAND_IN
