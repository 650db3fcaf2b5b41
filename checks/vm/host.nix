# The host that every test begins with: a hive with a manager and one agent, and no model.
{
  services.hyperhive = {
    enable = true;
    agents.worker.index = 1;
    modelApi.url = "http://127.0.0.1:8300";
  };
}
