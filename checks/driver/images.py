"""The Debian roots that the hosts boot from: made once by debootstrap, kept in a cache, never written to afterwards."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUITES = ("trixie", "sid", "bookworm")
PYTHON = {"trixie": "3.13", "sid": "3.14", "bookworm": "3.11"}
ONLY_UNIFIED = ("sid",)
"""Those whose systemd is of cgroup v2 only."""
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "polkitd", "libpam-systemd", "systemd-container", "python3", "git"),
    *("iproute2", "nftables", "procps", "util-linux", "bubblewrap", "shfmt", "curl", "socat", "netcat-openbsd", "jq"),
    "ca-certificates",
)
# Timers that would work in a test, and mounts of which systemd waits a second each for the kernel's events.
MASKED = (
    *("var-lib-machines.mount", "dev-hugepages.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("run-lock.mount", "tmp.mount", "dev-mqueue.mount", "apt-daily.timer", "apt-daily-upgrade.timer"),
    *("dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer"),
    *("systemd-networkd.service", "systemd-networkd.socket", "systemd-resolved.service"),
)
LATER = ("nix-bin", "acl")
"""What debootstrap itself cannot order; apt installs it afterwards."""


def cache() -> Path:
    """Where images are kept: $HYPERHIVE_IMAGES, by default below the user's cache directory."""
    named = os.environ.get("HYPERHIVE_IMAGES")
    return Path(named) if named else Path.home() / ".cache/hyperhive/images"


def path_of(suite: str) -> Path:
    """Where the image of a Debian suite is, or will be; another one whenever what goes in has changed."""
    files = [ROOT / "tools/constraints.txt", ROOT / "tools/package-lock.json"]
    parts = [suite, *PACKAGES, *LATER, *MASKED, *_libraries(), *(file.read_text() for file in files)]
    return cache() / f"{suite}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"


def image(suite: str) -> Path:
    """The image of a suite, made if it is not there (about three minutes), by one process at a time."""
    path = path_of(suite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_dir():
            _make_whole(suite, path)
    return path


def _make_whole(suite: str, path: Path) -> None:
    made = Path(tempfile.mkdtemp(prefix=f".{suite}-", dir=path.parent))
    try:
        _make(suite, made)
        made.chmod(0o755)
        made.rename(path)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _make(suite: str, root: Path) -> None:
    _say(f"making the {suite} host image, once")
    _run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, str(root))
    apt = "apt-get install -y -qq --no-install-recommends"
    _run("chroot", str(root), "sh", "-c", f"DEBIAN_FRONTEND=noninteractive {apt} {' '.join(LATER)} && apt-get clean")
    for unit in MASKED:
        (root / "etc/systemd/system" / unit).unlink(missing_ok=True)
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    _say("its Python libraries and Claude Code")
    _install_libraries(root, PYTHON[suite])
    claude = ROOT / ".setup/node_modules/@anthropic-ai/claude-code/bin/claude.exe"
    shutil.copy(claude if claude.exists() else shutil.which("claude") or "claude", root / "usr/bin/claude")
    (root / "usr/bin/claude").chmod(0o755)


def _install_libraries(root: Path, version: str) -> None:
    """The core's dependencies for the image's own Python; hyperhive itself is built by Nix."""
    target = root / "usr/lib/hyperhive-python"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    pip += ["--target", str(target), "--python-version", version, "--only-binary=:all:"]
    _run(*pip, "-c", str(ROOT / "tools/constraints.txt"), *_libraries())
    _run("chroot", str(root), "python3", "-m", "compileall", "-q", "/usr/lib/hyperhive-python", check=False)


def _libraries() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["nixos"]]


def _run(*argv: str, check: bool = True) -> None:
    done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{argv[0]} failed ({done.returncode}): {(done.stderr or done.stdout)[-2000:]}")


def _say(text: str) -> None:
    print(f"images: {text}", file=sys.stderr, flush=True)
