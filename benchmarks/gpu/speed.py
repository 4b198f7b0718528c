"""The oracle, the sweep and the nearest neighbours against the matrix products that nobody can avoid."""

import oracle as peers
import torch
from machine import Machine, Products
from rows import Row

from twostage.evaluation.neighbours import NearestNeighbours
from twostage.oracle import Oracle, sweep


def oracle(machine: Machine):
    """One time, and many at once, for a class of latents; deepinv beside it where it is installed."""
    sizes = machine.sizes
    torch.manual_seed(0)
    with machine.gpu():
        data = torch.randn(sizes.samples, *sizes.latent, device="cuda")
        rows, index = data.flatten(1), torch.arange(sizes.points, device="cuda") % sizes.samples
        noise = torch.randn(sizes.points, rows.shape[1], device="cuda")
        weights = torch.rand(sizes.points, sizes.samples, device="cuda")
        ours, peer = Oracle(data), None if machine.pretended else peers.deepinv_peer(rows)
        if peer is None:
            why = "deepinv computes on no pretended GPU" if machine.pretended else "pip install 'twostage[benchmarks]'"
            yield Row("deepinv's MMSE denoiser against two products", None, "x", note=why)
        for t in (0.02, 0.06, 0.5, 0.95):
            x_t = t * rows[index] + (1 - t) * noise
            calls = {
                "products": lambda: (noise @ rows.T, weights @ rows),
                "Oracle.velocity": lambda x_t=x_t, t=t: ours.velocity(x_t, t),
            }
            if peer is not None:
                calls["deepinv's MMSE denoiser"] = lambda x_t=x_t, t=t: peer(x_t, t)
            seconds = machine.in_turns(calls)
            unit = seconds.pop("products")
            for name, taken in seconds.items():
                most = 1.15 if name == "Oracle.velocity" else None
                yield Row(f"{name} against two products, t = {t}", taken / unit, "x", most=most, note=ms(taken))

        times = torch.linspace(0, 0.99, sizes.times)
        call = lambda: sweep(data, index, noise, times)  # noqa: E731
        with Products() as products:
            call()
        seconds = machine.in_turns({"sweep": call, "products": products.again()}, rounds=5)
        note = f"{sizes.times} times, {ms(seconds['sweep'])}, {len(products.shapes)} products"
        yield Row("sweep against its products alone", seconds["sweep"] / seconds["products"], "x", most=2, note=note)


def neighbours(machine: Machine):
    """Nearest neighbours of features against one product of their shape and dtype."""
    sizes = machine.sizes
    torch.manual_seed(0)
    with machine.gpu():
        queries = torch.randn(sizes.queries, sizes.features, device="cuda")
        references = torch.randn(sizes.references, sizes.features, device="cuda")

        def search():
            found = NearestNeighbours(queries, 3)
            found.add(references)
            return found.distances  # the search itself waits for whoever asks

        product = lambda: queries @ references.T  # noqa: E731
        seconds = machine.in_turns({"search": search, "product": product}, rounds=5)
        note = f"{sizes.queries} queries, {sizes.references} references, D = {sizes.features}, float32"
        yield Row(
            "nearest neighbours against one product", seconds["search"] / seconds["product"], "x", most=1.3, note=note
        )


def ms(seconds):
    return f"{1e3 * seconds:.3g} ms"
