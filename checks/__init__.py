"""What proves the Nix side: evaluation tests, VM tests, and the parts that run them without NixOS."""
