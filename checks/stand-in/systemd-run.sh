#!/usr/bin/bash
# systemd-run for systemd before 254, which has no --expand-environment and always expands: there $$ is a $.
args=()
for word; do
  [ "$word" = --expand-environment=no ] || args+=("${word//\$/\$\$}")
done
exec /usr/bin/systemd-run "${args[@]}"
