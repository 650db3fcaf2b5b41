#!/usr/bin/bash
# container-start INIT FLAG…: what NixOS' container@ starts. `root` and INSTANCE are the unit's, the other variables
# come from /etc/nixos-containers/NAME.conf.
set -e
init=$1
shift

mkdir -p "$root/usr/bin" "$root/etc" "$root/var/lib"
chmod 0755 "$root/etc" "$root/var/lib"
mkdir -p "$root/var/lib/private" "$root/root" /run/nixos-containers
chmod 0700 "$root/var/lib/private" "$root/root" /run/nixos-containers
for file in os-release machine-id; do
  [ -e "$root/etc/$file" ] || [ -h "$root/etc/$file" ] || touch "$root/etc/$file"
done

for kind in profiles gcroots; do
  mkdir -p "/nix/var/nix/$kind/per-container/$INSTANCE"
  chmod 0755 "/nix/var/nix/$kind/per-container/$INSTANCE"
done

if [ "${COPY_RESOLV_CONF-}" = 1 ]; then
  cp --remove-destination /etc/resolv.conf "$root/etc/resolv.conf"
fi

flags=()
if [ "${PRIVATE_NETWORK-}" = 1 ]; then
  flags+=(--private-network)
fi

# With user namespaces the guest sees the store's owners as they are.
map=
if [ -n "${PRIVATE_USERS-}" ]; then
  flags+=("--private-users=$PRIVATE_USERS")
  if [ "$PRIVATE_USERS" = pick ] || { [[ "$PRIVATE_USERS" =~ ^[0-9]+$ ]] && [ "$PRIVATE_USERS" -gt 0 ]; }; then
    map=:idmap
  fi
fi

# The guest's programs are links to the host's /usr. This is the stand-in's own: a NixOS guest has all in /nix/store.
flags+=("--bind-ro=/usr:/usr$map")

export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1

# shellcheck disable=SC2086 # flags without spaces, as NixOS has them
exec systemd-nspawn --keep-unit -M "$INSTANCE" -D "$root" "${flags[@]}" \
  --notify-ready=yes --kill-signal=SIGRTMIN+3 \
  "--bind-ro=/nix/store:/nix/store$map" \
  "--bind-ro=/nix/var/nix/db:/nix/var/nix/db$map" \
  "--bind-ro=/nix/var/nix/daemon-socket:/nix/var/nix/daemon-socket$map" \
  "--bind=/nix/var/nix/profiles/per-container/$INSTANCE:/nix/var/nix/profiles$map" \
  "--bind=/nix/var/nix/gcroots/per-container/$INSTANCE:/nix/var/nix/gcroots$map" \
  "--setenv=PRIVATE_NETWORK=${PRIVATE_NETWORK-}" \
  "--setenv=PRIVATE_USERS=${PRIVATE_USERS-}" \
  "--setenv=PATH=$PATH" \
  "$@" \
  ${EXTRA_NSPAWN_FLAGS-} \
  "$init" "${SYSTEM_PATH:-/nix/var/nix/profiles/system}/init"
