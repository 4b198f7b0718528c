"""Results of ``fig_jump`` of an imaginary run, which its tests share."""

import json

import h5py
import numpy as np
import pandas as pd
from report_results import with_parts

STEPS = 50
FALL = {0.2: 2.8, 0.4: 2.5, 0.45: 2.45, 0.6: 3.4}  # the distance turns at 0.45


def jumped(found=FALL, model=3.0, uniform=0.3, seeds=(0,), sem=0.5, features=("classifier",), **shape):
    """Distances of jumps {t: distance}; of as many uniform steps, ``uniform`` more; and of the model alone.

    shape: {precision, recall or coverage: share that the jumps keep of it}.
    """
    plans = [("fig_jump-0", "model", 0.0, STEPS, model)]
    plans += [(f"fig_jump-{t:g}", "jump", t, STEPS - round(STEPS * t), value) for t, value in found.items()]
    plans += [(f"fig_jump-steps_{n}", "uniform", 0.0, n, d + uniform) for _, kind, _, n, d in plans if kind == "jump"]
    rows = []
    for name in features:
        for plan, kind, t, steps, distance in plans:
            starts = json.dumps(list(np.linspace(t, 1, steps, endpoint=False)))
            row = {"plan": plan, "features": name, "kind": kind, "distance": distance, "steps": steps, "nfe": steps}
            row |= {"samples": 150, "step_starts": starts, "fields": "XL"}
            kept = shape if kind == "jump" else {}
            row |= {key: 0.5 * kept.get(key, 1.0) for key in ("precision", "recall", "coverage")}
            rows += [row | {"seed": seed, "distance": distance + 0.1 * seed} for seed in seeds]
    return with_parts(pd.DataFrame(rows), sem)


def memorized(table, nearest=4.0, same=1.0, control=3.0, sem=0.02):
    """How far the samples of ``jumped`` results are from images; control: that of held-out images, or None."""
    rows = []
    for own in table.itertuples():
        alone = own.kind == "model"
        row = {"plan": own.plan, "seed": own.seed, "space": own.features, "samples": own.samples}
        row |= {"nearest_distance": 4.0 if alone else nearest, "same_noise_distance": 0.0 if alone else same}
        rows.append(row | {"other_noise_distance": 5.0})
    for features in dict.fromkeys(table["features"]) if control else ():
        row = {"plan": "held-out images", "seed": -1, "space": features, "samples": 300, "nearest_distance": control}
        rows.append(row)
    found = pd.DataFrame(rows)
    return found.assign(**{f"{name}_sem": sem for name in found.columns if name.endswith("_distance")})


def write_references(path, crossing, model="XL", pairs=3):
    """Errors on paths of training images: from ``crossing`` on, the Gaussian's against the oracle is the larger."""
    t = np.linspace(0, 0.9, 10)
    errors = lambda values: np.repeat(values[:, None], pairs, axis=1).astype(np.float32)  # noqa: E731
    with h5py.File(path, "w") as file:
        file["model"], file["step"], file["t"] = [model], [100], t
        for kind in ("train", "own"):
            for target in ("oracle", "gaussian", "conditional"):
                file[f"{kind}_{target}"] = errors(np.ones(10))[None]
        file["train_apart"] = errors(1 + t - crossing)
    return path
