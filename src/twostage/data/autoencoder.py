"""The small KL autoencoder that the workflow trains: diffusers' AutoencoderKL with the widths of the configuration.

Optionally its latent is aligned to features of the images, as in VA-VAE (Yao & Wang 2025, arXiv 2501.01423).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from twostage.arguments import as_device
from twostage.data.encoders import Autoencoder, latent_shape_of
from twostage.data.kinds import DEFAULTS
from twostage.data.weights import save_network
from twostage.finite import finite, finite_weights
from twostage.provenance import atomic_write, sha256

# VA-VAE's margins: beyond them a pair counts as aligned.
COSINE_MARGIN, DISTANCE_MARGIN = 0.5, 0.25


def architecture(image_channels, latent_channels, downsample, channels):
    """Arguments of ``diffusers.AutoencoderKL``, with one resolution level per entry of ``channels``, finest first."""
    if downsample != 2 ** (len(channels) - 1):
        raise ValueError(
            f"downsample is {downsample} with {len(channels)} levels of channels; expected {2 ** (len(channels) - 1)}, "
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


def train_autoencoder(dataset, spec, seed, output, device="cpu", features=None):
    """Train on all images of ``dataset`` and write the weights to ``output`` (safetensors); returns the encoder.

    Loss: mean squared error of the pixels in [-1, 1], plus ``kl_weight`` times the KL divergence to a unit Gaussian
    in nats per latent dimension, plus the alignment if ``align_weight`` is above 0. The optimiser is AdamW; the
    learning rate rises over the first tenth of the steps and falls to zero along a cosine.
    spec: keys of ``twostage.data.kinds.DEFAULTS``. features, for the alignment: an array (N, F) or (N, F, h, w) in the
    order of the data set, or a callable from uint8 images (n, H, W, C) to a tensor (n, F) or (n, F, h, w).
    Raises ValueError for an impossible shape, for alignment without features or with features that are not finite, and
    for a training that diverged.
    """
    from diffusers import AutoencoderKL

    options = DEFAULTS | {key: value for key, value in spec.items() if key in DEFAULTS and value is not None}
    shape = architecture(
        dataset.image_shape[-1], *(options[key] for key in ("latent_channels", "downsample", "channels"))
    )
    torch.manual_seed(seed)
    network = AutoencoderKL(**shape).to(as_device(device)).train()
    _start_with_little_noise(network)
    latent_shape = latent_shape_of("kl", network, dataset.image_shape)
    alignment = Alignment(features, dataset, latent_shape).to(device) if options["align_weight"] > 0 else None
    parameters = [*network.parameters(), *(alignment.parameters() if alignment else ())]
    optimiser = torch.optim.AdamW(parameters, lr=options["lr"], betas=(0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, options["steps"]))
    generator = torch.Generator().manual_seed(seed)
    for _ in tqdm(range(options["steps"]), "autoencoder", disable=None):
        rows = torch.randint(len(dataset), (options["batch_size"],), generator=generator).numpy()
        images, rows = dataset.usable_images(rows)
        images = torch.from_numpy(images)
        x = images.to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        posterior = network.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(device)
        latent = posterior.mean + posterior.std * noise
        error = F.mse_loss(network.decode(latent).sample, x)
        kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
        loss = error + options["kl_weight"] * kl
        if alignment:
            misaligned = alignment(latent, rows, images)
            weight = _balance(error, misaligned, network.quant_conv.weight)
            loss = loss + options["align_weight"] * weight * misaligned
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
    finite_weights(network.state_dict(), f"{output}: the trained autoencoder", "its training diverged: lower its lr")
    with atomic_write(output) as temporary:
        save_network(temporary, network, shape, recipe={**options, "seed": seed, "dataset": dataset.fingerprint})
    return Autoencoder("kl", network, sha256(output), device=device)


def _start_with_little_noise(network):
    """With the default, a unit posterior variance at the start, noise hides the latent: that would cost half of so
    short a training."""
    half = network.config.latent_channels
    with torch.no_grad():
        network.quant_conv.weight[half:] *= 0.1
        network.quant_conv.bias[half:] = -6.0


def _rate(step, steps):
    warm = max(1, steps // 10)
    return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * max(0, step - warm) / max(1, steps - warm))))


def _balance(error, misaligned, weight):
    """Ratio of the two losses' gradients on the encoder's last layer, as in VA-VAE, so that one weight fits all
    data."""
    gradients = [torch.autograd.grad(loss, weight, retain_graph=True)[0].norm() for loss in (error, misaligned)]
    return (gradients[0] / (gradients[1] + 1e-4)).clamp(0, 1e4).detach()


class Alignment(torch.nn.Module):
    """Distance of a linear projection of the latent from features of the images: the sum of VA-VAE's two losses.

    Feature maps (N, F, h, w) are compared position by position (resized to the latent's size), feature vectors (N, F)
    with a projection of the whole latent.
    """

    def __init__(self, features, dataset, latent_shape):
        super().__init__()
        if features is None:
            raise ValueError("align_weight is above 0, but there are no features; expected an array or a callable")
        if not callable(features) and len(features) != len(dataset):
            raise ValueError(f"{len(features)} features for {len(dataset)} training images; expected one row per image")
        self.features = features
        sample = self._of(np.arange(1), torch.from_numpy(dataset.images([0])))
        self.maps = sample.ndim == 4
        width = latent_shape[0] if self.maps else math.prod(latent_shape)
        self.projection = torch.nn.Linear(width, sample.shape[1], bias=False)

    def _of(self, rows, images):
        if callable(self.features):
            with torch.no_grad():
                return torch.as_tensor(self.features(images)).float()
        chosen = np.asarray(self.features[rows], dtype=np.float32)
        return torch.as_tensor(finite(chosen, "features of the training images", "make their file again", rows))

    def forward(self, latent, rows, images):
        features = self._of(rows, images).to(latent.device)
        if self.maps:
            features = F.interpolate(features, latent.shape[2:], mode="bilinear", antialias=True)
            features, latent = features.flatten(2).transpose(1, 2), latent.flatten(2).transpose(1, 2)
        else:
            features, latent = features[None], latent.flatten(1)[None]
        return alignment_loss(self.projection(latent), features)


def alignment_loss(projected, features, cosine_margin=COSINE_MARGIN, distance_margin=DISTANCE_MARGIN):
    """VA-VAE's marginal cosine and marginal distance matrix losses, summed.

    projected, features: (sets, points, F); points are compared with their counterparts, and the points of a set with
    one another. Differences inside the margins cost nothing.
    """
    projected, features = F.normalize(projected, dim=-1), F.normalize(features, dim=-1)
    cosine = (projected * features).sum(-1)
    distance = projected @ projected.transpose(1, 2) - features @ features.transpose(1, 2)
    return F.relu(1 - cosine_margin - cosine).mean() + F.relu(distance.abs() - distance_margin).mean()
