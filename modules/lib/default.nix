# The Nix side of hyperhive as functions of nixpkgs' lib (any recent one, or a stand-in for it).
{
  lib,
  # { path, system }: all of nixpkgs, for whole systems only; `settings` never needs it.
  nixpkgs ? throw "hyperhive: a whole system needs nixpkgs; this host's flake has only its lib",
}:
let
  evaluate = import ./settings.nix { inherit lib; };
in
{
  settings = arguments: (evaluate arguments).settings;
  mkAgent = import ./mk-agent.nix { inherit evaluate lib nixpkgs; };
}
