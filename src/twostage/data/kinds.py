"""Kinds of encoder, and the defaults of the workflow's own autoencoder; the configuration reads them too.

Nothing here imports torch.
"""

PIXELS = ("identity",)  # without weights
TRAINED = ("kl",)  # by the workflow
PUBLISHED = ("sd-vae", "va-vae", "autoencoder-kl", "tiny")
ALIGNED = ("va-vae",)  # with semantic features, by those who trained them
ABSENT = ("none",)  # latents alone
KINDS = (*PIXELS, *TRAINED, *PUBLISHED, *ABSENT)

# Defaults of the kind that the workflow trains.
DEFAULTS = {
    "latent_channels": 4, "downsample": 2, "channels": [16, 32], "steps": 600, "batch_size": 32, "lr": 1e-2,
    "kl_weight": 1e-4, "align_weight": 0.0,
}  # fmt: skip
