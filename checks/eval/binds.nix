# What an agent may see of the host beside its own: extraBinds, and which of them are refused.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) host;
  hive = module: host { services.hyperhive = { enable = true; } // module; };
  broken =
    module:
    map (assertion: assertion.message) (builtins.filter (assertion: !assertion.assertion) (hive module).assertions);

  bind = inside: hostPath: { agents.worker = { index = 1; extraBinds.${inside}.hostPath = hostPath; }; };

  option = "hyperhive agent worker: services.hyperhive.agents.worker.extraBinds";

  outer = hostPath: place: {
    name = "no agent sees ${hostPath} of the host";
    value = {
      expr = broken (bind "/srv" hostPath);
      expected = [
        ''${option}."/srv".hostPath = ${hostPath} would open the host's ${place} to the agent; bind what it needs from elsewhere.''
      ];
    };
  };

  inner = inside: place: {
    name = "no bind covers ${inside} of a container";
    value = {
      expr = broken (bind inside "/srv/x");
      expected = [ ''${option}."${inside}" would cover the container's own ${place}; bind it elsewhere, such as in /srv.'' ];
    };
  };

  noPath = inside: {
    name = "${builtins.toJSON inside} is no path to bind to";
    value = {
      expr = builtins.head (broken (bind inside "/srv/x"));
      expected = "${option}: ${builtins.toJSON inside} is no path to bind to; name an absolute one without `.`, `..` or a slash at its end, of letters, digits and `._+@=,-`.";
    };
  };
in
builtins.listToAttrs (
  lib.mapAttrsToList outer {
    "/dev/kvm" = "/dev";
    "/dev" = "/dev";
    "/etc" = "/etc/nixos-containers";
    "/etc/nixos-containers/other.conf" = "/etc/nixos-containers";
    "/nix" = "/nix/var";
    "/nix/var/nix/daemon-socket/socket" = "/nix/var";
    "/proc" = "/proc";
    "/root/.ssh" = "/root";
    "/run/dbus" = "/run/dbus";
    "/run/hyperhive/operator.sock" = "/run/hyperhive";
    "/run/systemd/private" = "/run/systemd";
    "/run/credentials/hive-c0re.service" = "/run/credentials";
    "/sys/fs/cgroup" = "/sys";
    "/var/lib/hyperhive" = "/var/lib/hyperhive";
    "/var/lib/hyperhive/agents/other/state" = "/var/lib/hyperhive";
    "/var/lib/hyperhive-root" = "/var/lib/hyperhive-root";
    "/var/lib/nixos-containers/other" = "/var/lib/nixos-containers";
    "/var/lib" = "/var/lib/hyperhive and /var/lib/hyperhive-root and /var/lib/nixos-containers";
    "/var/run/dbus" = "/var/run";
  }
  ++ lib.mapAttrsToList inner {
    "/bin" = "/bin";
    "/etc" = "/etc";
    "/etc/claude-code" = "/etc";
    "/hive/agents/other" = "/hive";
    "/nix/store" = "/nix";
    "/proc/sys" = "/proc";
    "/run" = "/run/hive";
    "/run/hive/mcp.sock" = "/run/hive";
    "/state" = "/state";
    "/state/work" = "/state";
    "/usr/bin" = "/usr";
    "/var" = "/var/lib/hive-harness";
    "/var/lib/hive-harness/x" = "/var/lib/hive-harness";
  }
  ++ map noPath [
    "/"
    ""
    "srv"
    "/srv/"
    "/srv/../etc"
    "/srv/./x"
    "/srv//x"
    "/srv:idmap"
    "/srv/a b"
    "/srv/a\tb"
    "/srv/*"
    "/srv/$x"
  ]
)
// {
  "a bind of the operator's never replaces one of ours, even where assertions are not looked at" = {
    expr = (hive (bind "/state" "/srv/x")).containers.worker.bindMounts."/state".hostPath;
    expected = "/var/lib/hyperhive/agents/worker/state";
  };

  "the manager's binds are looked at as well" = {
    expr = broken { manager.extraBinds."/srv".hostPath = "/var/lib/hyperhive/agents"; };
    expected = [
      ''hyperhive agent manager: services.hyperhive.manager.extraBinds."/srv".hostPath = /var/lib/hyperhive/agents would open the host's /var/lib/hyperhive to the agent; bind what it needs from elsewhere.''
    ];
  };

  "binds that break no promise" = {
    expr =
      broken (bind "/srv/x" "/srv/x")
      ++ broken (bind "/home/agent/data" "/home/alice/data")
      ++ broken (bind "/stateful" "/var/lib/hyperhives")
      ++ broken (bind "/run/hive-data" "/run/secrets.d");
    expected = [ ];
  };
}
