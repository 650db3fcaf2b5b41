# The directories that the host's module has made, and whose they are.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) host;
  rules =
    module: (host { services.hyperhive = { enable = true; } // module; }).systemd.tmpfiles.rules;
in
{
  "the directories of a hive without agents" = {
    expr = rules { manager.enable = false; };
    expected = [
      "d /var/lib/hyperhive 0700 hyperhive hyperhive -"
      "d /var/lib/hyperhive/agents 0700 hyperhive hyperhive -"
      "d /var/lib/hyperhive/applied 0700 hyperhive hyperhive -"
      "d /var/lib/hyperhive/configs 0755 hyperhive hyperhive -"
      "d /var/lib/hyperhive/systems 0755 hyperhive hyperhive -"
      "d /run/hyperhive 0755 hyperhive hyperhive -"
      "d /run/hyperhive/agents 0700 hyperhive hyperhive -"
      "d /var/lib/hyperhive-root 0700 root root -"
      "d /var/lib/nixos-containers 0700 root root -"
      "d /etc/nixos-containers 0755 root root -"
      "d /nix/var/nix/profiles/per-container 0755 root root -"
      "d /nix/var/nix/gcroots/per-container 0755 root root -"
    ];
  };

  "the directories of an agent: its state is its own user's, everything else the core's" = {
    expr = builtins.filter (rule: builtins.match ".*/worker( |/).*" rule != null) (rules { agents.worker.index = 1; });
    expected = [
      "d /var/lib/hyperhive/agents/worker 0711 hyperhive hyperhive -"
      "d /var/lib/hyperhive/agents/worker/state :0700 :1879114728 :1879114728 -"
      "d /var/lib/hyperhive/configs/worker 0755 hyperhive hyperhive -"
      "d /var/lib/hyperhive/applied/worker 0700 hyperhive hyperhive -"
      "d /var/lib/hyperhive/systems/worker 0755 hyperhive hyperhive -"
      "d /run/hyperhive/agents/worker 0755 hyperhive hyperhive -"
    ];
  };
}
