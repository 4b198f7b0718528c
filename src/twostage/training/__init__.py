"""Training of a LightningDiT: recipe, batches, loop, resumable state, and the models' error against the oracle."""

# Raised by hand when the same recipe, data and seed would give other weights; a model's files are made anew then.
TRAINING_VERSION = 2

# How a job is run, not what it computes: these may differ between a killed job and the one that takes it up.
OPERATIONAL = (
    "accumulate",
    "compile",
    "activation_checkpointing",
    "checkpoint_every",
    "keep_state",
    "log_every",
    "tensorboard",
    "minutes",
)
