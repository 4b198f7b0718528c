"""The objective of a training step: times, noise, dropped classes, and the target of the velocity."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from twostage.flow import interpolate, velocity_target


@dataclass
class Draw:
    """The randomness of one step's batch, or of a part of it: noise like x_1, times (B,), dropped classes (B,) bool."""

    x_0: torch.Tensor
    t: torch.Tensor
    dropped: torch.Tensor

    def part(self, rows):
        return Draw(self.x_0[rows], self.t[rows], self.dropped[rows])

    @classmethod
    def joined(cls, draws):
        """Several draws joined, one after the other."""
        return cls(*(torch.cat([getattr(draw, name) for draw in draws]) for name in ("x_0", "t", "dropped")))

    def drop(self, labels, num_classes):
        """The labels (B,), with ``num_classes`` in place of dropped ones."""
        return torch.where(self.dropped, num_classes, labels)


class Draws:
    """Draws that depend only on (seed, step), for whole batches of latents of ``shape`` (B, C, H, W).

    Every process draws the whole batch and takes its rows, so that the number of processes changes nothing.
    """

    def __init__(self, seed, shape, time, class_drop, device):
        self.shape, self.time, self.class_drop, self.device = shape, time, class_drop, device
        self.generator = torch.Generator(device)
        # The CPU's generator uses only 32 bits, so steps are added to a seed that is well mixed.
        self.base = int(np.random.SeedSequence(seed).generate_state(1)[0])

    def at(self, step):
        generator = self.generator.manual_seed((self.base + step) % 2**32)
        settings = {"generator": generator, "device": self.device}
        x_0 = torch.randn(self.shape, **settings)
        count = self.shape[0]
        t = torch.randn(count, **settings).sigmoid() if self.time == "lognormal" else torch.rand(count, **settings)
        return Draw(x_0, t, torch.rand(count, **settings) < self.class_drop)


class Objective:
    """The loss of a velocity model on a batch.

    cosine: add ``1 - cos(v, target)``, the angle taken over channels, as LightningDiT does. Labels that are dropped
    become ``num_classes``.
    """

    def __init__(self, num_classes, cosine=False):
        self.num_classes, self.cosine = num_classes, cosine

    def loss(self, model, x_1, labels, draw, target=None):
        """(loss to minimise, mean squared error of the velocity), both scalars; the second is detached.

        target: the velocity's target, like x_1; None: x_1 - x_0.
        """
        x_t, y = interpolate(draw.x_0, x_1, draw.t), draw.drop(labels, self.num_classes)
        target = velocity_target(draw.x_0, x_1) if target is None else target
        velocity = model(x_t, draw.t, y).float()
        squared = F.mse_loss(velocity, target)
        if not self.cosine:
            return squared, squared.detach()
        return squared + (1 - F.cosine_similarity(velocity, target, dim=1)).mean(), squared.detach()
