"""Which variables a command may set: what the shell or a program takes orders from is not among them."""

from __future__ import annotations

import re

from hyperhive.policy.programs import harmless_variables

_QUIET = frozenset(
    {("PAGER", "cat"), ("GIT_PAGER", "cat"), ("GIT_PAGER", ""), ("GIT_EDITOR", "true"), ("EDITOR", "true")}
)

# The shell's own, and those in a turn's environment: a plain assignment changes what every later command gets.
_KNOWN = re.compile(
    r"(?:PATH|HOME|IFS|ENV|PWD|OLDPWD|CDPATH|SHELL|SHELLOPTS|BASHOPTS|GLOBIGNORE|POSIXLY_CORRECT|TMPDIR|TMP|TEMP|TMOUT"
    r"|PS[0-4]|PROMPT_.*|FUNCNEST|FIGNORE|HIST.*|MAIL.*|INPUTRC|OPTIND|OPTARG|OPTERR|REPLY|DIRSTACK|TIMEFORMAT|UID|EUID"
    r"|RANDOM|SRANDOM|SECONDS|LINENO|EPOCH.*|GROUPS|PIPESTATUS|FUNCNAME|COPROC|MAPFILE|EXECIGNORE|CHILD_MAX|COMP_.*|COMPREPLY|USER|LOGNAME|EDITOR|VISUAL|PAGER|MANPAGER|BROWSER|LESS.*|MORE|DISPLAY"
    r"|BASH.*|LD_.*|GIT_.*|SSH_.*|GPG_.*|GNUPG.*|NIX_.*|HIVE_.*|CLAUDE.*|ANTHROPIC_.*|API_.*|NODE_.*|NPM_.*|npm_.*"
    r"|PYTHON.*|PERL.*|RUBY.*|GEM_.*|LUA_.*|JAVA.*|_JAVA.*|MAKE.*|MFLAGS|GNUMAKEFLAGS|CARGO.*|RUSTC.*|GO[A-Z]*|CGO_.*"
    r"|CC|CXX|CPP|CFLAGS|LDFLAGS|XDG_.*|DBUS_.*|SYSTEMD_.*|TAR_.*|ZIPOPT|UNZIP|UNZIPOPT|GZIP|XZ_.*|GREP_.*|RIPGREP_.*|JQ_.*"
    r"|AWK.*|POSIX.*|LC_.*|LANG.*|TERM.*|SUDO_.*|.*_proxy|.*_PROXY|_)\Z"
)


def may_set(name: str, value: str | None, *, exported: bool) -> bool:
    """Whether a command may give that variable that value (None: one that nobody knows).

    One that is exported must be known to be harmless; one that is not must be neither the shell's nor in the
    environment already.
    """
    if name in harmless_variables() or name.startswith("LC_") or (name, value) in _QUIET:
        return True
    return not exported and _KNOWN.match(name) is None
