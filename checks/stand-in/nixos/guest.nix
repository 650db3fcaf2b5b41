# system.build.toplevel of a container: `init` sets up an empty root with /usr of the host and the closure's /etc, and
# becomes systemd.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  users = import ./users.nix { inherit lib; } config;

  # Of Debian's units, those that make a container's boot slow (a .mount costs a second), fail, or change /etc.
  masked = [
    "console-getty.service"
    "dev-hugepages.mount"
    "dev-mqueue.mount"
    "e2scrub_reap.service"
    "getty.target"
    "ldconfig.service"
    "nix-daemon.service"
    "nix-daemon.socket"
    "run-lock.mount"
    "sys-kernel-debug.mount"
    "sys-kernel-tracing.mount"
    "systemd-firstboot.service"
    "systemd-hwdb-update.service"
    "systemd-journal-catalog-update.service"
    "systemd-networkd.service"
    "systemd-networkd.socket"
    "systemd-resolved.service"
    "systemd-sysusers.service"
    "systemd-update-done.service"
    "tmp.mount"
    "var-lib-machines.mount"
  ];

  # Units that Debian's packages enable in /etc, which here is ours alone.
  enabled = {
    "default.target".link = "/usr/lib/systemd/system/multi-user.target";
    "sockets.target.wants/dbus.socket".link = "/usr/lib/systemd/system/dbus.socket";
  };

  # Of Debian's tmpfiles.d, what is for users that are not here.
  strangers = [
    "nix-daemon.conf"
    "polkit-tmpfiles.conf"
    "systemd-network.conf"
  ];

  below = directory: lib.mapAttrs' (name: lib.nameValuePair "etc/${directory}/${name}");
  nothing = names: lib.genAttrs names (_: { link = "/dev/null"; });

  etc =
    import ./etc.nix { inherit lib pkgs; } config
    // below "systemd/system" (enabled // nothing masked)
    // below "tmpfiles.d" (nothing strangers)
    // builtins.mapAttrs (_: text: { inherit text; }) {
      "etc/group" = users.group;
      "etc/hostname" = "${config.networking.hostName}\n";
      "etc/nsswitch.conf" = "passwd: files\ngroup: files\nshadow: files\nhosts: files\n";
      "etc/pam.d/other" = lib.concatMapStringsSep "" (kind: "${kind} required pam_permit.so\n") [
        "account"
        "auth"
        "password"
        "session"
      ];
      "etc/passwd" = users.passwd;
      "etc/profile" = "export PATH=/run/current-system/sw/bin:/usr/bin:/usr/sbin\n";
    };
in
{
  imports = [ ./build.nix ];

  # Of what NixOS itself puts into every system, the part that turns use.
  config.environment.systemPackages = [
    pkgs.coreutils
    pkgs.findutils
    pkgs.gnugrep
    pkgs.gnused
    pkgs.gzip
  ]
  ++ lib.optional config.programs.git.enable pkgs.git;

  config.system.build.toplevel =
    pkgs.runCommand "nixos-system-${config.networking.hostName}"
      {
        etc = pkgs.tree "etc" etc;
        packages = map toString config.environment.systemPackages;
        init = ./guest-init.sh;
      }
      ''
        mkdir -p $out/sw/bin
        ln -s $etc/etc $out/etc
        for package in $packages; do
          for program in $package/bin/*; do ln -sf $program $out/sw/bin/; done
        done
        printf ${pkgs.system} > $out/system
        sed "s|@system@|$out|" $init > $out/init
        chmod +x $out/init
      '';
}
