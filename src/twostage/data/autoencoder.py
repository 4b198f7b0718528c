"""The small KL autoencoder that the workflow trains: diffusers' AutoencoderKL at the width that a config asks for."""

import math

import torch
import torch.nn.functional as F
from tqdm import tqdm

from twostage.data.encoders import Autoencoder, save_network
from twostage.provenance import atomic_write, sha256

DEFAULTS = {
    "latent_channels": 4, "downsample": 2, "channels": [16, 32], "steps": 400, "batch_size": 128, "lr": 2e-3,
    "kl_weight": 1e-4,
}  # fmt: skip


def architecture(image_channels, latent_channels, downsample, channels):
    """Arguments of ``diffusers.AutoencoderKL`` for one resolution level an entry of ``channels``, finest first."""
    if downsample != 2 ** (len(channels) - 1):
        raise ValueError(
            f"downsample is {downsample} with {len(channels)} channels levels; expected {2 ** (len(channels) - 1)}, "
            "a factor 2 between levels"
        )
    levels = len(channels)
    return {
        "in_channels": image_channels,
        "out_channels": image_channels,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "block_out_channels": list(channels),
        "layers_per_block": 1,
        "latent_channels": latent_channels,
        "norm_num_groups": math.gcd(8, *channels),
        "scaling_factor": 1.0,
    }


def train_autoencoder(dataset, spec, seed, output, device="cpu"):
    """Train on all images of ``dataset`` and write the weights to ``output`` (safetensors); returns the encoder.

    Loss: mean squared error of the pixels in [-1, 1], plus ``kl_weight`` times the KL divergence to a unit
    Gaussian, in nats a latent dimension. AdamW, cosine learning rate to zero. spec: keys of DEFAULTS.
    """
    from diffusers import AutoencoderKL

    options = DEFAULTS | {key: value for key, value in spec.items() if key in DEFAULTS and value is not None}
    shape = architecture(
        dataset.image_shape[-1], *(options[key] for key in ("latent_channels", "downsample", "channels"))
    )
    torch.manual_seed(seed)
    network = AutoencoderKL(**shape).to(device).train()
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=options["lr"], weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options["steps"])
    for _ in tqdm(range(options["steps"]), "autoencoder", disable=None):
        rows = torch.randint(len(dataset), (options["batch_size"],), generator=generator)
        images = torch.from_numpy(dataset.images(rows.numpy())).to(device)
        x = images.permute(0, 3, 1, 2).float() / 127.5 - 1
        posterior = network.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(device)
        kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
        reconstruction = network.decode(posterior.mean + posterior.std * noise).sample
        loss = F.mse_loss(reconstruction, x) + options["kl_weight"] * kl
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    with atomic_write(output) as temporary:
        save_network(temporary, network, shape, recipe={**options, "seed": seed, "dataset": dataset.fingerprint})
    return Autoencoder("kl", network, sha256(output), device=device)
