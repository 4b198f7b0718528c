"""LightningDiT, the velocity model (``lightningdit``), and its files (``checkpoints``)."""
