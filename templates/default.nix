# `nix flake init -t …#agent` and `#host`.
{
  agent = {
    path = ./agent;
    description = "An agent: agent.nix, and nothing else is needed";
  };
  host = {
    path = ./host;
    description = "A NixOS host with a hive of a manager and one agent";
  };
}
