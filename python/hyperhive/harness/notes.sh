# notes.sh read LIMIT | write SIZE VERSION | append SIZE MOST: the agent's durable notes. Runs in the agent's cage, so it
# can do nothing that the agent could not. VERSION is the SHA-256 of what is to be replaced; exit 9 says that it is that
# no more, exit 8 that the notes would have more than MOST bytes. The last five that were replaced are in notes.backup.
set -eu
notes=/state/notes.md
backup=/state/notes.backup
if [ -L "$notes" ] || { [ -e "$notes" ] && [ ! -f "$notes" ]; }; then
  echo "notes.md is not a plain file; remove it and try again" >&2
  exit 1
fi
present() { if [ -e "$notes" ]; then cat "$notes"; fi; }
keep() {
  [ -d "$backup" ] || rm -f "$backup"
  mkdir -p "$backup"
  if [ "$notes" -ef "$backup/1.md" ]; then return 0; fi # a write that was killed here
  rm -rf "$backup/5.md"
  for number in 4 3 2 1; do
    if [ -e "$backup/$number.md" ]; then mv -T "$backup/$number.md" "$backup/$((number + 1)).md"; fi
  done
  ln "$notes" "$backup/1.md" # not a copy: what is being appended at this moment is kept too
}
case $1 in
  read) present | head -c "$2" ;;
  write)
    rm -rf "$notes.new" # whatever it is: a pipe would be waited for, a link be followed
    trap 'rm -f "$notes.new"' EXIT
    head -c "$2" >"$notes.new"
    [ "$(wc -c <"$notes.new")" -eq "$2" ]
    size=$(present | wc -c)
    [ "$(present | head -c "$size" | sha256sum | head -c 64)" = "$3" ] || exit 9
    if [ ! -e "$notes" ]; then
      ln "$notes.new" "$notes" || exit 9 # somebody has begun some
    else
      keep
      mv "$notes.new" "$notes"
      sleep 0.1
      tail -c "+$((size + 1))" "$backup/1.md" >>"$notes" # what was appended meanwhile went into what is the backup now
    fi
    ;;
  append)
    size=$(present | wc -c)
    if [ $((size + $2)) -gt "$3" ]; then
      echo "notes.md holds $size of $3 bytes and the entry has $2: make it shorter first, keeping what still matters" >&2
      exit 8
    fi
    if [ "$size" -gt 0 ] && [ -n "$(tail -c 1 "$notes")" ]; then echo >>"$notes"; fi
    head -c "$2" >>"$notes"
    wc -c <"$notes"
    ;;
esac
