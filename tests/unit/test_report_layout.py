"""Figures of other people's runs: one space and one model, or three spaces and five models with long names.

No two texts overlap, none is cut or lies on another panel, and no legend covers a curve.
"""

import numpy as np
import pandas as pd
import pytest
import report_results as results
from matplotlib.figure import Figure
from report_jump import jumped, memorized
from report_pictures import faults
from report_results import split_of, tab1, transition, write
from test_report_sampling import (
    flux,
    gain_results,
    memorization,
    own_plans,
    tab2_results,
    tab3_results,
    trajectories,
    write_flux,
    write_pictures,
    write_trajectory,
)
from test_report_training import log, write_log, write_snapshots

from twostage.report.figures import (
    fig2,
    fig3,
    fig5,
    fig6,
    fig7,
    fig8,
    fig9,
    fig_flux,
    fig_jump,
    fig_memorization,
    fig_norms,
    fig_oracle_supervised,
    fig_references,
    fig_samples,
    fig_settling,
    fig_shift,
    fig_spaces,
    fig_training,
    nsweep,
    side_by_side,
    style,
    tab2,
    tab3,
    tab_capacity,
    tab_gain,
    tab_halves,
    tab_plans,
    tab_reconstruction,
)
from twostage.report.figures import law as law_figure
from twostage.report.figures import tab1 as tab1_figure
from twostage.report.results.run import Results
from twostage.sampling.experiments import SHIFTS

SPACES = [
    "stable-diffusion-vae-f8-finetuned-on-imagenet-at-256-pixels",
    "dinov2_base_with_registers_patch_tokens",
    "equivariant-autoencoder-with-sixteen-channels-v2",
]
MODELS = [
    f"{name}-{size}"
    for name in ("LightningDiT-1-with-rope-and-swiglu", "sit_with_registers_and_qk_normalisation")
    for size in ("small", "base", "extra-large")
][:5]
CLASS = "Staffordshire bullterrier, Staffordshire bull terrier"
RUNS = {"one": (["x"], ["m"]), "many": (SPACES, MODELS)}


def swaps(models):
    pairs = [(one, two) for one in models[-2:] for two in models[-2:]]
    return tab1(distances={pair: 3.0 + 2 * i for i, pair in enumerate(dict.fromkeys(pairs))})


def twins(model):
    rows = [
        (f"fig_oracle_supervised-{name}-{step}", seed, kind, 3 + 600 / step + 0.1 * seed)
        for name in (model, f"{model}-oracle")
        for step in (150, 600)
        for seed in (0, 1)
        for kind in ("classifier", "inception")
    ]
    table = pd.DataFrame(rows, columns=["plan", "seed", "features", "distance"])
    words = table["plan"].str.removeprefix("fig_oracle_supervised-").str.rsplit("-", n=1)
    return table.assign(model=words.str[0], step=words.str[1].astype(int))


def reconstruction():
    rows = [
        {"split": split, "images": 5000, "mse": 0.1, "psnr": 20.0, "features": features, "distance": 3.0}
        for split in ("train", "held_out")
        for features in ("inception", "classifier")
    ]
    return pd.DataFrame(rows)


def named_swaps(models):
    """``tab1``'s table, whose models are read from its plans' names, of names with hyphens."""
    table = swaps(["first", "second"][-len(models) :])
    names = dict(zip(("second", "first"), reversed(models)))
    return table.assign(stage_1=table["stage_1"].map(names), stage_2=table["stage_2"].map(names))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return {name: run_in(tmp_path_factory.mktemp(name), *names) for name, names in RUNS.items()}


def run_in(folder, spaces, models):
    """{module: what its ``drawn`` takes}, of a run of these names."""
    at = {space: 0.45 - 0.04 * i for i, space in enumerate(spaces)}
    sizes = {model: 1.3 - 0.05 * i for i, model in enumerate(models)}
    made = lambda name, content: {s: write(folder, f"{s}/{name}", content(s)) for s in spaces}  # noqa: E731
    shown = lambda name, *details, **options: {  # noqa: E731
        s: write_pictures(folder / s / f"{name}.h5", *details, **options) for s in spaces
    }

    def named(space):
        content = transition(space, at[space])
        for entry in content["classes"]:
            entry["class"] = CLASS
        return content

    losses = lambda s: results.oracle_loss(at[s], sizes=sizes)  # noqa: E731
    oracle = lambda s: pd.concat(  # noqa: E731
        [
            losses(s),
            *(own.assign(model=f"{models[-1]}-oracle") for m, own in losses(s).groupby("model") if m == models[-1]),
        ]
    )
    splits = made("split.json", lambda s: split_of(at[s]))
    transitions = made("transition.json", named)
    oracle_losses = made("oracle_loss.csv", losses)
    pairs = {s: results.write_pairs(folder, f"{s}/pairs.h5", losses(s)) for s in spaces}
    posteriors = made("posterior.csv", lambda s: results.posterior(at[s]))
    synthetic = {
        "synthetic_transition": write(folder, "synthetic/transition.csv", results.synthetic_transition()),
        "synthetic_curves": write(folder, "synthetic/law.csv", results.synthetic_law()),
    }
    top1 = write(folder, "synthetic/top1.csv", results.top1())
    switch = made("fig5.csv", lambda s: memorization("t_switch", (0, 0.1, 0.4, 0.6, 0.8, 1)))
    resume = made("fig6.csv", lambda s: memorization("t_resume", (0.1, 0.4, 0.8)))
    fields = [*models[-2:], "oracle"]
    paths = made("fig8.csv", lambda s: trajectories(fields))
    swapped = made("tab1.csv", lambda s: named_swaps(models[-2:]))
    shifts = made("tab2.csv", lambda s: tab2_results())
    guidance = made("tab3.csv", lambda s: tab3_results())
    plans = own_plans()
    long = {"plain": models[0], "late_guidance": f"{models[-1]} > {models[0]}"}
    plans = plans.assign(fields=plans["plan"].str.removeprefix("tab_plans-").map(long))
    everywhere = {"posterior": posteriors, "transition": transitions, "split": splits, "oracle_loss": oracle_losses}
    return {
        fig2: {"posterior": posteriors, "transition": transitions, "split": splits},
        fig3: {"top1": top1},
        fig7: {"oracle_loss": oracle_losses, "split": splits, "models": models},
        fig9: everywhere | {"pair_errors": pairs, "models": models},
        fig_norms: {
            "pair_errors": pairs,
            "split": splits,
            "models": models,
        },
        fig_references: {
            "references": {
                s: results.write_references(
                    folder / s / "references.h5", [(m, step) for m in models for step in (300, 600)]
                )
                for s in spaces
            },
            "split": splits,
            "models": models,
        },
        law_figure: {
            "transition": transitions,
            "curves": made("law.csv", lambda s: results.law(at[s]).assign(**{"class": CLASS})),
            **synthetic,
        },
        nsweep: {"nsweep": made("nsweep.csv", lambda s: results.nsweep())},
        fig_training: {
            "stats": {s: [write_log(folder / s / m / "stats.jsonl", log(600)) for m in models] for s in spaces},
            "samples": {
                s: write_snapshots(folder / s / "samples.h5", [(m, step) for m in models for step in (300, 600)])
                for s in spaces
            },
            "models": models,
        },
        fig_oracle_supervised: {
            "oracle_loss": made("both.csv", oracle),
            "evaluation": made("twins.csv", lambda s: twins(models[-1])),
            "split": splits,
            "pairs": {f"{models[-1]}-oracle": models[-1]},
        },
        fig5: {"pictures": shown("fig5", (0, 0.1, 0.4, 0.6, 0.8, 1)), "memorization": switch, "split": splits},
        fig6: {"pictures": shown("fig6", (0.1, 0.4, 0.8)), "memorization": resume, "split": splits},
        fig8: {
            "trajectories": paths,
            "pictures": {
                s: [write_trajectory(folder / s / f"{i}.h5", f) for i, f in enumerate(fields)] for s in spaces
            },
            "split": splits,
        },
        fig_memorization: {"memorization_switch": switch, "memorization_resume": resume, "split": splits},
        fig_samples: {
            "pictures": shown(
                "fig_samples",
                [np.nan] * len(models),
                plans=[f"fig_samples-{m}" for m in models],
                followed=False,
            )
        },
        fig_settling: {
            "settling": made("settling.csv", lambda s: results.settling()),
            "pictures": {s: results.write_settling(folder / s / "settling.h5") for s in spaces[:2]},
            "followed_images": {spaces[0]: write(folder, "followed.csv", results.followed_images())},
        },
        fig_jump: {
            "jump": made("fig_jump.csv", lambda s: jumped()),
            "memorization": made("fig_jump-memorization.csv", lambda s: memorized(jumped())),
            "split": splits,
            "transition": transitions,
            "information": made("information.csv", lambda s: results.information()),
        },
        fig_shift: {"split": splits, "steps": 50, "shifts": SHIFTS},
        fig_flux: {
            "trajectories": write(folder, "flux.csv", flux()),
            "pictures": write_flux(folder / "flux.h5", prompt="a photograph of an astronaut who rides a horse"),
        },
        fig_spaces: everywhere
        | {"models": models, "trajectories": paths, "memorization_switch": switch, "tab1": swapped, "tab2": shifts},
        tab1_figure: {"evaluation": swapped},
        tab2: {"evaluation": shifts, "split": splits},
        tab3: {"evaluation": guidance, "split": splits},
        tab_halves: {
            "evaluation": made(
                "tab_halves.csv",
                lambda s: results.with_parts(results.halves(models=(models[-1], f"{models[0]}-small")), 0.2),
            ),
            "split": splits,
        },
        tab_gain: {"evaluation": made("tab_gain.csv", lambda s: gain_results()), "split": splits},
        tab_capacity: {
            "evaluation": made(
                "tab_capacity.csv",
                lambda s: results.with_parts(results.capacity(models=(models[-1], f"{models[0]}-small")), 0.2),
            ),
            "split": splits,
        },
        tab_plans: {"evaluation": made("tab_plans.csv", lambda s: plans), "split": splits},
        tab_reconstruction: {"reconstruction": made("reconstruction.csv", lambda s: reconstruction())},
        side_by_side: {
            "run": Results(**everywhere, top1=top1, tab1=swapped, tab2=shifts, tab3=guidance, models=models)
        },
    }


MODULES = [
    fig2, fig3, fig5, fig6, fig7, fig8, fig9, fig_flux, fig_jump, fig_memorization, fig_norms, fig_oracle_supervised,
    fig_references, fig_samples, fig_settling, fig_shift, fig_spaces, fig_training, law_figure, nsweep, side_by_side,
    tab1_figure, tab2, tab3, tab_capacity, tab_gain, tab_halves, tab_plans, tab_reconstruction,
]  # fmt: skip


NAMELESS = {fig3, fig_flux}  # the same for every run
# A row per space, all alike.
ROWS = {
    fig7, nsweep, fig_oracle_supervised, fig5, fig6, fig8, fig_jump, fig_norms, fig_references, fig_samples, tab3,
    tab_capacity,
}  # fmt: skip
CASES = [(run, module) for run in RUNS for module in MODULES if run == "many" or module not in NAMELESS]


@pytest.mark.parametrize(("run", "module"), CASES, ids=[f"{run}-{m.__name__.split('.')[-1]}" for run, m in CASES])
def test_every_text_and_curve_of_a_figure_can_be_seen(runs, run, module):
    table = module.drawn(**runs[run][module])
    if module in ROWS:
        table = table[table["space"].isin(RUNS[run][0][:2])]
    assert faults(module.figure(table)) == []


def test_faults_are_found():
    with style.look():
        picture = Figure(figsize=(6, 3))
        left, right = picture.add_axes((0.1, 0.2, 0.3, 0.6)), picture.add_axes((0.6, 0.2, 0.3, 0.6))
        left.plot([0, 1], [0, 1], label="a curve")
        left.legend(loc="upper right")
        right.text(0.1, 0.5, "one text")
        right.text(0.12, 0.5, "another")
        picture.text(0.95, 0.95, "a long text at the edge")
        picture.text(0.2, 0.3, "no panel's")
    assert faults(picture) == [
        "'a long text at the edge' is cut by the edge",
        "'one text' overlaps 'another'",
        '"no panel\'s" lies on another panel',
        "the legend of 'a curve' covers the curve a curve",
    ]
