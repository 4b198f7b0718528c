"""What evaluation takes where it is not told otherwise: as the configuration, too, reads it.

Nothing here imports torch.
"""

# The classifier: training steps, channels of its first layer, images per step, initial learning rate.
STEPS, WIDTH, BATCH_SIZE, LEARNING_RATE = 600, 32, 128, 2e-3
FEATURES = 4  # numbers of its hidden layer per channel of its first one
CONTROL_IMAGES = 10_000  # held-out images: an interval of 1% of its value needs no more
