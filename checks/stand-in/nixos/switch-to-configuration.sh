#!/usr/bin/bash
# Makes this system the running one on a Debian host: what NixOS' switch-to-configuration does, to units of ours alone.
# Those that are gone are stopped, those that changed are stopped before and started after, unless they forbid it.
set -euo pipefail
[ "${1-}" = test ] || { echo "usage: switch-to-configuration test" >&2; exit 2; }
new=@system@/etc
old=$(readlink -f /etc/static || true)

files() { # the files below etc/ of a system
  (cd "$1" 2>/dev/null && find . -mindepth 1 ! -type d -printf '%P\n' | sort) || true
}

definition() { # SYSTEM UNIT: all that a system says of a unit, instance or template; nothing if it says nothing
  local directory=$1/systemd/system name
  for name in "$2" "${2/@*./@.}"; do
    if [ -e "$directory/$name" ]; then
      cat "$directory/$name"
      break
    fi
  done
  cat "$directory/$2.d"/*.conf 2>/dev/null || true
}

gone=() changed=()
while read -r unit _; do
  before=$(definition "$old" "$unit")
  after=$(definition "$new" "$unit")
  if [ -z "$before" ] || [ "$before" = "$after" ]; then
    continue
  elif [ -z "$after" ]; then
    gone+=("$unit")
  elif ! grep -qx 'X-RestartIfChanged=false' <<<"$after"; then
    changed+=("$unit")
  fi
done < <(systemctl list-units --full --plain --no-legend \
  --state=active,activating,reloading --type=service,socket,timer)

stop=("${gone[@]}" "${changed[@]}")
[ ${#stop[@]} = 0 ] || systemctl stop "${stop[@]}"

# /etc has links through /etc/static, as on NixOS: one rename is the change, and what is gone is known by its link.
ln -sfn "$new" /etc/static.new
mv -T /etc/static.new /etc/static
while read -r file; do
  mkdir -p "$(dirname "/etc/$file")"
  ln -sfT "/etc/static/$file" "/etc/$file"
done < <(files "$new/")
while read -r file; do
  [ "$(readlink "/etc/$file")" != "/etc/static/$file" ] || rm "/etc/$file"
done < <(comm -23 <(files "$old/") <(files "$new/"))

mkdir -p /nix/var/nix/gcroots
ln -sfn @system@ /run/current-system
ln -sfn @system@ /nix/var/nix/gcroots/current-system
echo "L+ /run/current-system - - - - @system@" >/etc/tmpfiles.d/current-system.conf

systemd-sysusers /etc/sysusers.d/00-nixos.conf
systemd-tmpfiles --create /etc/tmpfiles.d/00-nixos.conf
systemctl daemon-reload
[ ${#changed[@]} = 0 ] || systemctl start "${changed[@]}"
systemctl start sockets.target multi-user.target
