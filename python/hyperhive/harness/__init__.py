"""The process that runs one agent's turns: mail in, one Claude Code process per turn, mail acknowledged.

Standard library only: it is small, idle most of the time, and carried by every container.
"""
