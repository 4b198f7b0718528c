"""Time of the oracle's derivatives over that of a velocity, within one run.

    OMP_NUM_THREADS=1 python benchmarks/derivatives.py [--samples 1300] [--dim 4096] [--batch 64] [--spread]

Rows are medians of --repeats calls that take turns; on a CPU of processor time. Samples are unit Gaussians, whose
transition is at t = 0.06 with these numbers; with --spread, of a spectrum as pictures have it.
"""

import argparse

import torch
from oracle import in_turns, table

from twostage.flow import RECTIFIED, edm
from twostage.oracle import Oracle


def main():
    options = parse()
    torch.manual_seed(0)
    device = torch.device(options.device)
    data = torch.randn(options.samples, options.dim, device=device)
    if options.spread:  # a spectrum like that of pictures
        data *= torch.arange(1, options.dim + 1, device=device) ** -0.5
        data /= data.std()
    index = torch.arange(options.batch)
    noise, along = torch.randn(2, options.batch, options.dim, device=device)
    print(
        f"N = {options.samples}, D = {options.dim}, batch {options.batch}, {torch.get_num_threads()} threads, {device}"
    )
    for path in (RECTIFIED, edm()):
        oracle = Oracle(data, path=path)
        for at in options.at:
            t = path.time(at / (1 - at))
            x_t = path.interpolate(noise, data[index], t)
            calls = {
                "velocity": lambda x_t=x_t, t=t, oracle=oracle: oracle.velocity(x_t, t),
                "velocity_jvp": lambda x_t=x_t, t=t, oracle=oracle: oracle.velocity_jvp(x_t, t, along),
                "velocity and backward": lambda x_t=x_t, t=t, oracle=oracle: backward(oracle, x_t, t, along),
                "divergence": lambda x_t=x_t, t=t, oracle=oracle: oracle.divergence(x_t, t),
                "log_density": lambda x_t=x_t, t=t, oracle=oracle: oracle.log_density(x_t, t),
            }
            rows = in_turns(calls, options.repeats, device)
            print(f"\n{path.name}, t = {float(t):.4g} (rectified {at})")
            table(rows.items(), rows["velocity"])


def backward(oracle, x_t, t, along):
    x_t = x_t.detach().requires_grad_()
    oracle.velocity(x_t, t).backward(along)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1300)
    parser.add_argument("--dim", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--spread", action="store_true", help="variances that fall as 1 / k, not equal ones")
    parser.add_argument("--at", type=float, nargs="*", default=[0.02, 0.06, 0.5, 0.95], help="rectified times")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
