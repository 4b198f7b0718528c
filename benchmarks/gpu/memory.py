"""Peak memory of a network's pass on the device, against what fake tensors say beforehand."""

import torch
from diffusers import AutoencoderKL
from machine import Machine
from rows import Row

from twostage.estimate.networks import PUBLISHED
from twostage.model.lightningdit import LightningDiT
from twostage.testing.peak_memory import Peak, on_fake_gpu

GIB = 2**30


def passes(machine: Machine):
    """A decoder's and the model's forward pass, without gradients."""
    sizes = machine.sizes
    architecture = {"in_channels": sizes.latent[0], "num_classes": sizes.classes, **sizes.model}
    vae = {**PUBLISHED["sd-vae"], "block_out_channels": [sizes.width * factor for factor in (1, 2, 4, 4)]}
    side = 4 if machine.pretended else 32

    def decode():
        network = AutoencoderKL(**vae).eval()
        return lambda: network.decode(torch.zeros(sizes.image_batch // 2, vae["latent_channels"], side, side))

    def velocity():
        model = LightningDiT(sizes.latent[1], **architecture).eval()
        x, t, y = torch.zeros(sizes.batch, *sizes.latent), torch.zeros(sizes.batch), torch.arange(sizes.batch)
        return lambda: model(x, t, y % sizes.classes)

    for name, make in (("SD-VAE's decoder", decode), ("the model's velocity", velocity)):
        with on_fake_gpu(), torch.device("cuda"), torch.no_grad(), Peak("cuda") as peak:
            make()()
        with machine.gpu(), torch.device("cuda"), torch.no_grad():
            call = make()
            torch.cuda.reset_peak_memory_stats()
            call()
            measured = torch.cuda.max_memory_allocated()
        yield Row(f"{name}, by fake tensors", peak.bytes / GIB, "GiB")
        yield Row(
            f"{name}, measured against that", None if machine.pretended else measured / peak.bytes, "x", most=1.15,
            note="a pretended GPU has no memory" if machine.pretended else f"{measured / GIB:.3g} GiB",
        )  # fmt: skip
