# Declarations of the NixOS options that hyperhive's modules set, for evaluations without NixOS. Types are as in NixOS
# where a value could be wrong, and `anything` where NixOS has long submodules.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  tree = mkOption {
    type = types.attrsOf types.anything;
    default = { };
  };

  # What we set of containers.NAME.
  container = {
    path = mkOption { type = types.path; };
    autoStart = mkOption {
      type = types.bool;
      default = false;
    };
    copyResolvConf = mkOption {
      type = types.bool;
      default = true;
    };
    privateNetwork = mkOption {
      type = types.bool;
      default = false;
    };
    privateUsers = mkOption {
      type = types.either (types.ints.between 0 4294967295) (
        types.enum [
          "no"
          "identity"
          "pick"
        ]
      );
      default = "no";
    };
    bindMounts = mkOption {
      type = types.attrsOf (types.submodule bindMount);
      default = { };
    };
    extraFlags = mkOption {
      type = types.listOf types.str;
      default = [ ];
    };
  };

  bindMount =
    { name, ... }:
    {
      options = {
        mountPoint = mkOption {
          type = types.str;
          default = name;
        };
        hostPath = mkOption {
          type = types.nullOr types.str;
          default = null;
        };
        isReadOnly = mkOption {
          type = types.bool;
          default = true;
        };
      };
    };
in
{
  options = {
    assertions = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
    };
    boot.enableContainers = mkOption {
      type = types.bool;
      default = false;
    };
    boot.isNspawnContainer = mkOption {
      type = types.bool;
      default = false;
    };
    containers = mkOption {
      type = types.attrsOf (types.submodule { options = container; });
      default = { };
    };
    environment.systemPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
    };
    environment.variables = mkOption {
      type = types.attrsOf types.str;
      default = { };
    };
    environment.etc = mkOption {
      type = types.attrsOf (types.submodule { options.text = mkOption { type = types.lines; }; });
      default = { };
    };
    networking.hostName = mkOption {
      type = types.str;
      default = "nixos";
    };
    networking.useDHCP = mkOption {
      type = types.bool;
      default = true;
    };
    nixpkgs.flake.source = mkOption {
      type = types.nullOr (types.either types.str types.path);
      default = null;
    };
    nixpkgs.hostPlatform = mkOption { type = types.str; };
    nixpkgs.config = mkOption {
      type = types.attrs;
      default = { };
    };
    system.stateVersion = mkOption { type = types.str; };
    programs.git = {
      enable = mkOption {
        type = types.bool;
        default = false;
      };
      config = mkOption {
        type = types.attrsOf (types.attrsOf types.anything);
        default = { };
      };
    };
    security.polkit = {
      enable = mkOption {
        type = types.bool;
        default = false;
      };
      extraConfig = mkOption {
        type = types.lines;
        default = "";
      };
    };
    systemd.services = tree;
    systemd.tmpfiles.rules = mkOption {
      type = types.listOf types.str;
      default = [ ];
    };
    users.users = tree;
    users.groups = tree;
  };
}
