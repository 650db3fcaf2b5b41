# Claude Code's PreToolUse hook: asks the hive's core, over the agent's own socket, whether the command on standard input
# may run. Claude Code takes a hook that fails for a yes; so whatever is not a whole answer ends with 2, which is its no.
answer=$(timeout 10 socat -t 10 STDIO UNIX-CONNECT:/run/hive/policy.sock 2>/dev/null)
case $answer in
  '{"hookSpecificOutput":'*'}}') printf '%s\n' "$answer" ;;
  *)
    echo "the hive's core did not answer, and nothing runs without its word; try again later" >&2
    exit 2
    ;;
esac
