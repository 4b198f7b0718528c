"""Training of a LightningDiT: recipe, batches, loop, resumable state, and the models' error against the oracle."""

# Raised by hand when the same recipe, data and seed would give other weights; then all models are trained again.
TRAINING_VERSION = 2

# Settings of how a job is run, not of what it computes: they may change between a killed job and the one that resumes
# it.
OPERATIONAL = (
    "accumulate",
    "compile",
    "activation_checkpointing",
    "checkpoint_every",
    "keep_state",
    "log_every",
    "tensorboard",
    "minutes",
    "state_folder",
)
