"""Runs the testScripts of checks/vm on Debian machines that systemd-nspawn boots: no NixOS and no KVM needed."""
