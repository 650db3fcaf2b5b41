# services.hyperhive.dashboard.*: the operator's options of the dashboard.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.services.hyperhive.dashboard = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the core serves the dashboard on loopback.";
    };

    port = mkOption {
      type = types.port;
      default = 8420;
      description = "The dashboard's TCP port on 127.0.0.1.";
    };

    hosts = mkOption {
      type = types.listOf (types.strMatching "[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?");
      default = [ ];
      example = [ "hive.example.org" ];
      description = ''
        Names besides `localhost` and `127.0.0.1` under which browsers may ask for the dashboard, for a reverse proxy.
        A request under any other name is refused, whatever its cookie.
      '';
    };

    proxy = {
      user = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "nginx";
        description = ''
          The user that a reverse proxy runs as which logs operators in by itself. It, and no other, may connect to
          `/run/hyperhive/dashboard.sock`. Whoever it names in `proxy.header` is an operator: they need not be a user
          of this host, and `operators` is not asked. The proxy must not let its clients set that header.
        '';
      };

      header = mkOption {
        type = types.strMatching "[A-Za-z][A-Za-z0-9-]*";
        default = "X-Remote-User";
        description = "The header in which the reverse proxy names the operator.";
      };
    };

    terminalIdle = mkOption {
      type = types.ints.between 60 86400;
      default = 1800;
      description = "After how many seconds without a key typed, a new size, or a page opened on it, a terminal is ended; what programs print does not count.";
    };

    page = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "The directory of the built page. The flake's module sets it; with null it is what `package` holds.";
    };
  };
}
