#!/bin/sh
# Stands in for Claude Code: keeps the prompt of each run in /state/soak, takes a while, and sends one message as the
# agent over the hive's MCP socket in every other run; the socket's answers are kept beside the prompt. Now and then it
# adds a line to the notes, and its session grows too long, before its turn or with it, or is refused; asked for notes, it
# mostly writes them. Each run leaves a process behind that has left its group; two runs at once leave RUN.twice.
if [ "$1" = --version ]; then
  grep -q broken /etc/gitconfig && { echo "cannot live like this" >&2; exit 1; }
  echo "0 (a stand-in)"
  exit 0
fi
for word; do
  case "$before" in --session-id | --resume) session=$word how=$before ;; esac
  case "$word" in --no-session-persistence) how=compaction ;; esac
  before=$word
done
transcript=/state/.claude/projects/-state-work/$session.jsonl
mkdir -p /state/soak "${transcript%/*}"
run=$(mktemp /state/soak/XXXXXXXXXXXX) && exec 9>>/state/soak/lock || exit 1
flock -n 9 || : > "$run.twice"
setsid sh -c 'sleep 1000; :' '@ROOT@/left' < /dev/null > /dev/null 2>&1 9>&- &
chance=$(od -An -N1 -tu1 /dev/urandom)

fails() {
  echo '{"type":"result","subtype":"success","is_error":true,"terminal_reason":"'"$1"'","result":"'"$2"'","api_error_status":'"${3:-null}"'}'
  exit 1
}
ends() {
  printf '{"type":"result","subtype":"success","is_error":false,"terminal_reason":"completed","result":"%s","usage":{"input_tokens":1},"total_cost_usd":0}\n' "$1"
  exit 0
}

echo '{"type":"system","subtype":"init","mcp_servers":[{"name":"hive","status":"connected"}]}'
if [ "$how" = compaction ]; then
  cat > "$run.compaction" || exit 1
  sleep "0.$((chance % 4))"
  case $((chance / 4 % 8)) in
    0) fails blocking_limit 'Prompt is too long' ;;
    1) fails api_error 'API Error: 502 the model API cannot be reached' ;;
  esac
  ends "# kept\\n$(sed -n '/^<notes>$/,/^<\/notes>$/p' "$run.compaction" | grep '^- note ' | sed 's/$/\\n/' | tr -d '\n')"
fi
if [ "$how" = --resume ] && [ $((chance / 4 % 8)) = 0 ]; then
  if [ $((chance / 32 % 2)) = 0 ]; then
    cat > "$run.refused" || exit 1
    fails api_error 'API Error: 400 bad ids' 400
  fi
  cat > "$run.overflow" || exit 1
  fails blocking_limit 'Prompt is too long'
fi
cat > "$run.prompt" && echo '{"type":"user","message":{"content":"'"$run"'"}}' >> "$transcript" || exit 1
sleep "0.$((chance % 4))"
if [ $((chance % 2)) = 0 ]; then
  {
    echo '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"stand-in","version":"0"}}}'
    echo '{"jsonrpc":"2.0","method":"notifications/initialized"}'
    echo '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"send","arguments":{"to":"operator","body":"turn '"$HIVE_AGENT $run"'"}}}'
  } | socat -t 5 STDIO UNIX-CONNECT:/run/hive/mcp.sock > "$run.answers"
fi
case $((chance / 4 % 8)) in
  1) echo "- note ${run##*/}" >> /state/notes.md && : > "$run.noted" ;;
  2) echo '{"type":"assistant","message":{"content":[],"usage":{"input_tokens":10000000}}}' ;;
esac
ends done
