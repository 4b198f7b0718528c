"""Training of a LightningDiT: recipe, batches, loop, resumable state, and the models' error against the oracle."""

# Raised by hand when the same recipe, data and seed would give other weights; a model's files are made anew then.
TRAINING_VERSION = 1
