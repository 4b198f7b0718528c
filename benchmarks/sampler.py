"""Agreement of our Euler sampler with the original LightningDiT's, on the same noise, labels and weights.

    python benchmarks/sampler.py --original PATH/TO/LightningDiT [--size S] [--steps 50] [--samples 2]

Needs torchdiffeq, the original's solver. The original's sampler (``transport.Sampler.sample_ode`` on
``forward_with_cfg``) runs as it comes, compilation switched off; its ``num_steps`` counts the edges of the grid, so one
more than ours. It guides the first three channels: all of them where the latents have three. Printed are the largest
differences of the samples, and how far the samples are from their noise.
"""

import argparse

import torch
from training import original_model

from twostage.flow import sample_noise, time_grid
from twostage.model.lightningdit import LightningDiT
from twostage.model.sizes import SIZES
from twostage.sampling.solver import solve_euler
from twostage.sampling.velocity import Guided, ModelVelocity

GRID, CLASSES = 16, 1000
CASES = (  # channels of the latents, shift, guidance scale, from when on, the channels that it acts on
    ("uniform steps, no guidance", 32, 1.0, 1.0, 0.0, "all"),
    ("shift 0.3, guidance on 3 of 32 channels", 32, 0.3, 6.7, 0.125, 3),
    ("shift 0.3, guidance on all 3 channels", 3, 0.3, 6.7, 0.125, "all"),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--original", metavar="FOLDER", required=True, help="checkout of hustvl/LightningDiT")
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--samples", type=int, default=2)
    options = parser.parse_args()
    torch.compiler.set_stance("force_eager")
    labels = torch.arange(options.samples) * 101 % CLASSES
    for name, channels, shift, scale, start, guided in CASES:
        theirs = original_model(options.original, options.size, channels).eval()
        randomise(theirs)
        ours = LightningDiT(GRID, 1, channels, num_classes=CLASSES, **SIZES[options.size]).eval()
        ours.load_state_dict(theirs.state_dict())
        noise = sample_noise(0, range(options.samples), (channels, GRID, GRID))
        with torch.inference_mode():
            expected = original_samples(theirs, noise, labels, options.steps, shift, scale, start)
            field = Guided(ModelVelocity(ours), scale, (start, 1.0), guided)
            found = solve_euler(field, noise, time_grid(options.steps, shift=shift), labels)
        print(
            f"{name}, {options.size}, {options.steps} steps: largest difference {(found - expected).abs().max():.1e}, "
            f"samples {(found - noise).square().mean().sqrt():.2g} (RMS) from their noise"
        )


def randomise(model):
    """Weights in place of the zeros that the model starts with, so that its velocity is not zero."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)


def original_samples(model, noise, labels, steps, shift, scale, start):
    from transport import Sampler, create_transport

    sampler = Sampler(create_transport("Linear", "velocity", None, None, None))
    sample = sampler.sample_ode(sampling_method="euler", num_steps=steps + 1, timestep_shift=shift)
    if scale == 1:
        return sample(noise, model.forward, y=labels)[-1]
    twice = torch.cat([labels, torch.full_like(labels, CLASSES)])
    guidance = {"cfg_scale": scale, "cfg_interval": True, "cfg_interval_start": start}
    return sample(torch.cat([noise, noise]), model.forward_with_cfg, y=twice, **guidance)[-1].chunk(2)[0]


if __name__ == "__main__":
    main()
