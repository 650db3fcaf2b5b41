# The hive of this host.
{
  services.hyperhive = {
    enable = true;
    operators = [ "alice" ];
    modelApi.keyFile = "/run/secrets/anthropic";
    agents.worker.index = 1;
    policy.models = [
      "haiku"
      "sonnet"
    ];
  };
}
