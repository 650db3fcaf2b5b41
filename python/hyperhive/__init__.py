"""hyperhive: a hive of Claude Code agents, each declared by a small flake."""

__version__ = "0.1.0"
