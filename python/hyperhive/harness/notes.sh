# notes.sh read LIMIT | write SIZE VERSION: the agent's durable notes. Runs in the agent's cage, so it can do nothing
# that the agent could not. VERSION is the SHA-256 of what is to be replaced; exit 9 says that it is that no more.
set -eu
notes=/state/notes.md
if [ -L "$notes" ] || { [ -e "$notes" ] && [ ! -f "$notes" ]; }; then
  echo "notes.md is not a plain file; remove it and try again" >&2
  exit 1
fi
present() { if [ -e "$notes" ]; then cat "$notes"; fi; }
case $1 in
  read) present | head -c "$2" ;;
  write)
    [ "$(present | sha256sum | head -c 64)" = "$3" ] || exit 9
    head -c "$2" >"$notes.new"
    [ "$(wc -c <"$notes.new")" -eq "$2" ]
    mv "$notes.new" "$notes"
    ;;
esac
