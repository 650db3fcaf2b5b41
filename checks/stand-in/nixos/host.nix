# host { modules }: an evaluated host, of which config.system.build.host is built: etc/ and bin/switch-to-configuration,
# which makes a running Debian this host, also after another one (an upgrade). The modules set services.hyperhive.*.
{
  modules,
  lib ? import ../lib,
  system ? "x86_64-linux",
  specialised ? false,
}@arguments:
let
  builder = import ../pkgs.nix { inherit lib system; };

  # What the host builds its guests with: this directory, and hyperhive as it was built here.
  nixpkgs = builder.runCommand "stand-in" { } ''
    cp -r ${
      builtins.path {
        name = "stand-in-source";
        path = ../.;
      }
    } $out
    chmod -R u+w $out
    printf %s ${builder.callPackage ../../../modules/package.nix { }} > $out/built-hyperhive
  '';
in
lib.evalModules {
  modules = [
    ../nixos.nix
    ./host-system.nix
    (import ../../../nix/modules.nix).default
  ]
  ++ modules;
  specialArgs = {
    pkgs = builder // {
      path = "${nixpkgs}";
    };
    # The host with one more module; null in such a host, which is not specialised again.
    specialise =
      if specialised then
        null
      else
        module:
        import ./host.nix (
          arguments
          // {
            modules = modules ++ [ module ];
            specialised = true;
          }
        );
  };
}
