"""Speed of the oracle as ratios within one run: ours, the peers, and the matrix products that nobody can avoid.

    OMP_NUM_THREADS=1 python benchmarks/oracle.py [--samples 1300] [--dim 4096] [--batch 64] [--times 100]

Peers, both float32 in matrix-product form: deepinv's MMSE denoiser (extra ``benchmarks``), and a plain softmax over
``torch.addmm`` logits, the least that an implementation of one time can do. A row is a median of --repeats calls (of
many times: --rounds), in which all take turns. Peers give the velocity; of many times ours gives four statistics
instead, and so does one of the peers.
"""

import argparse
import statistics
import time
from functools import partial

import torch

from twostage.oracle import Oracle, sweep


def main():
    options = parse()
    torch.manual_seed(0)
    device = torch.device(options.device)
    data = torch.randn(options.samples, options.dim, device=device)
    index = torch.arange(options.batch)
    noise = torch.randn(options.batch, options.dim, device=device)
    times = torch.linspace(0, 1, options.times + 1, dtype=torch.float64)[:-1]
    print(
        f"N = {options.samples}, D = {options.dim}, batch {options.batch}, {torch.get_num_threads()} threads, {device}"
    )

    point = lambda t: t * data[index] + (1 - t) * noise  # noqa: E731
    weights = torch.rand(options.batch, options.samples, device=device)
    peers = {"plain matrix-product form": plain(data)}
    if (peer := deepinv_peer(data)) is not None:
        peers["deepinv MMSE"] = peer

    oracle = Oracle(data)
    for at in options.at:
        x_t = point(at)
        calls = {"two matrix products": lambda: (noise @ data.T, weights @ data)}
        for name, call in {"Oracle.velocity": oracle.velocity, **peers}.items():
            calls[name] = partial(call, x_t, at)
        rows = in_turns(calls, options.repeats, device)
        print(f"\none time, t = {at}")
        table(rows.items(), rows["two matrix products"])

    points = [(point(t), t) for t in times.tolist()]
    calls = {"plain, all four quantities": plain_statistics(data, index, noise), **peers}
    calls = {f"{name}, {options.times} calls": partial(each_of, call, points) for name, call in calls.items()}
    calls["sweep"] = partial(sweep, data, index, noise, times)
    rows = in_turns(calls, options.rounds, device)
    print(
        f"\n{options.times} times: top-1, self weight, effective samples, mean squared error (others: velocity alone)"
    )
    table(rows.items(), rows["sweep"])


def each_of(call, points):
    for point in points:
        call(*point)


def plain(data):
    weights = plain_weights(data)
    return lambda x_t, t: (weights(x_t, t) @ data - x_t) / (1 - t)


def plain_weights(data):
    norms = data.square().sum(1) / 2

    def weights(x_t, t):
        scale = t / max(1 - t, 1e-6) ** 2
        return torch.addmm(norms, x_t, data.T, beta=-scale * t, alpha=scale).softmax(1)

    return weights


def plain_statistics(data, index, noise):
    """What ``sweep`` gives of one time, in the plain form."""
    weights_of, target, rows = plain_weights(data), data[index] - noise, torch.arange(len(index), device=data.device)

    def statistics_of(x_t, t):
        weights = weights_of(x_t, t)
        error = ((weights @ data - x_t) / (1 - t) - target).square().mean(1)
        effective = torch.special.entr(weights).sum(1).exp()
        return weights.amax(1), weights[rows, index.to(data.device)], effective, error

    return statistics_of


def deepinv_peer(data):
    try:
        from deepinv.models import MMSE
    except ImportError:
        print("deepinv is not installed: pip install 'twostage[benchmarks]' to compare with it")
        return None
    side = int(data.shape[1] ** 0.5)
    images = data.reshape(len(data), 1, -1, side) if data.shape[1] % side == 0 else data.reshape(len(data), 1, 1, -1)
    denoiser = MMSE(images, device=data.device)

    def velocity(x_t, t):
        t = max(t, 1e-6)  # its noise level (1 - t) / t is infinite at t = 0
        mean = denoiser((x_t / t).reshape(len(x_t), *images.shape[1:]), (1 - t) / t).reshape(x_t.shape)
        return (mean - x_t) / (1 - t)

    return velocity


def in_turns(calls, rounds, device):
    """{name: median of its seconds}; the calls take turns, after one that does not count."""
    # processor time, on a CPU, counts what is done here and not what else the machine does
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    found = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            start = clock()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize()
            found[name].append(clock() - start)
    return {name: statistics.median(seconds[1:]) for name, seconds in found.items()}


def table(rows, unit):
    for name, seconds in rows:
        print(f"  {name:40s} {1e3 * seconds:10.2f} ms   x {seconds / unit:.2f}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1300)
    parser.add_argument("--dim", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--at", type=float, nargs="*", default=[0.02, 0.06, 0.5, 0.95], help="times of single calls")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
