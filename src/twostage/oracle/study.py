"""The oracle on a latent store: posterior statistics, transitions against the law, the transition by N.

Stage functions: each writes its CSV or JSON with provenance, and returns the main table.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.special import stdtrit
from tqdm import tqdm

from twostage.flow import sample_noise
from twostage.oracle.information import class_information, information, resolved
from twostage.oracle.information_table import information_table
from twostage.oracle.law import (
    channel_information,
    crossing_time,
    measured_transition,
    predicted_self_weight,
    resolved_times,
    spectrum,
    transition_grid,
    transition_interval,
    transition_time,
)
from twostage.oracle.pairs import Sweep, sweep
from twostage.oracle.samples import Samples
from twostage.oracle.tables import mean_and_error, write_table
from twostage.provenance import write_json, write_provenance
from twostage.unlabelled import EVERYTHING

STATISTICS = ("top1", "self_weight", "effective_samples", "mse", "mse_offset")
# Times at which the paper's Figs. 2a and 2b were read off, so that a run's values there are measured, not interpolated.
READ_OFF = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.95, 0.98, 0.99, 1.0)
WHOLE = 2**32 - 1  # the seed's key for pairs over all samples; for a class, the key is its number
DEFINITION = (
    "first time at which the mean posterior weight of the true sample, exact copies added up, crosses one half, on "
    "times that resolve it; class-conditional pairs pooled over the classes; interval: 95% percentile bootstrap over "
    "pairs; predicted: crossing of the predicted curve, no fitted constant; curve_error: largest absolute difference "
    "of predicted and measured mean weight over the times"
)


def measure_posterior(
    store_path,
    output_dir,
    *,
    times,
    pairs_per_class,
    pairs_unconditional,
    seed,
    offset=1e-3,
    bootstrap=1000,
    device="cpu",
    budget_mb=1024,
):
    """Write posterior.csv, transition.json, law.csv and information.csv into ``output_dir``; returns the first.

    store_path: latents.h5; times: (T,) in [0, 1]; times that resolve every transition (``resolved_times``) and the
    information (``twostage.oracle.information``), and those at which the paper's values were read off, are added;
    pairs_per_class, pairs_unconditional: number of pairs (x_0, x_1) per class and over all samples (0: leave the
    unconditional part out, as for data without classes, whose one class is all of them); offset: see
    ``Sweep.mse_offset``; bootstrap: number of resamples.
    Pair j of a class depends only on (seed, class, j). Sec. 3, Figs. 2a and 2b of the paper.
    """
    store = _open(store_path)
    asked = np.union1d(np.asarray(times, dtype=float), READ_OFF)
    labels = np.unique(store.labels).tolist()
    predicted, counts = [], []
    for label in tqdm(labels, desc="spectrum, by class", disable=None):
        samples = Samples(store, label, device, budget_mb)
        predicted.append(spectrum(samples))
        counts.append(samples.distinct)
    times = resolved_times(asked, map(transition_time, predicted, counts))

    def sweep_classes(times):
        return [
            _sweep_class(Samples(store, label, device, budget_mb), label, times, pairs_per_class, seed, offset)
            for label in tqdm(labels, desc="oracle, by class", disable=None)
        ]

    found = resolved(sweep_classes, _resolved(sweep_classes, times))
    pooled, times = Sweep.merge(found), found[0].times
    count = int(np.median([each.count[0] for each in found]))
    tables = [_table("class", int(each.label[0]), each.count[0], each) for each in found]
    tables.append(_table("class", "pooled", count, pooled))
    curves = [predicted_self_weight(values, each.count[0], times) for each, values in zip(found, predicted)]
    laws = [_law_table("class", int(each.label[0]), each.count[0], each, curve) for each, curve in zip(found, curves)]
    pooled_curve = np.average(curves, axis=0, weights=[len(each) for each in found])
    laws.append(_law_table("class", "pooled", count, pooled, pooled_curve))
    nats = [channel_information(values, times)[0] for values in predicted]
    nats = np.average(nats, axis=0, weights=[each.rows[0] for each in found])
    told = {"n": count, "dim": pooled.dim, "pairs": len(pooled)}
    kind = "all" if store.class_names == [EVERYTHING] else "class"
    informations = [information_table(kind, information(pooled), **told, gaussian=nats)]
    transition = {
        "space": Path(store_path).parent.name,
        "split": measured_transition(pooled),
        "split_interval": _interval(pooled, bootstrap, seed),
        "split_predicted": crossing_time(pooled_curve, times),
        "definition": DEFINITION,
        "dim": pooled.dim,
        "classes": [
            {
                "label": int(each.label[0]),
                "class": store.class_names[int(each.label[0])],
                **_compare(each, values, curve, bootstrap, seed),
            }
            for each, values, curve in zip(found, predicted, curves)
        ],
        "spectrum": _typical(found, predicted, store),
    }
    if pairs_unconditional:
        samples = Samples(store, None, device, budget_mb)
        values = spectrum(samples)
        times = resolved_times(asked, [transition_time(values, samples.distinct)])

        def sweep_all(times):
            return [_sweep_class(samples, None, times, pairs_unconditional, seed, offset)]

        (whole,) = resolved(sweep_all, _resolved(sweep_all, times))
        curve = predicted_self_weight(values, samples.distinct, whole.times)
        told = {"n": samples.distinct, "dim": samples.dim, "pairs": len(whole)}
        nats = channel_information(values, whole.times)[0]
        informations.append(information_table("all", information(whole), **told, gaussian=nats))
        if len(labels) > 1:
            label = store.labels[whole.index % len(store)]
            order = np.argsort(label, kind="stable")

            def sweep_both(times):
                own = _sweep_own_class(store, whole, times, seed, device, budget_mb)
                return [own, *(each.select(order) for each in sweep_all(times))]

            found = [_sweep_own_class(store, whole, whole.times, seed, device, budget_mb), whole.select(order)]
            told_of_class = class_information(*resolved(sweep_both, found, each=True))
            informations.append(information_table("label", told_of_class, **told, gaussian=np.nan))
        tables.append(_table("all", -1, samples.distinct, whole))
        laws.append(_law_table("all", -1, samples.distinct, whole, curve))
        transition["unconditional"] = {"label": -1, **_compare(whole, values, curve, bootstrap, seed)}
    output_dir = Path(output_dir)
    settings = {
        "times": times.tolist(),
        "pairs_per_class": pairs_per_class,
        "pairs_unconditional": pairs_unconditional,
        "offset": offset,
        "bootstrap": bootstrap,
    }
    table = _named(pd.concat(tables, ignore_index=True), store)
    made = {"config": settings, "seed": seed, "inputs": [store_path]}
    write_table(output_dir / "posterior.csv", table, **made)
    write_table(output_dir / "law.csv", _named(pd.concat(laws, ignore_index=True), store), **made)
    write_table(output_dir / "information.csv", pd.concat(informations, ignore_index=True), **made)
    write_json(output_dir / "transition.json", transition)
    write_provenance(output_dir / "transition.json", **made)
    return table


def measure_nsweep(store_path, output, *, sizes, pairs, repeats, seed, labels=None, device="cpu", budget_mb=1024):
    """Vary N on the data at fixed D and write the transitions, measured against predicted; returns the table.

    output: nsweep.csv; sizes: numbers of samples to try (sizes larger than a pool are left out); pairs: number per
    subset; repeats: number of random subsets of each size; labels: classes whose subsets are tried (None: all). Subsets
    hold different samples: only one of a set of exact copies can be drawn. The pooled rows draw subsets from all
    classes together, with sizes up to the whole store. Predictions take the spectrum of the whole pool, so that only N
    varies. measured: mean transition of the subsets; lo, hi: its 95% interval by Student's t over the subsets, NaN for
    a single subset.
    """
    store = _open(store_path)
    sizes = sorted({int(size) for size in sizes})
    if not sizes or sizes[0] < 2:
        raise ValueError(f"sizes are {sizes}; expected integers of at least 2")
    present = np.unique(store.labels).tolist()
    if labels is None:
        labels = [] if store.class_names == [EVERYTHING] else present  # without classes there is the whole store alone
    labels, rows = list(labels), []
    for pool, label in [*(("class", label) for label in labels), ("pooled", None)]:
        samples = Samples(store, label, device, budget_mb)
        values, pick = spectrum(samples), samples.firsts()
        for size in [size for size in sizes if size <= len(pick)]:
            predicted = transition_time(values, size)
            times = transition_grid(values, size)
            times = np.concatenate([times, np.linspace(times[-1], 1, 11)[1:]])  # the data may be far from the law
            found = []
            for repeat in range(repeats):
                draw = np.random.default_rng([seed, size, repeat, len(present) if label is None else label])
                subset = samples.take(torch.from_numpy(pick[np.sort(draw.choice(len(pick), size, replace=False))]))
                index = _choose(draw, size, pairs)
                noise = sample_noise(seed, draw.integers(2**63, size=pairs), (samples.dim,))
                one = partial(sweep, subset, index, noise, device=device, budget_mb=budget_mb)
                found.append(measured_transition(*_resolved(lambda times, one=one: [one(times)], times)))
            measured, low, high = _mean_by_student(found)
            rows.append(
                {
                    "pool": pool,
                    "label": -1 if label is None else label,
                    "n": size,
                    "dim": samples.dim,
                    "measured": measured,
                    "lo": low,
                    "hi": high,
                    "predicted": predicted,
                }
            )
    table = _named(pd.DataFrame(rows), store)
    settings = {"sizes": sizes, "pairs": pairs, "repeats": repeats, "labels": labels}
    write_table(Path(output), table, config=settings, seed=seed, inputs=[store_path])
    return table


def _named(table, store):
    """The table with the class's name as its last column; "all classes" for a row over several classes."""
    names = dict(enumerate(store.class_names))
    return table.assign(**{"class": [names.get(label, "all classes") for label in table["label"]]})


def _open(store_path):
    from twostage.data.latents import LatentStore

    return LatentStore.open(store_path, split="train")


def _sweep_class(samples, label, times, pairs, seed, offset):
    """The sweep of pairs of one class (None: of all samples); no x_1 is repeated as long as there are others."""
    key = WHOLE if label is None else int(label)
    index = _choose(np.random.default_rng([seed, key]), samples.count, pairs)
    noise = sample_noise(seed, key * 2**24 + np.arange(pairs), (samples.dim,))
    return sweep(samples, index, noise, times, label=label, offset=offset)


def _sweep_own_class(store, whole, times, seed, device, budget_mb):
    """The sweep of the pairs of ``whole`` (over all samples), each within the class of its x_1, ordered by class."""
    row, flipped = whole.index % len(store), whole.index >= len(store)
    noise = sample_noise(seed, WHOLE * 2**24 + np.arange(len(whole)), (whole.dim,))
    label, parts = store.labels[row], []
    for each in tqdm(np.unique(label).tolist(), desc="oracle, own class", disable=None):
        mine, of_class = np.flatnonzero(label == each), store.class_slice(each)
        index = row[mine] - of_class.start + flipped[mine] * (of_class.stop - of_class.start)
        samples = Samples(store, each, device, budget_mb)
        parts.append(sweep(samples, torch.from_numpy(index), noise[mine], times, label=each))
    return Sweep.merge(parts)


def _resolved(run, times):
    """``run(times)``, a list of ``Sweep``; run again on more times if these do not resolve the transitions found.

    Times are chosen about the predicted transitions; data far from the law may have their transitions elsewhere.
    """
    found = run(times)
    crossings = [_crossing(each) for each in (*found, Sweep.merge(found))]
    finer = resolved_times(times, [time for time in crossings if time is not None], step=0.1, reach=1.5)
    return found if len(finer) == len(times) else run(finer)


def _choose(draw, count, pairs):
    """``pairs`` rows out of ``count`` in random order; the numbers of uses of two rows differ by at most one."""
    rounds = [draw.permutation(count) for _ in range(-(-pairs // count))]
    return torch.from_numpy(np.concatenate(rounds)[:pairs])


def _table(conditioning, label, count, found):
    columns = {
        "conditioning": conditioning,
        "label": label,
        "n": int(count),
        "dim": found.dim,
        "t": found.times,
        "pairs": len(found),
    }
    for name in STATISTICS:
        columns[name], columns[f"{name}_sem"] = mean_and_error(getattr(found, name))
    return pd.DataFrame(columns)


def _law_table(conditioning, label, count, found, curve):
    measured, error = mean_and_error(found.self_weight)
    return pd.DataFrame(
        {
            "conditioning": conditioning,
            "label": label,
            "n": int(count),
            "dim": found.dim,
            "t": found.times,
            "measured": measured,
            "measured_sem": error,
            "predicted": curve,
        }
    )


def _compare(found, values, curve, bootstrap, seed):
    count = int(found.count[0])
    return {
        "n": count,
        "measured": _crossing(found),
        "interval": _interval(found, bootstrap, seed),
        "predicted": transition_time(values, count),
        "curve_error": float(np.abs(found.self_weight.mean(0) - curve).max()),
    }


def _typical(found, spectra, store):
    """The covariance spectrum of the class with the median predicted transition: label, class, n, eigenvalues."""
    order = np.argsort([transition_time(values, each.count[0]) for each, values in zip(found, spectra)], kind="stable")
    k = order[len(order) // 2]
    values = spectra[k][spectra[k] > 0]
    label = int(found[k].label[0])
    return {
        "label": label,
        "class": store.class_names[label],
        "n": int(found[k].count[0]),
        "eigenvalues": values.tolist(),
    }


def _mean_by_student(values):
    """Mean of independent repeats and the ends of its 95% interval by Student's t; NaN ends for a single value."""
    mean, count = np.mean(values), len(values)
    if count == 1:
        return mean, np.nan, np.nan
    error = stdtrit(count - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(count)
    return mean, mean - error, mean + error


def _crossing(found):
    return crossing_time(found.self_weight.mean(0), found.times)


def _interval(found, bootstrap, seed):
    return list(transition_interval(found, resamples=bootstrap, seed=seed) or (None, None))
