# One agent of a hive. It sets hyperhive.agent.* and nothing else; a nixos.nix beside it may configure the container.
{
  hyperhive.agent = {
    model = "haiku";
    prompt = ''
      You keep the project's changelog.
    '';
    bash.allow = [
      "git status"
      "git log *"
      "git commit *"
    ];
    packages = [ "ripgrep" ];
  };
}
