"""What is installed from this tree: by pip from pyproject.toml, by Nix from modules/package.nix."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python/hyperhive"


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_file_that_is_no_module_is_package_data() -> None:
    globs = _project()["tool"]["setuptools"]["package-data"]["hyperhive"]
    files = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file()]
    data = [str(path) for path in files if path.suffix not in (".py", ".pyc")]
    assert len(data) > 3
    assert [name for name in data if not any(fnmatch(name, glob) for glob in globs)] == []


def test_the_nix_package_has_every_dependency_of_pyproject() -> None:
    project = _project()["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["nixos"]
    names = {re.split(r"[<>=!~ \[]", requirement, maxsplit=1)[0] for requirement in wanted}
    text = (ROOT / "modules/package.nix").read_text()
    block = text.split("inherit (python3Packages)", 1)[1].split(";", 1)[0]
    assert set(block.split()) == names


@pytest.mark.skipif(not (PACKAGE / "web/index.html").exists(), reason="the page is not built; `make setup` builds it")
@pytest.mark.skipif(shutil.which("nix") is None, reason="nix is not on PATH")
def test_nix_builds_the_page_of_these_sources() -> None:
    argv = ["nix", "--extra-experimental-features", "nix-command", "hash", "path", str(PACKAGE / "web")]
    made = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    told = (ROOT / "modules/page.hash").read_text().strip()
    assert made == told, "web/ changed: `make page-hash` writes modules/page.hash"


@pytest.mark.skipif(shutil.which("nix-build") is None, reason="nix is not on PATH")
def test_nix_itself_builds_the_page_with_that_hash() -> None:
    """In a store of its own, and without a sandbox, so that npm finds its registry as it does for `make setup`."""
    argv = ["nix-build", "--no-out-link", "--option", "sandbox", "false", "--option", "build-users-group", ""]
    argv += ["--option", "substitute", "false", "checks/stand-in/page.nix", "--arg", "page", "modules/page.nix"]
    places = {"NIX_STORE_DIR": "store", "NIX_STATE_DIR": "var", "NIX_LOG_DIR": "log"}
    with tempfile.TemporaryDirectory(prefix="hh-nix-") as directory:
        env = os.environ | {name: f"{directory}/{place}" for name, place in places.items()} | {"NIX_REMOTE": ""}
        built = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
        assert built.returncode == 0, built.stderr[-2000:]
        assert (Path(built.stdout.strip()) / "index.html").is_file()
        subprocess.run(["chmod", "-R", "u+w", directory], check=True)


@pytest.mark.skipif(not (PACKAGE / "web/index.html").exists(), reason="the page is not built; `make setup` builds it")
def test_the_wheel_holds_the_page_and_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "python/hyperhive"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", f"{tmp_path}/dist"]
    subprocess.run([*argv, str(tmp_path)], check=True, capture_output=True, text=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    with zipfile.ZipFile(wheel) as held:
        names = {name.removeprefix("hyperhive/web/") for name in held.namelist() if name.startswith("hyperhive/web/")}
        page = held.read("hyperhive/web/index.html").decode()
    assert names == {str(path.relative_to(PACKAGE / "web")) for path in (PACKAGE / "web").rglob("*") if path.is_file()}
    named = set(re.findall(r'(?:src|href)="/([^"]+)"', page))
    assert len(named) >= 2 and named <= names, named


def test_no_lock_file_names_a_registry() -> None:
    for lock in (ROOT / "web/package-lock.json", ROOT / "tools/package-lock.json"):
        assert "resolved" not in lock.read_text(), lock


def test_both_name_the_same_version() -> None:
    version = _project()["project"]["version"]
    assert f'version = "{version}";' in (ROOT / "modules/package.nix").read_text()
