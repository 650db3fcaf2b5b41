# The host that every test begins with: a hive with a manager and one agent, and the rehearsal as its model. NAME.nix is
# added to it for the test NAME.py.
{ config, ... }:
{
  services.hyperhive = {
    enable = true;
    agents.worker.index = 1;
    operators = [ "ops" ];
    modelApi.url = "http://127.0.0.1:8300";
  };

  users.users.ops.isNormalUser = true;

  systemd.services.rehearsal = {
    description = "The rehearsal, a scripted model";
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      ExecStart = "${config.services.hyperhive.package}/bin/hive-rehearsal --port 8300";
      DynamicUser = true;
    };
  };
}
