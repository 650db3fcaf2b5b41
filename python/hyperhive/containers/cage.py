"""The local backend's sandbox: the bubblewrap command that one turn (or one shell) of an agent runs in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hyperhive.containers import Applied
from hyperhive.settings import Role, Settings

AGENT_UID = 1000
CLAUDE = "/opt/claude/claude"
HOOK = {"type": "command", "command": "sh /etc/claude-code/hook.sh || exit 2", "timeout": 20}
"""What Claude Code asks before each command; a hook that cannot be started is a no, too."""
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("alternatives", "ssl", "pki", "static")  # world-readable parts of the host's /etc that programs need


@dataclass(frozen=True)
class CagePaths:
    """Where an agent's parts are on the host. `runtime` holds its sockets, `claude` is the program itself."""

    state: Path
    runtime: Path
    claude: Path


def write_etc(directory: Path, settings: Settings) -> None:
    """Write the cage's own /etc: users, hosts, git identity and Claude Code's managed settings."""
    (directory / "claude-code").mkdir(parents=True, exist_ok=True)
    for name in _ETC:
        if Path("/etc", name).is_dir():
            (directory / name).mkdir(exist_ok=True)
    git = settings.git
    files = {
        "passwd": f"agent:x:{AGENT_UID}:{AGENT_UID}:{settings.name}:/state:/bin/sh\n",
        "group": f"agent:x:{AGENT_UID}:\n",
        "hosts": f"127.0.0.1 localhost\n127.0.1.1 {settings.name}\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "gitconfig": f"[user]\n\tname = {_git_quote(git.name)}\n\temail = {_git_quote(git.email)}\n"
        "[safe]\n\tdirectory = *\n",
        "claude-code/managed-settings.json": json.dumps(managed_settings(settings), indent=2) + "\n",
        "claude-code/hook.sh": resources.files("hyperhive").joinpath("harness/hook.sh").read_text(),
    }
    for name, text in files.items():
        replace_file(directory / name, text)
    _link_localtime(directory / "localtime")


def replace_file(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part, nor an empty one on a full disk."""
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.write_text(text)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    fresh.replace(path)


def _link_localtime(link: Path) -> None:
    """The host's time zone. A link, not a copy: without its name Claude Code searches it for 0.15 s in each turn."""
    host = Path("/etc/localtime")
    link.unlink(missing_ok=True)
    link.symlink_to(host.readlink() if host.is_symlink() else "/usr/share/zoneinfo/Etc/UTC")


def _git_quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def managed_settings(settings: Settings) -> dict[str, object]:
    """Claude Code's managed settings, which nothing inside the cage can override (modules/harness-base.nix too)."""
    denied = [*settings.tools.deny, *(f"Bash({pattern})" for pattern in settings.bash.deny)]
    return {
        "permissions": {"deny": denied, "disableBypassPermissionsMode": "disable"},
        "allowManagedHooksOnly": True,
        "allowManagedPermissionRulesOnly": True,
        "hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [HOOK]}]},
    }


def bubblewrap(bwrap: str, applied: Applied, paths: CagePaths) -> list[str]:
    """The argv up to and including `--`: everything that the agent sees of the world.

    Own user, mount, pid, network, IPC and UTS namespace; only loopback; the system read-only; its own /state; no
    other file of the host. A process in it can neither outlive it nor gain a capability.
    """
    argv = [bwrap, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
    argv += ["--uid", str(AGENT_UID), "--gid", str(AGENT_UID), "--hostname", applied.name]
    argv += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108
    argv += _system_binds(paths)
    argv += ["--bind", str(paths.state), "/state"]
    for socket in ("mcp.sock", "model.sock", "policy.sock"):
        argv += ["--ro-bind", str(paths.runtime / socket), f"/run/hive/{socket}"]
    mode = "--bind" if applied.settings.role is Role.MANAGER else "--ro-bind"
    for name, config in sorted(applied.configs.items()):
        argv += [mode, str(config), f"/hive/agents/{name}/config"]
    argv += ["--ro-bind", str(paths.claude), CLAUDE]
    argv += ["--remount-ro", "/", "--clearenv", "--chdir", "/state/work"]
    for name, value in _environment(applied.settings).items():
        argv += ["--setenv", name, value]
    return [*argv, "--"]


def _system_binds(paths: CagePaths) -> list[str]:
    argv = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM:
        root = Path("/", name)
        if root.is_symlink():
            argv += ["--symlink", str(root.readlink()), str(root)]
        elif root.is_dir():
            argv += ["--ro-bind", str(root), str(root)]
    argv += ["--ro-bind-try", "/nix/store", "/nix/store"]
    argv += ["--ro-bind", str(paths.runtime / "etc"), "/etc"]
    for name in _ETC:
        argv += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return argv


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "HOME": "/state",
        "USER": "agent",
        "LOGNAME": "agent",
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin",
        "HIVE_AGENT": settings.name,
        "CLAUDE_CODE_CERT_STORE": "bundled",  # no TLS here; reading the host's certificates takes 0.03 s of each turn
    }
