# Declarations of the NixOS options that hyperhive's modules set, for evaluations without NixOS. Types are as in NixOS
# where a value could be wrong, and `anything` where NixOS has long submodules.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  tree = mkOption {
    type = types.attrsOf types.anything;
    default = { };
  };
in
{
  options = {
    assertions = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
    };
    boot.isNspawnContainer = mkOption {
      type = types.bool;
      default = false;
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
    systemd.services = tree;
    systemd.tmpfiles.rules = mkOption {
      type = types.listOf types.str;
      default = [ ];
    };
    users.users = tree;
    users.groups = tree;
  };
}
