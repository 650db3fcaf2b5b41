# The guest's own NixOS configuration in the tests of mkAgent.
{
  programs.git.config.user.name = "Guest";
}
