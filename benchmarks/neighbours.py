"""The exact nearest neighbours of features against one matrix product of the same shape and dtype, in one run.

    OMP_NUM_THREADS=1 python benchmarks/neighbours.py [--queries 10000] [--references 10000] [--rounds 3] [--device cpu]

Features are drawn as 64 random directions and noise; those of Inception are cut at 0. Each round takes the product
and every search once; ratios are of the fastest rounds and of the median ones. Pairs per query: how many were taken
again by float64 differences; the distances of k are asked for in any case. The last row is precision, recall, density
and coverage, against the three products of their shapes.
"""

import argparse
import statistics
import time

import torch

from twostage.evaluation import neighbours
from twostage.evaluation.neighbours import NearestNeighbours
from twostage.evaluation.prdc import precision_recall_density_coverage

SHAPES = {"Inception-v3": 2048, "DINOv2 ViT-B/14": 768}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--references", type=int, default=10_000)
    parser.add_argument("--nearest", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    # processor time, on a CPU, counts what is done here and not what else the machine does
    pairs, clock = count_pairs(), time.process_time if options.device == "cpu" else time.perf_counter
    print(f"{options.queries} queries, {options.references} references, {torch.get_num_threads()} threads")
    for name, width in SHAPES.items():
        queries, references = features(width, options)
        calls = {"product": lambda q=queries, r=references: q @ r.T}
        for k in options.nearest:
            calls[f"k = {k}"] = lambda k=k, q=queries, r=references: search(q, r, k)
        calls["PRDC, k = 5"] = lambda q=queries, r=references: precision_recall_density_coverage(r, q, 5)
        seconds = {call: [] for call in calls}
        again = {}
        for _ in range(options.rounds + 1):
            for call, run in calls.items():
                pairs[0] = 0
                start = clock()
                run()
                if queries.is_cuda:
                    torch.cuda.synchronize()
                seconds[call].append(clock() - start)
                again[call] = pairs[0] / options.queries
        print(f"\n{name}, D = {width}           fastest    x product    median    x product    pairs per query")
        for call, found in seconds.items():
            fast, middle = min(found[1:]), statistics.median(found[1:])
            unit = seconds["product"][1:]
            if call.startswith("PRDC"):
                products = 1 + options.references / options.queries + options.queries / options.references
                unit = [products * each for each in unit]
            ratios = fast / min(unit), middle / statistics.median(unit)
            print(f"  {call:28s} {fast:8.2f} s {ratios[0]:10.2f} {middle:9.2f} s {ratios[1]:10.2f} {again[call]:14.1f}")


def features(width, options):
    """Queries and references (n, width) float32."""
    draw = torch.Generator().manual_seed(0)
    directions = torch.randn(64, width, generator=draw) / 8
    found = []
    for count in (options.queries, options.references):
        values = torch.randn(count, 64, generator=draw) @ directions
        values += 0.3 * torch.randn(count, width, generator=draw)
        found.append((values.relu_() if width == SHAPES["Inception-v3"] else values).to(options.device))
    return found


def search(queries, references, k):
    found = NearestNeighbours(queries, k)
    found.add(references)
    return found.distances


def count_pairs():
    """A list of one number, to which the pairs taken again are added."""
    counted, original = [0], neighbours.pair_distances

    def counting(queries, references, row, column):
        counted[0] += len(row)
        return original(queries, references, row, column)

    neighbours.pair_distances = counting
    return counted


if __name__ == "__main__":
    main()
