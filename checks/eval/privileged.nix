# What needs root: the oneshot units, the core's leave to start them, root.json, and the directories.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) host pkgs;
  hive = module: host { services.hyperhive = { enable = true; } // module; };
  services = (hive { agents.worker.index = 1; }).systemd.services;
  unit = verb: services."hive-${verb}@";
  service = verb: (unit verb).serviceConfig;
  plain = builtins.unsafeDiscardStringContext;
  coreJson = module: builtins.fromJSON (plain (hive module).environment.etc."hyperhive/core.json".text);
  rootJson = module: builtins.fromJSON (plain (hive module).environment.etc."hyperhive/root.json".text);
  rules = module: (hive module).systemd.tmpfiles.rules;
  verbs = [
    "prepare"
    "activate"
    "stop"
    "purge"
  ];
  written = [
    "/var/lib/hyperhive"
    "/run/hyperhive"
    "/var/lib/nixos-containers"
    "/nix/var/nix/profiles/per-container"
    "/nix/var/nix/gcroots/per-container"
    "/etc/nixos-containers"
    "/run/systemd/system"
  ];
  own = verb: {
    inherit (service verb) CapabilityBoundingSet RestrictSUIDSGID TimeoutStartSec;
    ReadWritePaths = (service verb).ReadWritePaths or [ ];
  };
in
{
  "the root units are these four, and templates" = {
    expr = builtins.filter (lib.hasPrefix "hive-") (builtins.attrNames services);
    expected = [
      "hive-activate@"
      "hive-c0re"
      "hive-prepare@"
      "hive-purge@"
      "hive-stop@"
    ];
  };

  "each runs hive-root with its verb, and the instance as it is" = {
    expr = map (verb: {
      inherit (service verb) Type ExecStart;
      user = (service verb).User or "root";
    }) verbs;
    expected = map (verb: {
      Type = "oneshot";
      ExecStart = "${pkgs.git}/bin/hive-root ${verb} %i";
      user = "root";
    }) verbs;
  };

  "what each may write, and keeps of root" = {
    expr = lib.genAttrs verbs own;
    expected = {
      prepare = {
        CapabilityBoundingSet = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID";
        RestrictSUIDSGID = false;
        TimeoutStartSec = 600;
        ReadWritePaths = written ++ [ "/var/lib/hyperhive-root" ];
      };
      activate = {
        CapabilityBoundingSet = "CAP_DAC_READ_SEARCH";
        RestrictSUIDSGID = true;
        TimeoutStartSec = 300;
        ReadWritePaths = [ "/nix/var/nix/profiles/per-container" ];
      };
      stop = {
        CapabilityBoundingSet = "";
        RestrictSUIDSGID = true;
        TimeoutStartSec = 180;
        ReadWritePaths = [ ];
      };
      purge = {
        CapabilityBoundingSet = "CAP_DAC_OVERRIDE CAP_FOWNER";
        RestrictSUIDSGID = true;
        TimeoutStartSec = 660;
        ReadWritePaths = written;
      };
    };
  };

  "all are hardened alike" = {
    expr = lib.unique (
      map (
        verb:
        builtins.removeAttrs (service verb) [
          "CapabilityBoundingSet"
          "ExecStart"
          "ReadWritePaths"
          "RestrictSUIDSGID"
          "TimeoutStartSec"
        ]
      ) verbs
    );
    expected = [
      {
        Type = "oneshot";
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        PrivateDevices = true;
        PrivateNetwork = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        RestrictAddressFamilies = [ "AF_UNIX" ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = "@system-service";
        UMask = "0022";
      }
    ];
  };

  "no start of theirs is refused for its frequency, and no switch of the host cuts one" = {
    expr = map (verb: [
      (unit verb).unitConfig
      (unit verb).restartIfChanged
    ]) verbs;
    expected = map (_: [
      { StartLimitIntervalSec = 0; }
      false
    ]) verbs;
  };

  "the profile is moved through the Nix daemon" = {
    expr = (unit "activate").environment.NIX_REMOTE;
    expected = "daemon";
  };

  "polkit lets the core start those units, and nothing else" = {
    expr = {
      inherit ((hive { }).security.polkit) enable extraConfig;
    };
    expected = {
      enable = true;
      extraConfig = ''
        // The core may start hyperhive's root units, and can do nothing else to any unit.
        polkit.addRule(function (action, subject) {
          if (action.id == "org.freedesktop.systemd1.manage-units" &&
              subject.user == "hyperhive" &&
              action.lookup("verb") == "start" &&
              /^hive-(?:(?:prepare|stop|purge)@[a-z][a-z0-9-]{0,30}|activate@[a-z][a-z0-9-]{0,30}:[1-9][0-9]{0,8})\.service$/
                .test(action.lookup("unit"))) {
            return polkit.Result.YES;
          }
        });
      '';
    };
  };

  "operators may open a shell as an agent's user" = {
    expr =
      let
        inherit ((hive { operators = [ "alice" ]; }).security.polkit) extraConfig;
        has = text: builtins.length (lib.splitString text extraConfig) == 2;
      in
      [
        (has "\"alice\"")
        (has "action.lookup(\"user\") == \"agent\"")
      ];
    expected = [
      true
      true
    ];
  };

  "root.json of a hive" = {
    expr = builtins.removeAttrs (rootJson { agents.worker.index = 7; }) [ "containers" ];
    expected = {
      stateDir = "/var/lib/hyperhive";
      runtimeDir = "/run/hyperhive";
      user = "hyperhive";
      autoApprove = "never";
      agents.worker.index = 7;
      agents.manager.index = 0;
    };
  };

  # Root decides by its own file, the core by its; both are told the same.
  "the policy approves narrowings only where the host says so, to root and to the core" = {
    expr =
      let
        told =
          module:
          map (value: value.autoApprove) [
            (rootJson module)
            (coreJson module).policy
          ];
      in
      [
        (told { policy.autoApprove = "narrowing"; })
        (told { policy.autoApprove = "never"; })
        (told { })
      ];
    expected = [
      [
        "narrowing"
        "narrowing"
      ]
      [
        "never"
        "never"
      ]
      [
        "never"
        "never"
      ]
    ];
  };

  "an agent made at run time has the flags and limits of a declared one that says nothing" = {
    expr = (rootJson { }).containers;
    expected =
      let
        config = hive { agents.worker.index = 1; };
      in
      {
        flags = config.containers.worker.extraFlags;
        unit = builtins.mapAttrs (_: plain) config.systemd.services."container@worker".serviceConfig // {
          DeviceAllow = "/dev/net/tun rwm"; # nixpkgs adds it to declared ones
        };
      };
  };

  "what a declared agent may beyond the standard is not the run-time agents'" = {
    expr =
      (rootJson {
        manager.resources.memoryMax = "8G";
        manager.nixDaemon = true;
      }).containers == (rootJson { }).containers;
    expected = true;
  };

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

  "every path that a root unit writes is made beforehand" = {
    expr =
      let
        made = map (rule: builtins.elemAt (lib.splitString " " rule) 1) (rules { });
      in
      lib.unique (
        builtins.filter (path: !builtins.elem path made) (
          builtins.concatMap (verb: (service verb).ReadWritePaths or [ ]) verbs
        )
      );
    expected = [ "/run/systemd/system" ]; # systemd's own, from the start
  };
}
