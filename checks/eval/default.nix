# The evaluation tests: name -> { expr, expected } or { expr, fails = a regular expression of the error's text }.
# They are run by python/tests/test_nix_modules.py with the stand-in's lib and with nixpkgs' own.
{ lib }:
import ./settings.nix { inherit lib; }
// import ./hostile.nix { inherit lib; }
// import ./sources.nix { inherit lib; }
// import ./types.nix { inherit lib; }
// import ./mk-agent.nix { inherit lib; }
// import ./guest.nix { inherit lib; }
// import ./host.nix { inherit lib; }
// import ./core-unit.nix { inherit lib; }
// import ./host-types.nix { inherit lib; }
// import ./containers.nix { inherit lib; }
// import ./binds.nix { inherit lib; }
// import ./privileged.nix { inherit lib; }
// import ./root-json.nix { inherit lib; }
// import ./directories.nix { inherit lib; }
