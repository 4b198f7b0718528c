"""Time of a training step: this project's LightningDiT against the original's code, in one run.

    python benchmarks/training.py --original PATH/TO/LightningDiT --size S --batch 16            # CPU, float32
    python benchmarks/training.py --original PATH/TO/LightningDiT --size XL --batch 256 \\
        --device cuda --precision bf16                                                           # one GPU

Both do the same: VA-VAE latents (32 x 16 x 16), patch 1, forward, backward, AdamW, EMA, on the same weights and
batches. The original runs as it comes, its forward methods under ``torch.compile``, its EMA a loop over the parameters,
and once with compilation switched off. Each contender has a process of its own, as trainings have. On a CPU their steps
alternate, so that a busy machine slows all of them; a GPU's memory is given to one after the other. Printed are the
median and the fastest step, samples per second, and, where the peak is known, the model FLOP utilisation. Without
``--original`` only this project is timed.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
import types

import torch
import torch.nn.functional as F

from twostage.model.lightningdit import LightningDiT
from twostage.model.sizes import SIZES
from twostage.training.processes import keep_freed_memory

PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0}  # dense bf16, makers' data sheets
CHANNELS, GRID, CLASSES = 32, 16, 1000
EXCLUDED = {"eager": "twostage, compiled", "compiled": "twostage"}  # by --only


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

    def __init__(self, model, update_ema, fused, options):
        self.model, self.update_ema = model.to(options.device).train(), update_ema
        self.device, self.precision = options.device, options.precision
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
        seconds = []
        for _ in range(steps):
            start = time.perf_counter()
            self.step(*batch)
            if self.device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return seconds


def contender_of(name, options):
    """A contender by its name; the weights are the same for all."""
    torch.manual_seed(0)
    model = LightningDiT(GRID, 1, CHANNELS, num_classes=CLASSES, **SIZES[options.size])
    if name.startswith("original"):
        if name == "original, eager":
            torch.compiler.set_stance("force_eager")
        theirs = original_model(options.original, options.size)
        theirs.load_state_dict(model.state_dict())
        return Contender(theirs, loop_ema, False, options)
    keep_freed_memory()  # as the training's command line does
    if name == "twostage, compiled":
        model.compile_blocks()
    return Contender(model, foreach_ema, True, options)


def batch_of(options):
    generator = torch.Generator().manual_seed(1)
    shape = (options.batch, CHANNELS, GRID, GRID)
    batch = (
        torch.randn(shape, generator=generator),
        torch.randn(shape, generator=generator),
        torch.rand(options.batch, generator=generator),
        torch.randint(CLASSES, (options.batch,), generator=generator),
    )
    return [tensor.to(options.device) for tensor in batch]


def serve(name, options, pipe):
    """In a process of its own: time as many steps as asked for, until asked for none."""
    torch.set_num_threads(options.threads)
    contender, batch = contender_of(name, options), batch_of(options)
    contender.timed(batch, 2)  # the first two steps compile, and warm the allocator
    device = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    pipe.send(device)
    while steps := pipe.recv():
        pipe.send(contender.timed(batch, steps))


def race(names, options):
    """({name: seconds of each step}, the device's name) of contenders that take turns."""
    context, pipes, processes = multiprocessing.get_context("spawn"), {}, []
    for name in names:
        pipes[name], theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(name, options, theirs), daemon=True))
        processes[-1].start()
        device = pipes[name].recv()
    seconds = {name: [] for name in names}
    for _ in range(options.rounds):
        for name, pipe in pipes.items():
            pipe.send(options.steps)
            seconds[name] += pipe.recv()
    for pipe, process in zip(pipes.values(), processes):
        pipe.send(0)
        process.join()
    return seconds, device


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

    names = [name for name in ("twostage", "twostage, compiled") if name != EXCLUDED.get(options.only)]
    names += ["original, eager", "original"] if options.original else []
    seconds = {}
    for group in [[name] for name in names] if options.device == "cuda" else [names]:
        found, device = race(group, options)
        seconds |= found

    peak = options.peak_tflops
    if peak is None and options.precision == "bf16":
        peak = next((value for key, value in PEAK_TFLOPS.items() if key in device), None)
    flops = step_flops(options.size, options.batch)
    print(
        f"{options.size}/1, batch {options.batch}, {options.precision}, {device}, torch {torch.__version__}, "
        f"{options.threads} threads, {flops / 1e12:.2f} TFLOP a step"
    )
    reference = statistics.median(seconds[names[-1]])
    for name, taken in seconds.items():
        median, fastest = statistics.median(taken), min(taken)
        used = f", {flops / median / peak / 1e12:.1%} of {peak:g} TFLOP/s" if peak else ""
        print(
            f"{name:20s} median {median:.3f} s, fastest {fastest:.3f} s, "
            f"{options.batch / median:.1f} samples/s, {reference / median:.2f} x {names[-1]}{used}"
        )


if __name__ == "__main__":
    main()
