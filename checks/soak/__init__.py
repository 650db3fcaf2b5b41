"""A real hive under load whose parts are killed at random instants, and the proof that nothing was lost or mixed."""
