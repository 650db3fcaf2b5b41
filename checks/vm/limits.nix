# Bounds that are reached soon.
{
  services.hyperhive.agents.worker.resources = {
    memoryMax = "400M";
    tasksMax = 200;
  };
}
