"""The paper's Sec. 4.1, Figs. 4 and 8: predictions and velocities along a trajectory."""

import numpy as np

from twostage.report.claims.claim import (
    BANDS,
    CHOSEN,
    NAVIGATION,
    NOT_TESTED,
    REFINEMENT,
    Claim,
    Finding,
    above,
    below,
    within,
)
from twostage.report.results import curves
from twostage.report.results.posterior import SATURATED

ORACLE = "oracle"


NEAR_MEAN = 0.25  # of the distance to the end: 6% in squares
SOON = 0.1  # the transition is taken to last at most this long after the posterior saturates
EARLY_AND_MID = 2 / 3  # of refinement
STILL = 1e-5  # of the velocity's norm: a prediction that is no further from the end than this is there, up to rounding


def _of_models(judge):
    """A check that calls ``judge(run, space, rows, oracle)`` for every model in every space, as case "space, model".

    rows: the model's trajectory in order of t; oracle: the oracle's trajectory, or None. A model that predicts the end
    from the start, as one that knows a single image does, has nothing that settles: it is not tested.
    """

    def check(run):
        findings = []
        for space, table in run.paths_of_samples.groupby("space", sort=False):
            fields = {name: rows.sort_values("t") for name, rows in table.groupby("field", sort=False)}
            oracle = fields.pop(ORACLE, None)
            for model, rows in fields.items():
                still = rows["to_end"].max() <= STILL * rows["norm"].max()
                note = "it predicts the end from the start, up to rounding: nothing settles"
                found = Finding("", NOT_TESTED, note=note) if still else judge(run, space, rows, oracle)
                findings.append(Finding(f"{space}, {model}", found.verdict, found.estimate, found.note))
        return findings

    return check


def _starts_at_class_mean(run, space, rows, oracle):
    mean, end = (curves.at(rows["t"], rows[name], rows[f"{name}_sem"], 0.0) for name in ("to_class_mean", "to_end"))
    if rows["t"].iloc[0] > 0:
        return Finding("", NOT_TESTED, note="the trajectory does not start at t = 0")
    share = curves.ratio(mean, end)
    return Finding(
        "", below(share, NEAR_MEAN), share, f"{mean.value:.3g} to the class mean, {end.value:.3g} to the end"
    )


CLASS_MEAN_AT_THE_PRIOR = Claim(
    id="class-mean-at-the-prior",
    stage=NAVIGATION,
    section="4.1",
    statement="One Euler step from the prior predicts the class mean.",
    paper="Fig. 8, by eye",
    figure="fig8",
    quantity="distance of the prediction at t = 0 to the class mean, divided by that to the trajectory's end",
    rule=f"holds if the whole interval is at most {NEAR_MEAN:.0%} ({NEAR_MEAN**2:.0%} in squares)",
    form="share",
    needs=("trajectories",),
    check=_of_models(_starts_at_class_mean),
)


def half_left(rows, measure):
    """Time after which less than half of the distance to the end is left, an Estimate."""
    return curves.crossing(rows["t"], -rows[f"{measure}_left"], rows[f"{measure}_left_sem"], -0.5)


def _layout_settles(run, space, rows, oracle):
    split, saturation = run.stages(space)
    time = half_left(rows, "layout_to_end")
    verdict = within(time, split / 2, saturation + SOON)
    return Finding("", verdict, time, f"split {split:.3f}, top-1 weight at {SATURATED} from t = {saturation:.3f}")


LAYOUT_SETTLES = Claim(
    id="layout-settles",
    section="4.1",
    statement="The layout of the predicted image settles near the transition.",
    paper="about t = 0.2 with the split at 0.1, Fig. 8, by eye",
    figure="fig8",
    quantity="time after which less than half of the layout's distance to the end is left",
    rule=f"holds if the whole interval lies between half the split and {SOON} after the time at which the top-1 weight "
    f"reaches {SATURATED}",
    form="time",
    needs=("trajectories", "posterior", "transition", "split"),
    check=_of_models(_layout_settles),
)


def _layout_before_details(run, space, rows, oracle):
    layout, whole = (half_left(rows, measure) for measure in ("layout_to_end", "to_end"))
    lead = curves.difference(whole, layout)
    return Finding(
        "", above(lead, 0.0), lead, f"half is left at {layout.value:.3f} of the layout, {whole.value:.3f} of all"
    )


LAYOUT_BEFORE_DETAILS = Claim(
    id="layout-before-details",
    section="4.1",
    statement="The layout settles before the details.",
    paper="Fig. 8, by eye",
    figure="fig8",
    quantity="time at which half of the distance to the end is left, whole latent minus layout",
    rule=f"holds if the whole interval is above zero; {BANDS}",
    form="time",
    needs=("trajectories",),
    check=_of_models(_layout_before_details),
)


def _later_than_oracle(run, space, rows, oracle):
    if oracle is None:
        return Finding("", NOT_TESTED, note="no trajectory of the oracle to compare with")
    model, ideal = half_left(rows, "to_end"), half_left(oracle, "to_end")
    later = curves.difference(model, ideal)
    return Finding("", above(later, 0.0), later, f"model {model.value:.3f}, oracle {ideal.value:.3f}")


MODEL_TRANSITION_LATER = Claim(
    id="model-transition-later",
    section="4.1",
    statement="The model's transition comes slightly later than the oracle's.",
    paper="about 0.2 against 0.1, by eye",
    figure="fig8",
    quantity="time at which half of the distance to the end is left, model minus oracle",
    rule=f"holds if the whole interval is above zero; {BANDS}",
    form="time",
    needs=("trajectories",),
    check=_of_models(_later_than_oracle),
)


def _norm_peaks(run, space, rows, oracle):
    split = rows["split"].iloc[0]
    late = split + EARLY_AND_MID * (1 - split)
    inside = (rows["t"] >= split) & (rows["t"] <= late)
    sides = [rows[chosen] for chosen in (inside, ~inside)]
    if any(part.empty for part in sides):
        return Finding("", NOT_TESTED, note="no split, or no times on one side of it")
    peak, rest = (part["norm"].to_numpy() for part in sides)
    errors = np.hypot(*np.meshgrid(*(part["norm_sem"] for part in sides), indexing="ij"))
    lead = curves.lead(peak[:, None] - rest, errors)
    time, other = (part.loc[part["norm"].idxmax(), "t"] for part in sides)
    note = f"{peak.max():.3g} at t = {time:.2f} in [{split:.2f}, {late:.2f}], {rest.max():.3g} at t = {other:.2f}"
    note += " outside"
    return Finding("", above(lead, 0.0), lead, note)


NORMS_PEAK_IN_REFINEMENT = Claim(
    id="norms-peak-in-refinement",
    stage=REFINEMENT,
    section="4.1",
    statement="The model's velocity norm peaks in early and mid refinement.",
    paper="Fig. 8, by eye",
    figure="fig8",
    quantity="highest norm in the first two thirds of refinement minus the highest elsewhere",
    rule=f"holds if the whole interval is above zero; {CHOSEN}; {BANDS}",
    needs=("trajectories", "split"),
    check=_of_models(_norm_peaks),
)
