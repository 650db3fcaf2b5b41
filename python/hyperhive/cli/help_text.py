"""What `hyperhive --help` prints, made by `hyperhive debug help-text`: typer would take too long for it."""

TEXT = """\
Usage: hyperhive [OPTIONS] COMMAND [ARGS]...

  A hive of Claude Code agents: a change is a commit, an approval shows its
  meaning, an apply is atomic.

Options:
  --socket PATH         Default: $HYPERHIVE_SOCKET, the nearest .hive,
                        /run/hyperhive.
  --version             Show the version and exit.
  --install-completion  Install completion for the current shell.
  --show-completion     Show completion for the current shell, to copy it or
                        customize the installation.
  --help                Show this message and exit.

Commands:
  run        Start a hive on this machine and show the loop.
  status     The hive at a glance, and what waits for you.
  resume     End the pause that a usage limit began; the hive asks the...
  dashboard  Print a link to the dashboard that logs one browser in.
  agent      The agents: list, create, start, stop, look inside.
  apply      Proposals: request, look at, approve or deny a change; roll...
  inbox      The operator's mail: list it (the default), read, reply.
  send       Send a message to an agent, as the operator.
  policy     Bash rules: what they allow, and those that allow more than...
  flake      Agents' flakes: make one, check one (no core needed).
  audit      The append-only log of who did what.
"""
