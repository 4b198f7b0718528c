"""The paper's Secs. 4.1, 4.2, 5.1 and 5.2, Apps. B and F: what sampled images say about the two stages."""

import math
from itertools import pairwise

import numpy as np

from twostage.report import convergence, curves, results_sampling
from twostage.report.claim import (
    CHOSEN,
    FAILS,
    HOLDS,
    NOT_TESTED,
    UNDECIDED,
    Claim,
    Finding,
    above,
    below,
    deciding,
    exactly,
    within,
)
from twostage.report.claims_swap import SEEDS
from twostage.report.contrast import Distances

PIXEL, ORACLE = "pixel", "oracle"
MODERATE = 0.3  # shifts from here to below 1 count as moderate
NEAR = 0.1  # how far from the split an interval still touches the transition
UNIFORM = "1"
STEPS = 50  # of the paper's schedule
BLOCKS = 10  # of a training's steps: neighbouring ones share what the machine did meanwhile


def _name(space, features, usual="classifier"):
    return space if features == usual else f"{space}, {features}"


def _difference(distances, first, second):
    """Mean distance of the plans ``first`` minus that of the plans ``second``, an Estimate paired by seed."""
    weights = {name: 1 / len(first) for name in first}
    for name in second:
        weights[name] = weights.get(name, 0) - 1 / len(second)
    return distances.contrast(weights)


# ---------------------------------------------------------------------------------------------- timestep shift (Tab. 2)


def _shifts(judge):
    """A check that calls ``judge(case, shifts, Distances, means)`` for every space and features with uniform steps."""

    def check(run):
        findings = []
        for (space, features), rows in run.shifts.groupby(["space", "features"], sort=False):
            case, distances = _name(space, features), Distances.of(rows, [f"{s:g}" for s in rows["shift"]])
            if UNIFORM not in distances.values or distances.values.empty:
                findings.append(Finding(case, NOT_TESTED, note="no uniform steps (s = 1) to compare with"))
            else:
                findings.append(judge(case, sorted(set(rows["shift"])), distances))
        return findings

    return check


def _moderate_better(case, shifts, distances):
    moderate = [f"{s:g}" for s in shifts if MODERATE <= s < 1]
    if not moderate:
        return Finding(case, NOT_TESTED, note=f"no shift from {MODERATE} to below 1")
    change = _difference(distances, moderate, [UNIFORM])
    means = distances.values.mean()
    note = f"s = {', '.join(moderate)} against 1; lowest of all at s = {means.idxmin()}: {means.min():.4g}"
    return Finding(case, below(change, 0.0), change, f"{note}, at s = 1: {means[UNIFORM]:.4g}")


def _extremes_worse(case, shifts, distances):
    extremes = [f"{s:g}" for s in (shifts[0], shifts[-1]) if s < MODERATE or s >= 1 / MODERATE]
    if len(extremes) < 2:
        return Finding(case, NOT_TESTED, note="no extreme shift on both sides")
    cost = distances.lead([UNIFORM], extremes)
    note = ", ".join(f"s = {name}: {distances.contrast({name: 1, UNIFORM: -1}).value:+.3g}" for name in extremes)
    return Finding(case, above(cost, 0.0), cost, note)


def _shares(run):
    known = run.shifts.dropna(subset="paper_share")
    known = known[known["steps"] == STEPS]
    if known.empty:
        return [Finding("", NOT_TESTED, note=f"no shift of the paper with {STEPS} steps")]
    off = exactly((known["share_before_0.2"] - known["paper_share"]).abs().max())
    shares = known.drop_duplicates("shift")
    note = ", ".join(f"s = {s:g}: {share:.0%}" for s, share in zip(shares["shift"], shares["share_before_0.2"]))
    return [Finding(f"{STEPS} steps", below(off, 0.005), off, note)]


# ------------------------------------------------------------------------------------------- guidance interval (Tab. 3)


def _guidance(judge):
    """A check that calls ``judge(case, plans, Distances)`` for every space and features.

    plans: DataFrame by plan, with low, high, kind and split.
    """

    def check(run):
        findings = []
        for (space, features), rows in run.guidance.groupby(["space", "features"], sort=False):
            plans = rows.drop_duplicates("plan").set_index("plan")
            findings.append(judge(_name(space, features), plans, Distances.of(rows, rows["plan"])))
        return findings

    return check


def _words(plan):
    return f"[{plan['low']:.3g}, {plan['high']:.3g}]"


def _best_in_transition(case, plans, distances):
    short, means = plans[plans["kind"] == "short"], distances.values.mean()
    split = plans["split"].iloc[0]
    touches = (short["low"] < split + NEAR - 1e-9) & (short["high"] > split - NEAR + 1e-9)
    inside, outside = (means[short.index[chosen & short.index.isin(means.index)]] for chosen in (touches, ~touches))
    if not math.isfinite(split) or inside.empty or outside.empty:
        return Finding(case, NOT_TESTED, note="no split, or no short intervals at it and away from it")
    best, other = inside.idxmin(), outside.idxmin()
    lead = distances.lead(list(inside.index), list(outside.index))
    note = f"{means[best]:.4g} on {_words(short.loc[best])}, {means[other]:.4g} on {_words(short.loc[other])}"
    none = plans.index[plans["kind"] == "none"]
    note += f", {means[none[0]]:.4g} without" if len(none) else ""
    return Finding(case, above(lead, 0.0), lead, f"{note}; split {split:.3f}")


def _start_left_out(case, plans, distances):
    wide = plans[plans["kind"] == "wide"]
    later = sorted(set(wide.loc[wide["low"] > 0, "low"]))
    by_ends = {(row["low"], row["high"]): name for name, row in wide.iterrows()}
    for low in later:
        twins = [
            (by_ends[0.0, high], name)
            for (start, high), name in by_ends.items()
            if start == low and (0.0, high) in by_ends
        ]
        if twins:
            gain = _difference(distances, [whole for whole, _ in twins], [left for _, left in twins])
            note = f"[0, b] minus [{low:g}, b], {len(twins)} ends b"
            return Finding(case, above(gain, 0.0), gain, note)
    return Finding(case, NOT_TESTED, note="no wide intervals with and without the start")


def _reaching_mid_refinement(case, plans, distances):
    wide, split = plans[plans["kind"] == "wide"], plans["split"].iloc[0]
    middle = (split + 1) / 2
    reach, stop = [], []
    for _, rows in wide.groupby("low"):
        far = rows["high"] >= middle - 1e-9
        if far.any() and not far.all():
            reach += list(rows.index[far])
            stop += list(rows.index[~far])
    if not reach:
        return Finding(
            case, NOT_TESTED, note="no split, or no wide intervals that reach mid refinement and that do not"
        )
    gain = _difference(distances, stop, reach)
    means = distances.values.mean()[wide.index]
    note = f"middle of refinement {middle:.3f}; lowest {means.min():.4g} on {_words(wide.loc[means.idxmin()])}"
    return Finding(case, above(gain, 0.0), gain, note)


# ------------------------------------------------------------------------------------------------ trajectories (Fig. 8)


def _of_models(judge):
    """A check that calls ``judge(run, space, rows, oracle)`` for every model in every space, as case "space, model".

    rows: the model's trajectory in order of t; oracle: that of the oracle, or None.
    """

    def check(run):
        findings = []
        for space, table in run.paths_of_samples.groupby("space", sort=False):
            fields = {name: rows.sort_values("t") for name, rows in table.groupby("field", sort=False)}
            oracle = fields.pop(ORACLE, None)
            for model, rows in fields.items():
                found = judge(run, space, rows, oracle)
                findings.append(Finding(f"{space}, {model}", found.verdict, found.estimate, found.note))
        return findings

    return check


def _starts_at_class_mean(run, space, rows, oracle):
    mean, end = (curves.at(rows["t"], rows[name], rows[f"{name}_sem"], 0.0) for name in ("to_class_mean", "to_end"))
    if rows["t"].iloc[0] > 0:
        return Finding("", NOT_TESTED, note="the trajectory does not start at t = 0")
    share = curves.ratio(mean, end)
    return Finding("", below(share, 0.25), share, f"{mean.value:.3g} to the class mean, {end.value:.3g} to the end")


def _half_left(rows, measure):
    """Time from which on less than half of the distance to the end is left, an Estimate."""
    return curves.crossing(rows["t"], -rows[f"{measure}_left"], rows[f"{measure}_left_sem"], -0.5)


def _layout_settles(run, space, rows, oracle):
    split, saturation = run.stages(space)
    time = _half_left(rows, "layout_to_end")
    verdict = within(time, split / 2, saturation + 0.1)
    return Finding("", verdict, time, f"split {split:.3f}, top-1 weight at 0.95 from t = {saturation:.3f}")


def _layout_before_details(run, space, rows, oracle):
    layout, whole = (_half_left(rows, measure) for measure in ("layout_to_end", "to_end"))
    lead = curves.difference(whole, layout)
    return Finding(
        "", above(lead, 0.0), lead, f"half is left at {layout.value:.3f} of the layout, {whole.value:.3f} of all"
    )


def _later_than_oracle(run, space, rows, oracle):
    if oracle is None:
        return Finding("", NOT_TESTED, note="no trajectory of the oracle beside")
    model, ideal = _half_left(rows, "to_end"), _half_left(oracle, "to_end")
    later = curves.difference(model, ideal)
    return Finding("", above(later, 0.0), later, f"model {model.value:.3f}, oracle {ideal.value:.3f}")


def _norm_peaks(run, space, rows, oracle):
    split = rows["split"].iloc[0]
    late = 1 - (1 - split) / 3
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


def _two_stages_in_flux(run):
    rows = run.flux_trajectories
    if 1 not in set(rows["shift"]):
        return [Finding("Flux", NOT_TESTED, note="no uniform steps (s = 1)")]
    rows = rows[rows["shift"] == 1]
    layout, whole = (_half_left(rows, measure) for measure in ("layout_to_end", "to_end"))
    lead = curves.difference(whole, layout)
    note = (
        f"{rows['prompts'].iloc[0]} prompts; half is left at {layout.value:.3f} of the layout, {whole.value:.3f} of all"
    )
    return [Finding("Flux", above(lead, 0.0), lead, note)]


# ------------------------------------------------------------------------------------ memorisation (Figs. 5, 6, App. F)


def share_of(value, count):
    """A share of ``count`` samples with Wilson's 95% interval, an Estimate; NaN stays NaN."""
    if not math.isfinite(value) or not count:
        return curves.Estimate(math.nan, math.nan, math.nan)
    z = curves.CONFIDENCE
    centre, scale = value + z**2 / (2 * count), 1 + z**2 / count
    error = z * math.sqrt(value * (1 - value) / count + z**2 / (4 * count**2))
    return curves.Estimate(
        value, *np.clip([(centre - error) / scale, (centre + error) / scale], [0, value], [value, 1])
    )


def _measured(row, name):
    error = curves.CONFIDENCE * row[f"{name}_sem"]
    return curves.Estimate(row[name], row[name] - error, row[name] + error)


def _memorised(source, judge, pixels=None):
    """A check that calls ``judge(case, points, control)`` for each space and features of ``run``'s table ``source``.

    points: a row a time; control: the held-out images' row, or None. pixels: True for pixel distances alone, False for
    features alone, None for both.
    """

    def check(run):
        table, findings = getattr(run, source), []
        for space, features in table[["space", "features"]].drop_duplicates().itertuples(index=False):
            if pixels is None or pixels == (features == PIXEL):
                points = results_sampling.of_plans(table, space, features)
                control = results_sampling.control_of(table, space, features)
                findings.append(judge(_name(space, features, PIXEL), points, control))
        return findings or [
            Finding("", NOT_TESTED, note="no distances in features" if pixels is False else "no distances")
        ]

    return check


def _last_switch(points):
    """The row of the latest time before 1, or None."""
    late = points[points["t"] < 1]
    return late.iloc[-1] if len(late) > 1 else None


def _early_switch(points):
    """The row of the last time in the first half of navigation (the first time where none is)."""
    early = points[points["t"] <= points["split"] / 2]
    return early.iloc[-1] if len(early) else points.iloc[0]


def _retrieves(case, points, control):
    row = points[points["t"] == 1]
    if row.empty:
        return Finding(case, NOT_TESTED, note="no samples of the oracle throughout")
    row = row.iloc[0]
    shares = [share_of(row[name], row["samples"]) for name in ("retrieved", "within_one_grey_level")]
    share, verdict = deciding((share, above(share, 0.99)) for share in shares)
    note = f"{row['samples']:,} samples: {shares[0].value:.1%} nearest to the image followed"
    return Finding(case, verdict, share, f"{note}, {shares[1].value:.1%} within one grey level of it")


def _late_replicates(case, points, control):
    row = _last_switch(points)
    if row is None:
        return Finding(case, NOT_TESTED, note="no late switch")
    share = share_of(row["retrieved"], row["samples"])
    note = f"t_switch = {row['t']:g}, {row['samples']:,} samples; distance {row['followed_distance']:.3g}"
    return Finding(case, above(share, 0.95), share, f"{note}, copies (d1/d2 < 1/3): {row['copied']:.3g}")


def _early_novel(case, points, control):
    row = _early_switch(points)
    share = share_of(row["copied"], row["samples"])
    note = f"t_switch = {row['t']:g}: {row['nearest_distance']:.3g} to the nearest training image"
    note += "" if control is None else f", held-out images {control['nearest_distance']:.3g}"
    return Finding(case, below(share, 0.05), share, note)


def _not_from_scratch(case, points, control):
    row = points[points["t"] == 0]
    if row.empty:
        return Finding(case, NOT_TESTED, note="no samples of the model alone")
    row = row.iloc[0]
    share = share_of(row["copied"], row["samples"])
    return Finding(case, below(share, 0.05), share, f"{row['samples']:,} samples")


def _closer_with_time(case, points, control):
    if len(points) < 2:
        return Finding(case, NOT_TESTED, note="one time only")
    distances = [_measured(row, "followed_distance") for _, row in points.iterrows()]
    least = curves.least(curves.difference(before, after) for before, after in pairwise(distances))
    fall = curves.difference(distances[0], distances[-1])
    steady = FAILS if least.high < 0 else HOLDS if least.value >= 0 else UNDECIDED
    number, verdict = deciding([(least, steady), (fall, above(fall, 0.0))])
    note = ", ".join(f"{t:g}: {distance.value:.3g}" for t, distance in zip(points["t"], distances))
    return Finding(case, verdict, fall if verdict == HOLDS else number, note)


def _late_close_in_features(case, points, control):
    late, early = _last_switch(points), _early_switch(points)
    if late is None or late["t"] <= early["t"]:
        return Finding(case, NOT_TESTED, note="no early and late switch")
    near, far = (_measured(row, "followed_distance") for row in (late, early))
    note = f"{near.value:.3g} at t_switch = {late['t']:g}, {far.value:.3g} at {early['t']:g}"
    share = curves.ratio(near, far)
    return Finding(case, below(share, 0.5), share, note)


def _layout_kept(case, points, control):
    row = points.iloc[-1]
    if control is None:
        return Finding(case, NOT_TESTED, note="no held-out images to compare with")
    kept, other = _measured(row, "followed_distance"), _measured(control, "nearest_distance")
    share = curves.ratio(kept, other)
    note = (
        f"t_resume = {row['t']:g}: {kept.value:.3g}; held-out images to their nearest training image {other.value:.3g}"
    )
    return Finding(case, below(share, 0.5), share, note)


def _details_vary(case, points, control):
    row = points.iloc[-1]
    share = share_of(row["within_one_grey_level"], row["samples"])
    return Finding(case, below(share, 0.05), share, f"t_resume = {row['t']:g}: {row['followed_distance']:.3g} apart")


# ---------------------------------------------------------------------------------- oracle-supervised training (App. B)


def _twins(judge):
    """A check that calls ``judge(case, {step: (CFM losses, oracle-supervised losses)})`` for every space and twins.

    The losses are means over t, one a pair (x_0, x_1), the same pairs for both: (pairs,) arrays.
    """

    def check(run):
        findings = []
        for (space, _), rows in run.twins.groupby(["space", "pair"], sort=False):
            losses = {
                step: tuple(
                    run.pairs_of[space].means(own[own["target"] == target], 0.0, 1.0)
                    for target in (convergence.CFM, convergence.ORACLE)
                )
                for step, own in rows.groupby("step")
            }
            names = dict(zip(rows["target"], rows["model"]))
            findings.append(judge(f"{space}, {names[convergence.ORACLE]} for {names[convergence.CFM]}", losses))
        return findings

    return check


def _feasible(case, losses):
    steps = sorted(losses)
    if len(steps) < 2:
        return Finding(case, NOT_TESTED, note="one snapshot only")
    fall = curves.mean_of(losses[steps[0]][1] - losses[steps[-1]][1])
    cfm, oracle = losses[steps[-1]]
    share = curves.ratio_of(oracle, cfm)
    ends = f"{steps[-1]:,} steps: {oracle.mean():.3g} against {cfm.mean():.3g}"
    note = f"{ends}; falls by {fall.value:.3g} from {steps[0]:,}"
    fell = above(fall, 0.0)
    if fell != HOLDS:
        return Finding(case, fell, None, f"{note} [{fall.low:.3g}, {fall.high:.3g}], not clear of zero")
    return Finding(case, below(share, 1.1), share, note)


def _same_pace(case, losses):
    shares = {step: curves.ratio_of(oracle, cfm) for step, (cfm, oracle) in sorted(losses.items())}
    ends = [curves.least(shares.values()), curves.greatest(shares.values())]
    ends = sorted(ends, key=lambda end: -abs(math.log(end.value)) if end.value > 0 else -math.inf)
    worst, verdict = deciding((end, within(end, 0.8, 1.25)) for end in ends)
    note = ", ".join(f"{step:,}: {share.value:.3g}" for step, share in shares.items())
    return Finding(case, verdict, worst, note)


def _samples_alike(run):
    findings = []
    for (space, _, features), rows in run.twin_distances.groupby(["space", "pair", "features"], sort=False):
        names = dict(zip(rows["target"], rows["model"]))
        case = _name(f"{space}, {names[convergence.ORACLE]} for {names[convergence.CFM]}", features)
        common = convergence.common_steps(rows)
        if not common:
            findings.append(Finding(case, NOT_TESTED, note="no snapshot in common"))
            continue
        rows = rows[rows["step"] == common[-1]]
        distances = Distances.of(rows, rows["target"])
        excess = distances.contrast({convergence.ORACLE: 1, convergence.CFM: -1.1})
        means = distances.values.mean()
        note = f"{common[-1]:,} steps: {means[convergence.ORACLE]:.4g} against {means[convergence.CFM]:.4g}"
        findings.append(Finding(case, below(excess, 0.0), excess, note))
    return findings


def _costs(run):
    findings = []
    for space, path in run.supervised_log.items():
        taken = convergence.oracle_seconds(path)
        if len(taken) < BLOCKS:
            findings.append(Finding(space, NOT_TESTED, note=f"{len(taken)} timed lines in {path}"))
            continue
        blocks = np.array([block.sum(0) for block in np.array_split(taken, BLOCKS)])
        ratio = curves.ratio_of(blocks[:, 0], blocks[:, 0] - blocks[:, 1])
        note = f"{taken[:, 0].sum():.3g} s, of which the oracle took {taken[:, 1].sum():.3g}"
        findings.append(Finding(space, above(ratio, 2.0), ratio, note))
    return findings


PAIRED = "both are measured on the same pairs (x_0, x_1)"
BANDS = "intervals of two means are combined as if independent, though they share their samples: wider than needed"
STEADY = (
    "holds if the mean never rises and the whole fall is clear of zero; fails if a rise is clear of it. Where it "
    f"rises, the least fall from one time to the next is shown, negative; {BANDS}"
)
APART = "the lowest are chosen on the half of the samples on which they are not compared"
SHARE = "95% interval by Wilson's formula"

CLAIMS = [
    Claim(
        id="class-mean-at-the-prior",
        section="4.1",
        statement="One Euler step from the prior predicts the class mean.",
        paper="Fig. 8, by eye",
        figure="fig8",
        quantity="distance of the prediction at t = 0 to the class mean, over that to the trajectory's end",
        rule="holds if the whole interval is at most 25% (6% in squares)",
        form="share",
        needs=("trajectories",),
        check=_of_models(_starts_at_class_mean),
    ),
    Claim(
        id="layout-settles",
        section="4.1",
        statement="The layout of the predicted image settles about the transition.",
        paper="about t = 0.2 with the split at 0.1, Fig. 8, by eye",
        figure="fig8",
        quantity="time from which on less than half of the layout's distance to the end is left",
        rule="holds if the whole interval lies between half the split and 0.1 after the top-1 weight reached 0.95",
        form="time",
        needs=("trajectories", "posterior", "transition", "split"),
        check=_of_models(_layout_settles),
    ),
    Claim(
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
    ),
    Claim(
        id="model-transition-later",
        section="4.1",
        statement="The transition in the model's behaviour comes slightly later than the oracle's.",
        paper="about 0.2 against 0.1, by eye",
        figure="fig8",
        quantity="time at which half of the distance to the end is left, model minus oracle",
        rule=f"holds if the whole interval is above zero; {BANDS}",
        form="time",
        needs=("trajectories",),
        check=_of_models(_later_than_oracle),
    ),
    Claim(
        id="norms-peak-in-refinement",
        section="4.1",
        statement="The model's velocity norm peaks in early and mid refinement.",
        paper="Fig. 8, by eye",
        figure="fig8",
        quantity="highest norm in the first two thirds of refinement minus the highest elsewhere",
        rule=f"holds if the whole interval is above zero; {CHOSEN}; {BANDS}",
        needs=("trajectories", "split"),
        check=_of_models(_norm_peaks),
    ),
    Claim(
        id="oracle-retrieves",
        section="4.2",
        statement="Sampling with the oracle throughout retrieves a training image.",
        paper="Fig. 5, by eye",
        figure="fig5",
        quantity="share of samples nearest to the training image followed, or within one grey level of it: the lower",
        rule=f"holds if both are above 99% with their whole intervals; {SHARE}",
        form="share",
        needs=("memorization_switch",),
        check=_memorised("switched", _retrieves, pixels=True),
    ),
    Claim(
        id="late-switch-replicates",
        section="4.2",
        statement="Switching from the oracle to the model late replicates the training image.",
        paper="from about t = 0.2 on, by eye",
        figure="fig5",
        quantity="share of samples whose nearest training image is the one followed, latest switch before t = 1",
        rule=f"holds if the whole interval is above 95%; {SHARE}",
        form="share",
        needs=("memorization_switch",),
        check=_memorised("switched", _late_replicates, pixels=True),
    ),
    Claim(
        id="early-switch-is-novel",
        section="4.2",
        statement="Switching from the oracle to the model early gives novel images.",
        paper="up to about t = 0.1, by eye",
        figure="fig5",
        quantity="share of samples that are copies (d1/d2 < 1/3), last switch time in the first half of navigation",
        rule=f"holds if the whole interval is at most 5%; {SHARE}",
        form="share",
        needs=("memorization_switch", "split"),
        check=_memorised("switched", _early_novel),
    ),
    Claim(
        id="from-scratch-is-novel",
        section="4.2",
        statement="Sampled from the prior, the model reproduces no training images.",
        paper="highly unlikely where the data set exceeds the model's capacity to memorise",
        figure="fig5",
        quantity="share of samples of the model alone that are copies (d1/d2 < 1/3)",
        rule=f"holds if the whole interval is at most 5%; {SHARE}",
        form="share",
        needs=("memorization_switch",),
        check=_memorised("switched", _not_from_scratch),
    ),
    Claim(
        id="later-switch-is-closer",
        section="4.2",
        statement="The later the switch, the closer the samples are to the training image followed.",
        paper="Fig. 5, by eye",
        figure="fig_memorization",
        quantity="mean distance to the image followed, earliest switch minus latest",
        rule=STEADY,
        needs=("memorization_switch",),
        check=_memorised("switched", _closer_with_time),
    ),
    Claim(
        id="resumed-layout-is-kept",
        section="4.2",
        statement="Resumed late from unseen images, the model keeps their layout.",
        paper="from about t = 0.2 on, by eye",
        figure="fig6",
        quantity="distance to the unseen image at the latest resume, over that of unseen images to the training images",
        rule=f"holds if the whole interval is at most one half; {BANDS}",
        form="share",
        needs=("memorization_resume",),
        check=_memorised("resumed", _layout_kept, pixels=True),
    ),
    Claim(
        id="resumed-details-vary",
        section="4.2",
        statement="Resumed late from unseen images, the model varies details.",
        paper="slightly, by eye",
        figure="fig6",
        quantity="share of samples within one grey level of the unseen image, latest resume",
        rule=f"holds if the whole interval is at most 5%; {SHARE}",
        form="share",
        needs=("memorization_resume",),
        check=_memorised("resumed", _details_vary, pixels=True),
    ),
    Claim(
        id="later-resume-is-closer",
        section="4.2",
        statement="The later the model resumes, the closer the samples are to the unseen image.",
        paper="Fig. 6, by eye",
        figure="fig_memorization",
        quantity="mean distance to the unseen image, earliest resume minus latest",
        rule=STEADY,
        needs=("memorization_resume",),
        check=_memorised("resumed", _closer_with_time),
    ),
    Claim(
        id="shift-has-an-optimum",
        section="5.1",
        statement="More steps in navigation help up to a point: moderate shifts below 1 beat uniform steps.",
        paper="gFID 12.46, 12.23, 12.66 at s = 0.7, 0.5, 0.3; 12.99 at s = 1",
        figure="tab2",
        quantity="mean distance over the shifts from 0.3 to below 1, minus that of uniform steps",
        rule=f"holds if the whole interval is at most zero; {SEEDS}",
        needs=("tab2",),
        check=_shifts(_moderate_better),
    ),
    Claim(
        id="extreme-shifts-are-worse",
        section="5.1",
        statement="Extreme shifts are worse than uniform steps, in either direction.",
        paper="gFID 19.91 at s = 0.1, 18.89 at s = 4; 12.99 at s = 1",
        figure="tab2",
        quantity="distance of the extreme shift minus that of uniform steps, the smaller of the two",
        rule=f"extreme: below 0.3, above 3.3; holds if the whole interval is above zero; {APART}; {SEEDS}",
        needs=("tab2",),
        check=_shifts(_extremes_worse),
    ),
    Claim(
        id="shares-of-the-shifted-steps",
        section="App. D",
        statement="Of 50 steps shifted by s, these shares start at t′ ≤ 0.2.",
        paper="6, 12, 22, 28, 34, 46, 72% for s = 4, 2, 1, 0.7, 0.5, 0.3, 0.1",
        figure="tab2",
        quantity="largest difference from the paper's share",
        rule="holds if it is at most half a percentage point at every shift of the paper that was run",
        form="share",
        needs=("tab2",),
        check=_shares,
    ),
    Claim(
        id="guidance-in-the-transition",
        section="5.2",
        statement="The best short guidance interval lies in the transition.",
        paper="gFID 5.21 on [0.1, 0.2], 12.99 without guidance",
        figure="tab3",
        quantity="distance of the best short interval away from the split minus that of the best one at it",
        rule="at it: overlaps the 0.1 on either side of the split. Holds if the whole interval is above zero; "
        f"{APART}; {SEEDS}",
        needs=("tab3", "split"),
        check=_guidance(_best_in_transition),
    ),
    Claim(
        id="guidance-not-at-the-start",
        section="5.2",
        statement="Leaving the very start without guidance helps.",
        paper="2.80 to 2.97 gFID for the best wide intervals, whose ends were lost",
        figure="tab3",
        quantity="mean distance of the wide intervals from t = 0, minus that of those with the same ends from 0.1",
        rule=f"holds if the whole interval is above zero; {SEEDS}",
        needs=("tab3",),
        check=_guidance(_start_left_out),
    ),
    Claim(
        id="guidance-to-mid-refinement",
        section="5.2",
        statement="The best wide guidance intervals span early and mid refinement.",
        paper="2.80 to 2.97 gFID for the best wide intervals, whose ends were lost",
        figure="tab3",
        quantity="mean distance of wide intervals that end before the middle of refinement, minus that of those beyond",
        rule=f"same starts on both sides; holds if the whole interval is above zero; {SEEDS}",
        needs=("tab3", "split"),
        check=_guidance(_reaching_mid_refinement),
    ),
    Claim(
        id="oracle-supervision-works",
        section="App. B",
        statement="Training on the oracle velocity is feasible: it ends as close to it as training on the CFM target.",
        paper="by eye",
        figure="fig_oracle_supervised",
        quantity="oracle loss, mean over t, at the last common snapshot, over that of the CFM twin",
        rule=f"holds if it fell in training, clear of zero, and the whole interval is at most 1.1; {PAIRED}",
        needs=("oracle_supervised", "oracle_loss", "pair_errors", "split"),
        check=_twins(_feasible),
    ),
    Claim(
        id="oracle-supervision-keeps-pace",
        section="App. B",
        statement="Training on the oracle velocity converges like training on the CFM target.",
        paper="by eye",
        figure="fig_oracle_supervised",
        quantity="oracle loss, mean over t, over that of the CFM twin, where they differ most",
        rule=f"holds if at every common snapshot the whole interval lies between 0.8 and 1.25; {CHOSEN}; {PAIRED}",
        needs=("oracle_supervised", "oracle_loss", "pair_errors", "split"),
        check=_twins(_same_pace),
    ),
    Claim(
        id="oracle-supervision-samples-alike",
        section="App. B",
        statement="Samples of the oracle-supervised model are as good as those of its CFM twin.",
        paper="by eye",
        figure="fig_oracle_supervised",
        quantity="distance at the last common snapshot minus 1.1 times that of the CFM twin",
        rule=f"holds if the whole interval is at most zero; {SEEDS}",
        needs=("oracle_supervised",),
        check=_samples_alike,
    ),
    Claim(
        id="oracle-supervision-costs",
        section="7.3",
        statement="Computing the oracle while training becomes a bottleneck.",
        paper="said to grow with the data set; stated without a number",
        figure="fig_oracle_supervised",
        quantity="seconds of the oracle-supervised training, over those that its oracle did not take",
        rule=(
            "measured within one training; holds if the whole interval is above 2: the oracle takes more than half of "
            f"the time; the interval is over {BLOCKS} blocks of steps. What it costs at other sizes of the data set, "
            "`estimate` says"
        ),
        needs=("supervised_log",),
        check=_costs,
    ),
    Claim(
        id="memorisation-by-switch-time",
        section="App. F",
        statement="In feature space samples switched late lie close to their training image, those switched early far.",
        paper="by DINO distance",
        figure="fig_memorization",
        quantity="distance to the image followed, latest switch before t = 1 over the last early one",
        rule="early: in the first half of navigation; holds if the whole interval is at most one half",
        form="share",
        needs=("memorization_switch", "split"),
        check=_memorised("switched", _late_close_in_features, pixels=False),
    ),
    Claim(
        id="stages-in-flux",
        section="App. H",
        statement="A large text-to-image model (Flux.1) shows the same two stages: the layout first, details after.",
        paper="by eye",
        figure="fig_flux",
        quantity="time at which half of the distance to the end is left, whole latent minus layout, uniform steps",
        rule=f"holds if the whole interval is above zero; {BANDS}",
        form="time",
        needs=("flux",),
        check=_two_stages_in_flux,
    ),
]
