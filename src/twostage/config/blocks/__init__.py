"""The blocks of the configuration, one module per block: every key with its meaning, type, bounds and default."""
