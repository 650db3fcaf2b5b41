# The dashboard as a browser sees it, and a client that the test can use for its terminal.
{ pkgs, ... }:
{
  environment.systemPackages = [
    pkgs.curl
    pkgs.python3
  ];
}
