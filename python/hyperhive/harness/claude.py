"""The command line and environment of one Claude Code process (contract of version 2.1.197, measured).

Nothing in a repository or in the agent's home configures it: no setting sources, only our MCP server, a positive list
of tools, and `dontAsk`, in which everything that no rule allows is denied.
"""

from __future__ import annotations

import json

from hyperhive.harness.prompt import system_prompt
from hyperhive.harness.session import Session
from hyperhive.settings import Role, Settings

MODEL_PORT = 8080
_GIT = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.pager": "cat",
    "core.editor": "true",
    "sequence.editor": "true",
    "core.sshCommand": "ssh",
    "core.askPass": "true",
    "credential.helper": "",
    "diff.external": "",
    "protocol.ext.allow": "never",
    "protocol.fd.allow": "never",
    "safe.bareRepository": "explicit",
    "gpg.program": "false",
}
"""Settings of git that no repository overrides: nothing that an agent reads makes git run a program."""
_MCP = {
    "mcpServers": {
        "hive": {"command": "socat", "args": ["STDIO", "UNIX-CONNECT:/run/hive/mcp.sock"], "alwaysLoad": True}
    }
}


def command(claude: str, settings: Settings, session: Session) -> list[str]:
    """The argv of a turn; the prompt goes to its standard input."""
    argv = [claude, "-p", "--output-format", "stream-json", "--verbose", "--include-partial-messages"]
    argv += ["--model", settings.model]
    if settings.fallbackModel:
        argv += ["--fallback-model", settings.fallbackModel]
    argv += ["--session-id" if session.fresh else "--resume", session.id]
    argv += ["--tools", ",".join(tools(settings)), "--permission-mode", "dontAsk"]
    argv += ["--setting-sources", "", "--strict-mcp-config", "--mcp-config", json.dumps(_MCP)]
    argv += ["--max-turns", str(settings.session.maxTurns), "--append-system-prompt", system_prompt(settings)]
    denied = [*settings.tools.deny, *(f"Bash({pattern})" for pattern in settings.bash.deny)]
    if denied:
        argv += ["--disallowedTools", *denied]
    return [*argv, "--allowedTools", *allowed(settings)]


def compaction_command(claude: str, settings: Settings, session: str) -> list[str]:
    """The argv of the session that turns a transcript into notes: one answer, no tool, nothing stored."""
    argv = [claude, "-p", "--output-format", "stream-json", "--verbose", "--model", settings.model]
    if settings.fallbackModel:
        argv += ["--fallback-model", settings.fallbackModel]
    argv += ["--session-id", session, "--no-session-persistence", "--tools", "", "--permission-mode", "dontAsk"]
    argv += ["--setting-sources", "", "--strict-mcp-config", "--max-turns", "1"]
    return [*argv, "--system-prompt", f"You keep the notes of {settings.name}, an agent whose memory they are."]


def tools(settings: Settings) -> list[str]:
    """The built-in tools that exist for the agent. Bash is one of them if any command is allowed."""
    named = [tool for tool in settings.tools.allow if tool not in settings.tools.deny and tool != "Bash"]
    return [*named, "Bash"] if settings.bash.allow else named


def allowed(settings: Settings) -> list[str]:
    """The permission rules: the hive's tools, the agent's own files (a manager's: the config repos too), its commands.

    `Edit(//path/**)` covers Write as well; a bare `Edit` would allow every path, so the file tools get no bare rule.
    """
    writable = ["/state/work", "/state/notes.md"]
    if settings.role is Role.MANAGER:
        writable.append("/hive/agents")
    rules = ["mcp__hive"]
    if "Edit" in settings.tools.allow or "Write" in settings.tools.allow:
        rules += [f"Edit(/{path})" if path.endswith(".md") else f"Edit(/{path}/**)" for path in writable]
    if settings.role is Role.MANAGER and "Read" in settings.tools.allow:
        rules.append("Read(//hive/agents/**)")
    rules += [tool for tool in tools(settings) if tool not in ("Bash", "Read", "Edit", "Write", "Grep", "Glob")]
    return [*rules, *(f"Bash({pattern})" for pattern in settings.bash.allow)]


def environment(settings: Settings) -> dict[str, str]:
    """What the process gets besides the cage's environment. The key is a dummy: the gateway adds the real one."""
    git = settings.git
    return {
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{MODEL_PORT}",
        "ANTHROPIC_API_KEY": "the-gateway-adds-the-key",
        "CLAUDE_CONFIG_DIR": "/state/.claude",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_ATTACHMENTS": "1",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "CLAUDE_CODE_DISABLE_CRON": "1",
        "CLAUDE_CODE_MAX_RETRIES": "4",
        "API_TIMEOUT_MS": "120000",
        "BASH_MAX_TIMEOUT_MS": "600000",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_AUTO_COMPACT": "1",
        "CLAUDE_CODE_SHELL": "bash",  # it would take a zsh, and the rules are decided by Bash's grammar
        **_pinned_git(),
        "GIT_AUTHOR_NAME": git.name,
        "GIT_AUTHOR_EMAIL": git.email,
        "GIT_COMMITTER_NAME": git.name,
        "GIT_COMMITTER_EMAIL": git.email,
    }


def _pinned_git() -> dict[str, str]:
    pinned = {"GIT_CONFIG_GLOBAL": "/dev/null"}  # the agent's own ~/.gitconfig; its name and email are in the variables
    pinned |= {"GIT_CONFIG_COUNT": str(len(_GIT)), "GIT_PAGER": "cat", "GIT_EDITOR": "true", "GIT_TERMINAL_PROMPT": "0"}
    for index, (key, value) in enumerate(_GIT.items()):
        pinned |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return pinned
