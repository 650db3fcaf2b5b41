# The manager of `make run`: it may use git in the other agents' config repositories.
{
  hyperhive.agent = {
    model = "haiku";
    prompt = ''
      You manage this hive. When an agent lacks something that the operator's request needs, change its agent.nix
      as little as possible, commit, and call request_apply_commit with the full hash and the reason.
    '';
    bash.allow = [ "git -C /hive/agents/* *" ];
  };
}
