"""hive-root: the only part of hyperhive that runs as root on a NixOS host.

The core is not root. It asks systemd to run one of four oneshot units, whose instance name is all that it may choose;
each starts hive-root, which looks for itself whether what it is asked for may be. What the core, the manager or an
agent can write (the database, the config repositories, the agents' state) is read here as what a stranger wrote.
"""
