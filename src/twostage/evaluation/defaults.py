"""Defaults of the evaluation; the configuration reads them too.

Nothing here imports torch.
"""

# The classifier: training steps, channels of its first layer, images per step, initial learning rate.
STEPS, WIDTH, BATCH_SIZE, LEARNING_RATE = 600, 32, 128, 2e-3
FEATURES = 4  # features in its hidden layer per channel of its first layer
CONTROL_IMAGES = 10_000  # held-out images, at most; enough for an interval of 1% of the value
