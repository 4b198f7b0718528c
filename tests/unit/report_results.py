"""Results of a small imaginary run, in the columns that the stages write, from closed forms.

Curves follow the transition law of iid Gaussians; losses have the paper's shape. What a test needs otherwise is
changed in the returned tables before they are written.
"""

import itertools
import json

import h5py
import numpy as np
import pandas as pd

from twostage.report.claims import flux, guidance, memorization, others, supervision, trajectories, verdicts
from twostage.report.claims import shift as shifts
from twostage.report.claims.record import Checked, CheckedClaim, CheckedFinding

# What is checked on sampled images; the rest of the claims is about the target and the losses.
SAMPLED = [
    claim
    for part in (trajectories, memorization, shifts, guidance, supervision, flux, others)
    for claim in verdicts.claims_of(part)
    if claim is not others.COLLAPSE_BY_ENTROPY
]
WINDOWS = {"transition": (0.3, 0.65), "class": (0.1, 0.5)}
MODELS = {"S": 1.3, "B": 1.1, "XL": 1.0}


def transition_time(dim, size, scale=1.0):
    r = np.sqrt(size ** (2 / dim) - 1) / scale
    return r / (1 + r)


def weight(t, split, width):
    return 1 / (1 + np.exp(-(np.asarray(t) - split) / width))


def posterior(split, *, dim=64, size=144, width=0.03, points=101, noise=0.002):
    """Posterior curves that collapse at ``split``: class-conditional (pooled, one class) and unconditional."""
    t = np.linspace(0, 1, points)
    tables = []
    for conditioning, label, n, shift in (
        ("class", "pooled", size, 0.0),
        ("class", "0", size, 0.0),
        ("all", "-1", 10 * size, 0.1),
    ):
        top1 = weight(t, split + shift, width)
        mse = 0.9 * (1 - top1) * (1 - t)
        offset = mse + 2 * (1e-3 / (1 - t + 1e-3)) ** 2
        tables.append(
            pd.DataFrame(
                {
                    "conditioning": conditioning, "label": label, "n": n, "dim": dim, "t": t, "pairs": 512,
                    "top1": top1, "top1_sem": noise, "self_weight": top1, "self_weight_sem": noise,
                    "effective_samples": 1 + (n - 1) * (1 - top1), "effective_samples_sem": noise,
                    "mse": mse, "mse_sem": noise * (1 - top1), "mse_offset": offset, "mse_offset_sem": noise * offset,
                }
            )
        )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def transition(space, split, *, dim=64, size=144, error=0.03):
    classes = [
        {
            "label": label, "n": size, "measured": split + 0.01 * (label - 2), "curve_error": 0.05,
            "interval": [split + 0.01 * (label - 2) - 0.01, split + 0.01 * (label - 2) + 0.01],
            "predicted": (split + 0.01 * (label - 2)) * (1 + error * (-1) ** label),
        }
        for label in range(5)
    ]  # fmt: skip
    everything = {
        "n": 10 * size, "measured": split + 0.1, "interval": [split + 0.09, split + 0.11],
        "predicted": (split + 0.1) * (1 + error), "curve_error": 0.06,
    }  # fmt: skip
    return {
        "space": space, "split": split, "split_interval": [split - 0.01, split + 0.01], "split_predicted": split * 1.02,
        "definition": "mean weight of the true sample crosses one half", "dim": dim, "classes": classes,
        "unconditional": everything,
    }  # fmt: skip


def law(split, *, dim=64, size=144, shift=0.01):
    t = np.linspace(0, 1, 101)
    tables = [
        pd.DataFrame(
            {
                "conditioning": conditioning, "label": label, "n": size, "dim": dim, "t": t,
                "measured": weight(t, split + 0.01 * (label - 2), 0.03), "measured_sem": 0.01,
                "predicted": weight(t, split + 0.01 * (label - 2) + shift, 0.03),
            }
        )
        for conditioning, label in (("class", 0), ("class", 1), ("class", 2), ("class", 3), ("class", 4), ("all", -1))
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def top1(late=0.15):
    """Unit Gaussians: exact curves at the law's transition, bfloat16 ones later by the share ``late``."""
    t = np.linspace(0, 1, 51)
    tables = []
    for panel, pairs in (
        ("dimension", [(512, 1400), (2048, 1400), (8192, 1400)]),
        ("size", [(1024, 100), (1024, 1000), (1024, 10000)]),
    ):
        for dim, size in pairs:
            split = transition_time(dim, size)
            for precision, factor in (("exact", 1.0), ("bfloat16", 1 + late)):
                tables.append(
                    pd.DataFrame(
                        {
                            "panel": panel, "dim": dim, "size": size, "t": t, "trials": 1000,
                            "top1": weight(t, split * factor, 0.15 * split), "top1_sem": 0.004, "precision": precision,
                        }
                    )
                )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def synthetic_transition():
    rows = []
    for dim in (8, 64, 512, 4096):
        for size in (100, 10000):
            split = transition_time(dim, size)
            rows.append((dim, size, split, 0.99 * split, 1.01 * split, 1.03 * split, 0.08))
    return pd.DataFrame(rows, columns=["dim", "size", "measured", "lo", "hi", "predicted", "curve_error"])


def synthetic_law():
    t = np.linspace(0, 1, 101)
    tables = []
    for dim, size, split, *_ in synthetic_transition().itertuples(index=False):
        measured = weight(t, split, 0.15 * split)
        predicted = weight(t, 1.03 * split, 0.15 * split)
        columns = {"dim": dim, "size": size, "t": t, "measured": measured, "measured_sem": 0.01, "predicted": predicted}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def nsweep(*, dim=64, error=0.03):
    rows = []
    classes = [("class", label, (9, 36, 144)) for label in range(4)]
    for pool, label, sizes in (*classes, ("pooled", -1, (144, 288, 720, 1440))):
        for size in sizes:
            split = transition_time(dim, size)
            rows.append((pool, label, size, dim, split, split - 0.01, split + 0.01, split * (1 + error)))
    return pd.DataFrame(rows, columns=["pool", "label", "n", "dim", "measured", "lo", "hi", "predicted"])


def information(*, whole=1.0, sem=0.01, conditionings=("class", "all", "label"), dim=64, size=144):
    """What x_t tells, as ``whole`` of what there is to know by the gap and all of it by the entropy."""
    t, tables = np.linspace(0, 1, 51), []
    for kind in conditionings:
        total = np.log({"class": size, "all": 10 * size, "label": 10, "synthetic": size}[kind])
        nats = total * weight(t, 0.4, 0.03)
        gaussian = dim / 2 * np.log1p((t / np.maximum(1 - t, 1e-9)) ** 2)
        tables.append(
            pd.DataFrame(
                {
                    "conditioning": kind, "t": t, "n": size, "dim": dim, "pairs": 512, "gaussian": gaussian,
                    "total": total, "by_gap": whole * nats, "by_gap_sem": sem * nats, "by_entropy": nats,
                    "by_entropy_sem": sem * (total - nats), "by_weight": np.nan if kind == "label" else nats,
                    "by_weight_sem": sem * (total - nats), "left": total - nats,
                }
            )
        )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def oracle_loss(split, *, sizes=MODELS, steps=(75, 150, 300, 600), longer=1200, noise=0.004):
    """Losses of the paper's shape: near zero at t = 0, a rise, a bump after ``split``, a dip, a rise to t = 1."""
    t = np.linspace(0, 1, 51)
    gap = 0.9 * (1 - weight(t, split, 0.03)) * (1 - t)
    tables = []
    for model, size in sizes.items():
        for step in [*steps, *([longer] if model == list(sizes)[-1] and longer else [])]:
            trained = size * (1 + 60 / step)
            refinement = trained * (0.25 + 0.5 * (t - 0.75) ** 2 + 0.6 * np.maximum(t - 0.8, 0))
            oracle = refinement * weight(t, split - 0.1, 0.03) + 0.002
            variance = 1.2 + t
            tables.append(
                pd.DataFrame(
                    {
                        "model": model, "step": step, "t": t, "pairs": 256, "cfm": oracle + gap, "cfm_sem": noise,
                        "oracle": oracle, "oracle_sem": noise, "oracle_variance": variance,
                        "explained": 1 - oracle / variance,
                    }
                )
            )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def tab1(*, distances=None, seeds=(0, 1, 2), noise=0.1, split="measured"):
    distances = distances or {("XL", "XL"): 3.0, ("B", "XL"): 3.6, ("XL", "B"): 8.0, ("B", "B"): 9.0}
    rows = []
    for (one, two), distance in distances.items():
        for seed in seeds:
            jitter = noise * np.cos(7 * seed + len(one) + 2 * len(two))
            rows.append((f"tab1-{split}-{one}-{two}", seed, "classifier", distance + jitter, 0.1, 1000, 50))
    table = pd.DataFrame(rows, columns=["plan", "seed", "features", "distance", "kid", "samples", "nfe"])
    return described(table)


def capacity(*, costs=(0.5, 1.0, 0.7), together=0.0, seeds=(0,), steps=(24, 14, 12), models=("XL", "B")):
    """tab_capacity: costs in distance that add up, over 2.0, and more where the first two parts are both small.

    The large model's forward pass costs three times the small one's.
    """
    rows = []
    for kinds in itertools.product(("large", "small"), repeat=3):
        small = np.array([kind == "small" for kind in kinds])
        evaluations = {models[0]: int(np.dot(steps, ~small)), models[1]: int(np.dot(steps, small))}
        fields = [models[int(each)] for each in small]
        for seed in seeds:
            rows.append(
                {
                    "plan": f"tab_capacity-{'-'.join(fields)}", "seed": seed, "features": "classifier",
                    "distance": 2.0 + np.dot(costs, small) + together * small[:2].all() + 0.1 * seed, "samples": 400,
                    "nfe": sum(steps), "kind": "-".join(kinds), "fields": " > ".join(fields), "stops": "0.45; 0.75; 1",
                    "evaluations": json.dumps({name: count for name, count in evaluations.items() if count}),
                    "network_flops": 1e6 * (3 * evaluations[models[0]] + evaluations[models[1]]),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def halves(distance=None, *, models=("XL", "S"), snapshot=250, seeds=(0,)):
    """tab_halves: ``distance(before, after)``; by default what each half adds to the oracle's 0.5, and the product."""
    navigates = {"gaussian": 0.1, "oracle": 0.0, models[0]: 0.2, models[-1]: 0.3, f"{models[0]}@{snapshot}": 0.8}
    refines = {"oracle": 0.0, models[0]: 2.0, models[-1]: 9.0}
    distance = distance or (lambda before, after: 0.5 + navigates[before] + refines[after] * (1 + navigates[before]))
    rows = []
    for after in (*models, "oracle"):
        for before in ("gaussian", *models, f"{models[0]}@{snapshot}", "oracle"):
            for seed in seeds:
                rows.append(
                    {
                        "plan": f"tab_halves-{before.replace('@', '-')}-{after}", "seed": seed,
                        "features": "classifier", "distance": distance(before, after) + 0.1 * seed, "samples": 200,
                        "nfe": 26 if before == "gaussian" else 50, "kind": f"{before} > {after}",
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def with_parts(table, sem):
    """With the distances without each tenth of the samples, as far apart as a standard error of ``sem`` has them.

    Parts move all plans alike, as those of plans that share their noise do, but for a hundredth.
    """
    rng = np.random.default_rng(0)
    wave = rng.standard_normal((1, 10)) + 0.01 * rng.standard_normal((len(table), 10))
    wave = (wave - wave.mean(1, keepdims=True)) / wave.std(1, keepdims=True)
    # Ten values' jackknife error is sqrt(9 / 10 sum of squares): 3 times their standard deviation (1 / n).
    without = table["distance"].to_numpy()[:, None] + sem / 3 * wave
    columns = pd.DataFrame(without, columns=[f"distance_without_{part}" for part in range(10)], index=table.index)
    return pd.concat([table, columns], axis=1)


def split_of(value, source="measured", half=0.01):
    """The content of a split.json."""
    low, high = (value - half, value + half) if source == "measured" else (None, None)
    return {"value": value, "source": source, "low": low, "high": high}


def described(table, split=0.45):
    """An evaluation's table with what it says of plans beside their names, which these results have it from."""
    said = pd.DataFrame([_described(plan, split) for plan in table["plan"]], index=table.index)
    return pd.concat([table.drop(columns=table.columns.intersection(said.columns)), said], axis=1)


def _described(plan, split):
    name, *words = plan.split("-")
    if name == "tab1":
        named = words[0] in ("measured", "fixed")
        return {
            "split_source": words[0] if named else np.nan, "split_at": split if named else float(words[0]),
            "split_low": split - 0.01 if named else np.nan, "split_high": split + 0.01 if named else np.nan,
            "stage_1": words[1], "stage_2": words[2],
        }  # fmt: skip
    if name == "tab2":
        shift, uniform = float(words[0].removeprefix("shift_")), np.arange(50) / 50
        return {"shift": shift, "step_starts": json.dumps((shift * uniform / (1 + (shift - 1) * uniform)).tolist())}
    if name == "tab3":
        beside = len(words) > (1 if words[-1].isalpha() else 2)
        model, scale = [*words[:2], 2][:2] if beside else ("B", 2)
        written = words[-1] if words[-1].isalpha() else "-".join(words[-2:])
        low, high = WINDOWS.get(written) or ((np.nan, np.nan) if written == "none" else map(float, words[-2:]))
        kind = (
            "none" if written == "none" else "data" if written in WINDOWS else "short" if high - low <= 0.15 else "wide"
        )
        return {
            "kind": "beside" if beside else kind, "interval_low": low, "interval_high": high, "model": model,
            "guidance": 1.0 if written == "none" else float(scale), "interval": "" if written == "none" else written,
        }  # fmt: skip
    if name == "fig_oracle_supervised":
        return {"model": words[0], "step": int(words[1])}
    return {}


def write_pairs(folder, name, losses, pairs=256):
    """Errors pair by pair, as HDF5, with the means and standard errors of ``losses``; those of any two curves are
    uncorrelated over the pairs, those of one curve go together."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    curves = list(losses.groupby(["model", "step"], sort=False))
    waves = np.cos(np.pi * np.outer(1 + np.arange(len(curves)), np.arange(pairs) + 0.5) / pairs)
    waves /= waves.std(1, ddof=1, keepdims=True)
    with h5py.File(path, "w") as file:
        file["model"], file["step"] = [model for (model, _), _ in curves], [step for (_, step), _ in curves]
        file["t"] = curves[0][1]["t"].to_numpy()
        file["oracle"] = [
            rows["oracle"].to_numpy()[:, None] + np.sqrt(pairs) * np.outer(rows["oracle_sem"], wave)
            for (_, rows), wave in zip(curves, waves)
        ]
        # |u|^2 = 2 per dimension, the oracle shorter by the gap, a model by a little more; their spreads go together.
        gap = np.maximum((curves[0][1]["cfm"] - curves[0][1]["oracle"]).to_numpy(), 0)[:, None] * np.ones(pairs)
        whole = 2 + 0.1 * waves[0]
        file["conditional_square"], file["gap"], file["oracle_square"] = whole, gap, whole - gap
        file["square"] = [0.98 * (whole - gap) for _ in curves]
    return path


def settling(*, falls=1.0, follows=1.0, images=30, noise=0.2, seed=0):
    """Images whose time falls with their distance and rises with that of the law, each by so much of its own spread."""
    rng, labels = np.random.default_rng(seed), np.repeat(np.arange(3), images)
    distance, law = rng.standard_normal((2, len(labels)))
    time = -falls * distance + follows * law + noise * rng.standard_normal(len(labels)) + labels
    return pd.DataFrame(
        {
            "row": np.arange(len(labels)), "label": labels, "n": 100, "dim": 64, "noises": 16,
            "time": 0.5 + 0.02 * time, "time_sd": 0.05, "nearest": np.arange(len(labels))[::-1],
            "nearest_mirrored": False, "distance": 8 + distance, "law": 0.5 + 0.02 * law, "law_nearest": 0.7,
            "drawn": True, "class": labels,
        }
    )  # fmt: skip


def followed_images(slope=1.0, *, images=60, noise=0.3, seed=0):
    """Samples that follow the images of ``settling``: at the last switch d1 / d2 rises with the image's time."""
    rng, times = np.random.default_rng(seed), settling()["time"].to_numpy()[:images]
    tables = []
    for t in (0.4, 0.8, 1.0):
        for space in ("pixel", "classifier"):
            rise = slope * (t == 0.8) * (space == "pixel")
            ratio = rise * (times - 0.5) / 0.04 + noise * rng.standard_normal(images)
            columns = {"plan": f"fig5-{t}", "space": space, "t_switch": t, "followed": np.arange(images)}
            tables.append(pd.DataFrame({**columns, "nearest_distance": 20.0, "ratio": 0.4 + 0.1 * ratio}))
    control = {"plan": "held-out images", "space": "pixel", "t_switch": np.nan, "followed": -1}
    control |= {"nearest_distance": 40.0, "ratio": 0.9}
    return pd.concat([*tables, pd.DataFrame([control])], ignore_index=True)


def write_settling(path, side=8, channels=1, shown=6):
    """The pictures of those images of ``settling`` that settle first and last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = settling().sort_values("time")["row"].to_numpy()
    with h5py.File(path, "w") as file:
        file["row"] = np.concatenate([rows[:shown], rows[-shown:]])
        for number, name in enumerate(("images", "nearest")):
            images = np.random.default_rng(number).integers(0, 256, (2 * shown, side, side, channels))
            file[name] = images.astype(np.uint8)
    return path


def write_references(path, curves, kinds=("train", "held_out", "own"), pairs=50, own=1.0, gaussian=0.5):
    """What the references' job writes of ``curves``, [(model, step), ...], each closer to the references than the one
    before it, on own trajectories by its error to the power ``own``; gaussian: its error over the oracle's."""
    t, rng = np.linspace(0, 0.98, 12), np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["model"], file["step"] = [model for model, _ in curves], [step for _, step in curves]
        file["t"], file["label"] = t, np.arange(pairs) % 10
        level = 0.5 ** np.arange(len(curves))[:, None, None]
        for kind in kinds:
            errors = level ** (own if kind == "own" else 1) * (0.01 + t[:, None])
            for name, factor in (("oracle", 1.0), ("gaussian", gaussian), ("conditional", 2.0)):
                file[f"{kind}_{name}"] = factor * errors * (1 + 0.1 * rng.standard_normal((len(curves), 1, pairs)))
            file[f"{kind}_apart"] = np.broadcast_to(
                errors if kind == "own" else errors[0], (*errors.shape[kind != "own" : 2], pairs)
            )
    return path


def write(folder, name, content):
    """Write a table as CSV, a dict as JSON or a text into ``folder``; returns the path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        path.write_text(json.dumps(content))
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        content.to_csv(path, index=False)
    return path


def write_run(folder, splits=None):
    """A whole imaginary run on disk: {source: path or {space: path}} under the names that ``draw`` functions take."""
    splits = splits or {"pixel": 0.45, "vae": 0.4}
    per_space = {
        "posterior": lambda space: posterior(splits[space]),
        "transition": lambda space: transition(space, splits[space]),
        "split": lambda space: split_of(splits[space]),
        "curves": lambda space: law(splits[space]),
        "nsweep": lambda space: nsweep(),
        "information": lambda space: information(),
        "settling": lambda space: settling(),
        "followed_images": lambda space: followed_images(),
        "oracle_loss": lambda space: oracle_loss(splits[space]),
        "evaluation": lambda space: tab1(),
    }
    run = {
        name: {
            space: write(folder, f"{space}/{name}.{'json' if name in ('transition', 'split') else 'csv'}", make(space))
            for space in splits
        }
        for name, make in per_space.items()
    }
    run["pair_errors"] = {
        space: write_pairs(folder, f"{space}/oracle_loss.h5", oracle_loss(split)) for space, split in splits.items()
    }
    run["pictures"] = {space: write_settling(folder / f"{space}/settling.h5") for space in splits}
    run["top1"] = write(folder, "synthetic/top1.csv", top1())
    run["synthetic_information"] = write(
        folder, "synthetic/information.csv", information(conditionings=["synthetic"], dim=512, size=1000)
    )
    run["synthetic_curves"] = write(folder, "synthetic/law.csv", synthetic_law())
    run["synthetic_transition"] = write(folder, "synthetic/transition.csv", synthetic_transition())
    return run


def checked_claim(words, *, id="x", group="Statements of the paper", interval=(0.4, 0.6)):
    """A claim of claims.json that holds in one case, all of whose words are ``words``."""
    finding = CheckedFinding(words, "holds", True, 0.5, interval and list(interval), words)
    return CheckedClaim(
        id=id, group=group, arxiv="2512.02826", stage="navigation", section=words, statement=words, verdict="holds",
        holds=True, paper=words, quantity=words, rule=words, covers=words, form="share", figure=words, sources=[words],
        findings=[finding],
    )  # fmt: skip


def checked(*claims):
    """The content of a claims.json."""
    return Checked({}, len(claims), 0.0, list(claims))
