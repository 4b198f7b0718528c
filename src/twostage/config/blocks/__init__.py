"""The blocks of the configuration, a module for each: every key with its meaning, type, bounds and default."""
