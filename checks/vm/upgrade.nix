# What the host is upgraded to: another agent, other bounds for worker, and a core with another configuration.
{
  specialisation.upgraded.configuration.services.hyperhive = {
    agents.scribe.index = 2;
    agents.worker.resources.memoryMax = "1500M";
    health = 45;
  };
}
