"""AdamW without torch's class for it, whose first use imports torch's compiler: two seconds, half of a short job."""

import torch
from torch.optim.adamw import adamw

EPSILON = 1e-8


class AdamW:
    """The same as ``torch.optim.AdamW(fused=True)``, to the bit.

    weights: {name: tensor}, each with a gradient whenever ``step`` is called; lr, betas, weight_decay: as in torch.
    ``exp_avg`` and ``exp_avg_sq``, {name: tensor like the weight}, are the moments.
    """

    def __init__(self, weights, *, lr, betas, weight_decay):
        self.weights = weights
        self.settings = {"lr": lr, "beta1": betas[0], "beta2": betas[1], "weight_decay": weight_decay, "eps": EPSILON}
        self.exp_avg = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        self.exp_avg_sq = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        self.steps = [torch.zeros((), device=weight.device) for weight in weights.values()]

    @torch.no_grad()
    def step(self):
        """Move the weights along their gradients."""
        weights = list(self.weights.values())
        moments = [list(moment.values()) for moment in (self.exp_avg, self.exp_avg_sq)]
        gradients = [weight.grad for weight in weights]
        options = {"fused": True, "amsgrad": False, "maximize": False}
        adamw(weights, gradients, *moments, [], self.steps, **options, **self.settings)

    def drop_gradients(self):
        """Free the gradients; the next backward pass makes new ones."""
        for weight in self.weights.values():
            weight.grad = None

    @torch.no_grad()
    def restore(self, step, exp_avg, exp_avg_sq):
        """Restore the moments, {name: tensor on any device}, of after ``step`` steps."""
        for name in self.weights:
            self.exp_avg[name].copy_(exp_avg[name])
            self.exp_avg_sq[name].copy_(exp_avg_sq[name])
        for count in self.steps:
            count.fill_(step)
