# What an agent's container is beside nixpkgs' own module: for the agents that Nix declares (containers.nix) and,
# through root.json, for those made at run time (privileged.nix).
{
  cfg,
  lib,
  pkgs,
}:
let
  # The guest's systemd keeps what it uses: mounts, users, loopback interfaces in the turns' network namespaces. Most of
  # the rest the kernel asks for in the host's user namespace only, so it is worth nothing in here; AF_PACKET and
  # tracing work in here too, and nothing needs them.
  dropped = [
    "CAP_AUDIT_CONTROL"
    "CAP_AUDIT_WRITE"
    "CAP_IPC_OWNER"
    "CAP_LEASE"
    "CAP_LINUX_IMMUTABLE"
    "CAP_MKNOD"
    "CAP_NET_BROADCAST"
    "CAP_NET_RAW"
    "CAP_SYS_NICE"
    "CAP_SYS_PTRACE"
    "CAP_SYS_RESOURCE"
    "CAP_SYS_TTY_CONFIG"
  ];

  # nixpkgs binds the container's profile and its gcroots writable and with the host's ids (:idmap), so root inside
  # could leave programs there that are setuid root on the host, or choose what the container boots next. An empty
  # directory covers each, which root inside cannot unmount: it comes from the host's mount namespace. The profile is
  # bound again, read-only, below its own name (`profile`); so SYSTEM_PATH is the same path on the host and inside.
  covered = [
    "/nix/var/nix/gcroots"
    "/nix/var/nix/profiles"
  ];

  roots = "/var/lib/nixos-containers";
in
{
  # The declared agents and the manager.
  declared = cfg.agents // lib.optionalAttrs cfg.manager.enable { ${cfg.manager.name} = cfg.manager; };

  # A range that systemd itself never hands out (UIDS-GIDS: 1879048192 to 2147483647), 65536 ids an agent.
  base = index: 1879048192 + 65536 * index;

  # The host's uid of the agent's own user, which is 1000 inside.
  agentUid = index: 1879048192 + 65536 * index + 1000;

  # The agent's profile, under the same name on the host and inside.
  profile = name: "/nix/var/nix/profiles/per-container/${name}";

  # Words of systemd-nspawn's command line: nixpkgs' start script splits them at whitespace.
  flags =
    { nixDaemon }:
    [
      # Files are owned by the container's ids on disk, so no file of it is ever root's (a setuid one, above all).
      "--private-users-ownership=chown"
      "--no-new-privileges=yes"
      "--drop-capability=${builtins.concatStringsSep "," dropped}"
    ]
    ++ map (path: "--tmpfs=${path}:mode=0755,size=1m") covered
    ++ lib.optional (!nixDaemon) "--inaccessible=/nix/var/nix/daemon-socket";

  # What container@NAME has in its [Service] section, as strings.
  service =
    resources:
    {
      MemoryMax = resources.memoryMax;
      TasksMax = toString resources.tasksMax;
      # The guest gives its running turn this time, then its harness 30 s to end; a killed container would be a crash.
      TimeoutStopSec = toString (cfg.drain + 60);
      # nixpkgs' start script makes these directories of the container's root and sets their modes, as the host's root and
      # through whatever link the container left in their place: so such links go before it runs.
      ExecStartPre = "${pkgs.findutils}/bin/find ${roots} -maxdepth 4 ( -path '${roots}/*' ! -path ${roots}/%i ! -path '${roots}/%i/*' -prune ) -o -type l -regextype posix-extended -regex '${roots}/%i/(etc|root|usr|usr/bin|var|var/lib|var/lib/private)' -exec ${pkgs.coreutils}/bin/rm -- {} +";
      # After a SIGKILL of systemd-nspawn, machined still has the name and each new start fails on it until the start
      # limit (systemd 252 and 257). After a clean stop there is nothing to unregister: hence the dash.
      ExecStopPost = "-${pkgs.systemd}/bin/busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager UnregisterMachine s %i";
    }
    // lib.optionalAttrs (resources.cpuQuota != null) { CPUQuota = resources.cpuQuota; };
}
