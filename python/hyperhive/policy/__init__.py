"""What a change means: the privilege delta, the host's ceilings, and advice on Bash patterns."""
