"""Time of a training step: this project's LightningDiT against the original's code, in one run.

    python benchmarks/training.py --original PATH/TO/LightningDiT --size S --batch 16            # CPU, float32
    python benchmarks/training.py --original PATH/TO/LightningDiT --size XL --batch 256 \\
        --device cuda --precision bf16                                                           # one GPU

Both do the same: VA-VAE latents (32 x 16 x 16), patch 1, forward, backward, AdamW, EMA, on the same weights and
batches. The original runs as it comes, its forward methods under ``torch.compile``, its EMA a loop over the parameters,
and once with compilation switched off.
Rounds of the contenders alternate, so that a busy machine slows both; printed are the median and the fastest step,
samples a second, and, where the peak is known, the model FLOP utilisation. Without ``--original`` only this project is
timed.
"""

import argparse
import statistics
import sys
import time
import types

import torch
import torch.nn.functional as F

from twostage.model.lightningdit import SIZES, LightningDiT

PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0}  # dense bf16, makers' data sheets
CHANNELS, GRID, CLASSES = 32, 16, 1000


def original_model(folder, size, channels=CHANNELS):
    """The original's LightningDiT from a checkout of its repository, with the options of its published weights."""
    sys.path.insert(0, folder)
    for name in ("fairscale", "fairscale.nn", "fairscale.nn.model_parallel"):
        sys.modules.setdefault(name, types.ModuleType(name))
    # Its norm's file imports fairscale for a language model that is never built; stand-ins will do.
    layers = types.ModuleType("fairscale.nn.model_parallel.layers")
    layers.ColumnParallelLinear = layers.ParallelEmbedding = layers.RowParallelLinear = object
    initialize = types.ModuleType("fairscale.nn.model_parallel.initialize")
    sys.modules["fairscale.nn.model_parallel"].initialize = initialize
    sys.modules.update({layers.__name__: layers, initialize.__name__: initialize})
    from models.lightningdit import LightningDiT as Original

    options = {"use_swiglu": True, "use_rope": True, "use_rmsnorm": True, "class_dropout_prob": 0.1}
    return Original(input_size=GRID, patch_size=1, in_channels=channels, num_classes=CLASSES, **options, **SIZES[size])


def loop_ema(ema, weights, decay):
    for name, weight in weights.items():
        ema[name].mul_(decay).add_(weight.data, alpha=1 - decay)


def foreach_ema(ema, weights, decay):
    torch._foreach_lerp_(list(ema.values()), list(weights.values()), 1 - decay)


class Contender:
    """A model with its optimiser and EMA; ``step`` takes one training step."""

    def __init__(self, name, model, update_ema, device, precision, fused, stance="default"):
        self.name, self.model, self.update_ema = name, model.to(device).train(), update_ema
        self.device, self.precision, self.stance, self.seconds = device, precision, stance, []
        self.weights = {key: weight for key, weight in model.named_parameters() if weight.requires_grad}
        self.ema = {key: weight.detach().clone() for key, weight in self.weights.items()}
        self.optimizer = torch.optim.AdamW(self.weights.values(), lr=1e-4, weight_decay=0, fused=fused or None)

    def step(self, x_1, x_0, t, y):
        x_t = t[:, None, None, None] * x_1 + (1 - t)[:, None, None, None] * x_0
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            velocity = self.model(x_t, t, y)
        loss = F.mse_loss(velocity.float(), x_1 - x_0)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.update_ema(self.ema, self.weights, 0.9999)

    def timed(self, batch, steps):
        with torch.compiler.set_stance(self.stance):
            for _ in range(steps):
                start = time.perf_counter()
                self.step(*batch)
                if self.device == "cuda":
                    torch.cuda.synchronize()
                self.seconds.append(time.perf_counter() - start)


def step_flops(size, batch):
    """Matrix-product operations of a training step: two a multiply-add, the backward pass twice the forward."""
    h, depth = SIZES[size]["hidden_size"], SIZES[size]["depth"]
    width, tokens = int(2 / 3 * 4 * h), GRID * GRID
    token = depth * (4 * h * h + 3 * h * width + 2 * tokens * h) + 2 * h * CHANNELS
    sample = depth * 6 * h * h + 2 * h * h + h * h + 256 * h
    return 3 * 2 * batch * (tokens * token + sample)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--original", metavar="FOLDER", help="checkout of hustvl/LightningDiT")
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="steps a contender takes in a round")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=("eager", "compiled"), help="time one of this project's two forms")
    parser.add_argument("--peak-tflops", type=float, help="the device's peak, for the utilisation")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    def ours(name, compiled):
        torch.manual_seed(0)
        model = LightningDiT(GRID, 1, CHANNELS, num_classes=CLASSES, **SIZES[options.size])
        if compiled:
            model.compile_blocks()
        return Contender(name, model, foreach_ema, options.device, options.precision, fused=True)

    contenders = []
    if options.only != "compiled":
        contenders.append(ours("twostage", compiled=False))
    if options.only != "eager":
        contenders.append(ours("twostage, compiled", compiled=True))
    if options.original:
        start = contenders[0].model.state_dict()
        for name, stance in (("original, eager", "force_eager"), ("original", "default")):
            theirs = original_model(options.original, options.size)
            theirs.load_state_dict(start)
            contender = Contender(name, theirs, loop_ema, options.device, options.precision, False, stance)
            contenders.append(contender)

    generator = torch.Generator().manual_seed(1)
    shape = (options.batch, CHANNELS, GRID, GRID)
    batch = (
        torch.randn(shape, generator=generator),
        torch.randn(shape, generator=generator),
        torch.rand(options.batch, generator=generator),
        torch.randint(CLASSES, (options.batch,), generator=generator),
    )
    batch = [tensor.to(options.device) for tensor in batch]

    for contender in contenders:  # the first two steps compile, and warm the allocator
        contender.timed(batch, 2)
        contender.seconds.clear()
    for _ in range(options.rounds):
        for contender in contenders:
            contender.timed(batch, options.steps)

    peak = options.peak_tflops
    if peak is None and options.device == "cuda" and options.precision == "bf16":
        name = torch.cuda.get_device_name()
        peak = next((value for key, value in PEAK_TFLOPS.items() if key in name), None)
    flops = step_flops(options.size, options.batch)
    print(
        f"{options.size}/1, batch {options.batch}, {options.precision}, {options.device}, torch {torch.__version__}, "
        f"{options.threads} threads, {flops / 1e12:.2f} TFLOP a step"
    )
    reference = statistics.median(contenders[-1].seconds)
    for contender in contenders:
        median, fastest = statistics.median(contender.seconds), min(contender.seconds)
        used = f", {flops / median / peak / 1e12:.1%} of {peak:g} TFLOP/s" if peak else ""
        print(
            f"{contender.name:20s} median {median:.3f} s, fastest {fastest:.3f} s, "
            f"{options.batch / median:.1f} samples/s, {reference / median:.2f} x {contenders[-1].name}{used}"
        )


if __name__ == "__main__":
    main()
