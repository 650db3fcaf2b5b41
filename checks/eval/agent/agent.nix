# The agent.nix of the tests of mkAgent.
{
  hyperhive.agent.model = "opus";
}
