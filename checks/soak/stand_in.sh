#!/bin/sh
# Stands in for Claude Code: keeps the prompt of each run in /state/soak, takes a while, and sends one message as the
# agent over the hive's MCP socket in every other run; the socket's answers are kept beside the prompt.
if [ "$1" = --version ]; then
  grep -q broken /etc/gitconfig && { echo "cannot live like this" >&2; exit 1; }
  echo "0 (a stand-in)"
  exit 0
fi
while [ $# -gt 0 ]; do
  case "$1" in --session-id | --resume) session=$2 ;; esac
  shift
done
mkdir -p /state/soak /state/.claude/projects/-state-work
: > "/state/.claude/projects/-state-work/$session.jsonl"
run=$(mktemp /state/soak/XXXXXXXXXXXX) && cat > "$run.prompt" || exit 1
echo '{"type":"system","subtype":"init","mcp_servers":[{"name":"hive","status":"connected"}]}'
chance=$(od -An -N1 -tu1 /dev/urandom)
sleep "0.$((chance % 4))"
if [ $((chance % 2)) = 0 ]; then
  {
    echo '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"stand-in","version":"0"}}}'
    echo '{"jsonrpc":"2.0","method":"notifications/initialized"}'
    echo '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"send","arguments":{"to":"operator","body":"turn '"$HIVE_AGENT $run"'"}}}'
  } | socat -t 5 STDIO UNIX-CONNECT:/run/hive/mcp.sock > "$run.answers"
fi
echo '{"type":"result","subtype":"success","is_error":false,"terminal_reason":"completed","result":"done","usage":{"input_tokens":1},"total_cost_usd":0}'
