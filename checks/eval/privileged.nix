# What needs root: the oneshot units, the core's leave to start them, an operator's shell.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) host pkgs;
  hive = module: host { services.hyperhive = { enable = true; } // module; };
  services = (hive { agents.worker.index = 1; }).systemd.services;
  unit = verb: services."hive-${verb}@";
  service = verb: (unit verb).serviceConfig;
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
