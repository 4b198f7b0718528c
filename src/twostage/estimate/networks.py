"""Floating-point operations of the networks themselves, counted on torch's meta device, which computes nothing."""

import json
from functools import cache
from pathlib import Path

# Arguments of diffusers' AutoencoderKL that the published autoencoders have.
PUBLISHED = {
    "sd-vae": {
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "latent_channels": 4,
    },
    "va-vae": {
        "down_block_types": ["DownEncoderBlock2D"] * 4 + ["AttnDownEncoderBlock2D"],
        "up_block_types": ["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [128, 128, 256, 256, 512],
        "layers_per_block": 2,
        "latent_channels": 32,
    },
}
FLUX_VAE = {**PUBLISHED["sd-vae"], "latent_channels": 16}
TEXT_TOKENS = 512  # of FluxPipeline's prompts
INCEPTION_FLOPS = 2 * 5.7e9  # Inception-v3 at 299 x 299 pixels (Szegedy et al. 2016)
INCEPTION_SECONDS = 0.006  # of a core, for clean-fid's resizing of one image to these; measured


def count_flops(make, *shapes, call=None):
    """(operations of a forward pass, parameters) of the module that ``make`` builds.

    shapes: of its float32 inputs, or functions that make them; call: function of the module and them, unless forward.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.inference_mode():
        module = make().eval()
        inputs = [torch.empty(shape) if isinstance(shape, tuple) else shape() for shape in shapes]
        with FlopCounterMode(display=False) as counter:
            (call or type(module).__call__)(module, *inputs)
    return counter.get_total_flops(), sum(parameter.numel() for parameter in module.parameters())


def lightningdit_cost(latent_shape, classes, patch_size, hidden_size, depth, num_heads):
    """(operations of one forward pass of one sample, parameters) of a LightningDiT.

    Its blocks are all alike: one and two of them are counted, the others cost what the second adds.
    """
    one, two = (_lightningdit_cost(latent_shape, classes, patch_size, hidden_size, n, num_heads) for n in (1, 2))
    return tuple(first + (depth - 1) * (second - first) for first, second in zip(one, two))


@cache
def _lightningdit_cost(latent_shape, classes, patch_size, hidden_size, depth, num_heads):
    import torch

    make = lightningdit_maker(latent_shape, classes, patch_size, hidden_size, depth, num_heads)
    return count_flops(make, (1, *latent_shape), (1,), lambda: torch.zeros(1, dtype=torch.int64))


def lightningdit_maker(latent_shape, classes, patch_size, hidden_size, depth, num_heads, **options):
    """Function that makes a LightningDiT for latents (C, h, w)."""
    from twostage.model.lightningdit import LightningDiT

    channels, *sides = latent_shape
    sizes = {"patch_size": patch_size, "hidden_size": hidden_size, "depth": depth, "num_heads": num_heads}
    return lambda: LightningDiT(input_size=sides, in_channels=channels, num_classes=classes, **sizes, **options)


@cache
def autoencoder_flops(kind, image_shape, latent_shape, channels=()):
    """Operations (encode, decode) of one image (H, W, C); latent_shape: (C, h, w) of its latent.

    channels: of the resolution levels of a ``kl`` encoder.
    """
    if kind in ("identity", "none"):
        return 0, 0
    make = autoencoder_maker(kind, image_shape, latent_shape, channels)
    height, width, image_channels = image_shape
    inward = count_flops(make, (1, image_channels, height, width), call=lambda module, x: module.encode(x))[0]
    return inward, count_flops(make, (1, *latent_shape), call=lambda module, z: module.decode(z))[0]


def autoencoder_maker(kind, image_shape, latent_shape, channels=()):
    """Function that makes the network of ``autoencoder_flops``."""
    import diffusers

    from twostage.data.autoencoder import architecture

    height, _, image_channels = image_shape
    if kind == "tiny":
        network, arguments = diffusers.AutoencoderTiny, {"latent_channels": latent_shape[0]}
    elif kind == "kl":
        network = diffusers.AutoencoderKL
        arguments = architecture(image_channels, latent_shape[0], height // latent_shape[1], list(channels))
    else:  # of any AutoencoderKL: as the published one with as many levels
        like = _like_published(image_shape, latent_shape)
        network = diffusers.AutoencoderKL
        arguments = {**like, "latent_channels": latent_shape[0], "in_channels": image_channels}
    return lambda: network(**arguments)


def autoencoder_widths(kind, image_shape, latent_shape):
    """Channels of a published autoencoder's resolution levels, finest first, as the bound of its memory takes them."""
    if kind == "tiny":
        return [64] * 4
    return _like_published(image_shape, latent_shape)["block_out_channels"]


def _like_published(image_shape, latent_shape):
    """Arguments of the published AutoencoderKL with as many levels."""
    return PUBLISHED["va-vae" if image_shape[0] // latent_shape[1] == 16 else "sd-vae"]


@cache
def classifier_flops(image_shape, width, classes):
    """Operations of one image through the workflow's classifier."""
    import torch

    image = lambda: torch.zeros((1, *image_shape), dtype=torch.uint8)  # noqa: E731
    return count_flops(classifier_maker(image_shape, width, classes), image)[0]


def classifier_maker(image_shape, width, classes):
    """Function that makes the workflow's classifier."""
    from twostage.evaluation.classifier import Classifier

    return lambda: Classifier(image_shape, width, classes)


@cache
def dinov2_flops():
    """Operations of one image through DINOv2."""
    from twostage.evaluation.features import DINOV2_SIDE

    return count_flops(make_dinov2, (1, 3, DINOV2_SIDE, DINOV2_SIDE))[0]


def make_dinov2():
    """DINOv2, with random weights."""
    import timm

    from twostage.evaluation.features import DINOV2, DINOV2_SIDE

    return timm.create_model(DINOV2, num_classes=0, img_size=DINOV2_SIDE)


@cache
def flux_flops(folder, height, width):
    """Operations (one evaluation of the transformer, one decoding) of Flux at a size in pixels; its text encoders are
    left out: they run once per trajectory.

    folder: of a FluxPipeline, whose own sizes are taken; where it is not there, those of Flux.1.
    """
    import diffusers
    import torch

    transformer = _config_of(folder, "transformer") or {"guidance_embeds": True}
    vae = _config_of(folder, "vae") or FLUX_VAE
    factor = 2 ** len(vae["block_out_channels"])  # of the autoencoder, and 2 of the packing
    rows, columns = height // factor, width // factor
    make = lambda: diffusers.FluxTransformer2DModel.from_config(transformer)  # noqa: E731
    joint, pooled = transformer.get("joint_attention_dim", 4096), transformer.get("pooled_projection_dim", 768)

    def call(module, x, text, pool, time):
        ids = torch.zeros(TEXT_TOKENS, 3), torch.zeros(rows * columns, 3)
        guidance = time if module.config.guidance_embeds else None
        return module(x, text, pool, time, img_ids=ids[1], txt_ids=ids[0], guidance=guidance)

    inside = transformer.get("in_channels", 64)
    shapes = (1, rows * columns, inside), (1, TEXT_TOKENS, joint), (1, pooled), (1,)
    latent = (1, vae["latent_channels"], 2 * rows, 2 * columns)
    decoder = lambda: diffusers.AutoencoderKL.from_config(vae)  # noqa: E731
    return (
        count_flops(make, *shapes, call=call)[0],
        count_flops(decoder, latent, call=lambda module, z: module.decode(z))[0],
    )


def _config_of(folder, part):
    path = Path(folder) / part / "config.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
