"""What a training step regresses on: times, noise, dropped classes, and the target of the velocity."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from twostage.flow import interpolate, velocity_target
from twostage.oracle import ClassOracle, Oracle


@dataclass
class Draw:
    """The randomness of one step's batch, or of a part of it: noise like x_1, times (B,), dropped classes (B,) bool."""

    x_0: torch.Tensor
    t: torch.Tensor
    dropped: torch.Tensor

    def part(self, rows):
        return Draw(self.x_0[rows], self.t[rows], self.dropped[rows])


class Draws:
    """Draws that depend on (seed, step) alone, for whole batches of latents of ``shape`` (B, C, H, W).

    Every process draws the whole batch and takes its rows, so that their number changes nothing.
    """

    def __init__(self, seed, shape, time, class_drop, device):
        self.shape, self.time, self.class_drop, self.device = shape, time, class_drop, device
        self.generator = torch.Generator(device)
        # The CPU's generator looks at 32 bits only: steps count on from a seed that is mixed well.
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

    target: ``cfm`` regresses on x_1 - x_0, ``oracle`` on the oracle velocity of the label's class, or of the whole data
    set where the class is dropped (App. B); it needs the store. cosine: add ``1 - cos(v, target)``, the angle taken
    over channels, as LightningDiT does. Labels that are dropped become ``store.num_classes``.
    """

    def __init__(self, store, target="cfm", cosine=False, device="cpu"):
        self.num_classes, self.cosine = store.num_classes, cosine
        self.target = OracleTarget(store, device) if target == "oracle" else None

    def loss(self, model, x_1, labels, draw):
        """(loss to minimise, mean squared error of the velocity), both scalars; the second is detached."""
        x_t = interpolate(draw.x_0, x_1, draw.t)
        y = torch.where(draw.dropped, self.num_classes, labels)
        target = velocity_target(draw.x_0, x_1) if self.target is None else self.target(x_t, draw.t, y)
        velocity = model(x_t, draw.t, y).float()
        squared = F.mse_loss(velocity, target)
        if not self.cosine:
            return squared, squared.detach()
        return squared + (1 - F.cosine_similarity(velocity, target, dim=1)).mean(), squared.detach()


class OracleTarget:
    """The oracle velocity as a regression target: of the class, or of all samples for the label ``num_classes``.

    Every latent takes part in the second, so with dropped classes each step reads the whole data set: the authors'
    remark that this supervision is impractical at scale.
    """

    def __init__(self, store, device):
        data = store.class_data().to(device)
        labels = torch.from_numpy(store.labels).repeat(2 if store.has_flips else 1)
        self.num_classes = store.num_classes
        self.of_class, self.of_all = ClassOracle(data, labels), Oracle(data)

    @torch.no_grad()
    def __call__(self, x_t, t, y):
        # The oracle's velocity has no value of its own at t = 1, which float32 times can round to.
        t = t.clamp(max=1 - 1e-6)
        target = torch.empty_like(x_t)
        dropped = y == self.num_classes
        if dropped.any():
            target[dropped] = self.of_all.velocity(x_t[dropped], t[dropped])
        if not dropped.all():
            target[~dropped] = self.of_class.velocity(x_t[~dropped], t[~dropped], y[~dropped])
        return target
