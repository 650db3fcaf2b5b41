# Bounds that are reached soon.
{
  services.hyperhive = {
    # The container's TimeoutStopSec follows from it: with cgroup v1 inside of another container, systemd 252 does not
    # hear that a killed container's cgroup is empty, and waits for as long before it starts the container again.
    drain = 1;
    agents.worker.resources = {
      memoryMax = "400M";
      tasksMax = 200;
    };
  };
}
