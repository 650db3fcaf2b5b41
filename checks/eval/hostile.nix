# What neither agent.nix nor hive.toml may say, and what tricks in agent.nix come to.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) agent settingsOf plain;
  named = more: plain + more;
  agentModule = settingsOf plain;
in
{
  "an override has its option's type" = {
    expr = settingsOf (named ''
      [overrides]
      model = 3
    '') { };
    fails = "hyperhive.agent.model' is not of type";
  };

  "an unknown override is an error" = {
    expr = settingsOf (named ''
      [overrides]
      modle = "opus"
    '') { };
    fails = "hyperhive.agent.modle' does not exist";
  };

  "an unknown default is an error" = {
    expr = settingsOf (named ''
      [defaults]
      modle = "opus"
    '') { };
    fails = "hyperhive.agent.modle' does not exist";
  };

  "an unknown key of hive.toml is an error" = {
    expr = settingsOf (named ''
      colour = "red"
    '') { };
    fails = "hive.toml: unknown key colour";
  };

  "hive.toml without a name is an error" = {
    expr = settingsOf "role = \"agent\"" { };
    fails = "hive.toml: name is missing";
  };

  "hive.toml without a role is an error" = {
    expr = settingsOf "name = \"worker\"" { };
    fails = "hive.toml: role is missing";
  };

  "hive.toml cannot override the name" = {
    expr = settingsOf (named ''
      [overrides]
      name = "other"
    '') { };
    fails = "hyperhive.agent.name' is read-only";
  };

  "agent.nix cannot set the name" = {
    expr = agent { name = "other"; };
    fails = "hyperhive.agent.name' is read-only";
  };

  "agent.nix cannot set the name with force" = {
    expr = agent { name = lib.mkForce "other"; };
    fails = "hyperhive.agent.name' is read-only";
  };

  "agent.nix cannot set the role" = {
    expr = agent { role = "manager"; };
    fails = "hyperhive.agent.role' is read-only";
  };

  "agent.nix cannot make itself the manager by what an option applies" = {
    expr = agentModule { options.hyperhive.agent.role = lib.mkOption { apply = _: "manager"; }; };
    fails = "name and role are the host's|already declared";
  };

  "agent.nix cannot take another name by what an option applies" = {
    expr = agentModule { options.hyperhive.agent.name = lib.mkOption { apply = _: "other"; }; };
    fails = "name and role are the host's|already declared";
  };

  "agent.nix cannot disable the module with its name and role" = {
    expr = agentModule {
      disabledModules = [ { key = ":anon-2"; } ];
      hyperhive.agent = {
        name = "other";
        role = "manager";
        git.name = "other";
        git.email = "other@hive.local";
      };
    };
    fails = "name and role are the host's|read-only";
  };

  "agent.nix declares no option of hyperhive.agent" = {
    expr = agentModule { options.hyperhive.agent.extra = lib.mkOption { default = 1; }; };
    fails = "it may set the options of hyperhive.agent and nothing else";
  };

  "agent.nix declares no other option" = {
    expr = agentModule { options.other = lib.mkOption { default = 1; }; };
    fails = "it may set the options of hyperhive.agent and nothing else";
  };

  "agent.nix cannot switch off the check for unknown options" = {
    expr = agentModule {
      config._module.check = false;
      config.environment.systemPackages = [ ];
    };
    fails = "it may set the options of hyperhive.agent and nothing else|does not exist";
  };

  "agent.nix cannot take any option by a freeform type" = {
    expr = agentModule {
      config._module.freeformType = lib.types.attrs;
      config.environment.systemPackages = [ ];
    };
    fails = "it may set the options of hyperhive.agent and nothing else|does not exist";
  };

  "agent.nix sets nothing else" = {
    expr = agentModule { environment.systemPackages = [ ]; };
    fails = "option `environment.*' does not exist";
  };

  "agent.nix gets no pkgs" = {
    expr = agentModule ({ pkgs, ... }: { hyperhive.agent.prompt = "${pkgs}"; });
    fails = "attribute 'pkgs' missing|required argument 'pkgs'";
  };

  "a value that an override hides is checked all the same" = {
    expr = settingsOf (named ''
      [overrides]
      model = "opus"
    '') { hyperhive.agent.model = 3; };
    fails = "hyperhive.agent.model' is not of type";
  };
}
