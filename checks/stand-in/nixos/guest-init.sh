#!/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 /usr/bin/dash
# A container's first process: what NixOS' stage 2 does, on a root where at first only /usr and /nix/store are there (so
# nothing can run but by the loader's own path). It runs at every start, and is sourced or executed. Whatever an earlier
# closure left in /etc goes; the rest of the root stays.
system=@system@

for name in lib64 lib bin sbin; do
  [ -e "/$name" ] || /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 /usr/bin/ln -s "usr/$name" "/$name"
done
export PATH=/run/current-system/sw/bin:/usr/bin:/usr/sbin
umask 022

mkdir -p /etc /home /opt /srv /tmp /var/lib /var/log/journal /var/tmp
mkdir -p -m 0700 /root
chmod 1777 /tmp /var/tmp
[ -e /var/run ] || ln -s /run /var/run

find /etc -mindepth 1 -maxdepth 1 ! -name machine-id ! -name resolv.conf -exec rm -rf {} +
cp -dR --no-preserve=mode,ownership,timestamps "$system/etc/." /etc/
ln -s /usr/lib/os-release /etc/os-release
ln -sfn "$system" /run/current-system

# With an empty machine-id systemd would take this for a first boot, and enable what its presets say.
[ -s /etc/machine-id ] || echo "${container_uuid:-$(cat /proc/sys/kernel/random/uuid)}" | tr -d - >/etc/machine-id

exec /usr/lib/systemd/systemd
