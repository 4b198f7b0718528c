"""The paper's Sec. 4.2 and App. F, Figs. 5 and 6: which samples are copies of training images."""

import math
from itertools import pairwise

import numpy as np

from twostage.report.claims.claim import (
    BANDS,
    DATA,
    FAILS,
    HOLDS,
    NOT_TESTED,
    REFINEMENT,
    UNDECIDED,
    Claim,
    Finding,
    above,
    below,
    case_of,
    deciding,
)
from twostage.report.results import curves
from twostage.report.results.memorization import control_of, distances_of_plans

PIXEL = "pixel"
RETRIEVED, REPLICATED = 0.99, 0.95  # shares of samples
FEW = 0.05  # share of samples up to which something counts as not happening
HALF = 0.5  # of a distance
STEADY = (
    "holds if the mean never rises and the interval of the whole fall is above zero; fails if a rise is clear of zero. "
    f"If the mean rises, the smallest fall from one time to the next is shown, a negative number; {BANDS}"
)
SHARE = "95% interval by Wilson's formula"


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


def _memorized(source, judge, pixels=None):
    """A check that calls ``judge(case, points, control)`` for each space and features of ``run``'s table ``source``.

    points: one row per time; control: the row of the held-out images, or None. pixels: True for pixel distances alone,
    False for features alone, None for both.
    """

    def check(run):
        table, findings = getattr(run, source), []
        for space, features in table[["space", "features"]].drop_duplicates().itertuples(index=False):
            if pixels is None or pixels == (features == PIXEL):
                points = distances_of_plans(table, space, features)
                control = control_of(table, space, features)
                findings.append(judge(case_of(space, features, PIXEL), points, control))
        return findings or [
            Finding("", NOT_TESTED, note="no distances in features" if pixels is False else "no distances")
        ]

    return check


def _last_switch(points):
    """The row of the latest time before 1, or None."""
    late = points[points["t"] < 1]
    return late.iloc[-1] if len(late) > 1 else None


def _early_switch(points):
    """The row of the last time in the first half of navigation; the first row if there is none."""
    early = points[points["t"] <= points["split"] / 2]
    return early.iloc[-1] if len(early) else points.iloc[0]


def _retrieves(case, points, control):
    row = points[points["t"] == 1]
    if row.empty:
        return Finding(case, NOT_TESTED, note="no samples of the oracle alone")
    row = row.iloc[0]
    shares = [share_of(row[name], row["samples"]) for name in ("retrieved", "within_one_grey_level")]
    share, verdict = deciding((share, above(share, RETRIEVED)) for share in shares)
    note = f"{row['samples']:,} samples: {shares[0].value:.1%} nearest to the image followed"
    return Finding(case, verdict, share, f"{note}, {shares[1].value:.1%} within one grey level of it")


ORACLE_RETRIEVES = Claim(
    id="oracle-retrieves",
    stage=DATA,
    section="4.2",
    statement="Sampling with the oracle alone retrieves a training image.",
    paper="Fig. 5, by eye",
    figure="fig5",
    quantity="the lower of two shares of samples: nearest to the training image followed, within one grey level of it",
    rule=f"holds if the whole intervals of both shares are above {RETRIEVED:.0%}; {SHARE}",
    form="share",
    needs=("memorization_switch",),
    check=_memorized("switched", _retrieves, pixels=True),
)


def _late_replicates(case, points, control):
    row = _last_switch(points)
    if row is None:
        return Finding(case, NOT_TESTED, note="no late switch")
    share = share_of(row["retrieved"], row["samples"])
    note = f"t_switch = {row['t']:g}, {row['samples']:,} samples; distance {row['followed_distance']:.3g}"
    return Finding(case, above(share, REPLICATED), share, f"{note}, copies (d1/d2 < 1/3): {row['copied']:.3g}")


LATE_SWITCH_REPLICATES = Claim(
    id="late-switch-replicates",
    stage=REFINEMENT,
    section="4.2",
    statement="A late switch from the oracle to the model replicates the training image.",
    paper="from about t = 0.2 on, by eye",
    figure="fig5",
    quantity="share of samples whose nearest training image is the one followed, at the latest switch before t = 1",
    rule=f"holds if the whole interval is above {REPLICATED:.0%}; {SHARE}",
    form="share",
    needs=("memorization_switch",),
    check=_memorized("switched", _late_replicates, pixels=True),
)


def _early_novel(case, points, control):
    row = _early_switch(points)
    share = share_of(row["copied"], row["samples"])
    note = f"t_switch = {row['t']:g}: {row['nearest_distance']:.3g} to the nearest training image"
    note += "" if control is None else f", held-out images {control['nearest_distance']:.3g}"
    return Finding(case, below(share, FEW), share, note)


EARLY_SWITCH_IS_NOVEL = Claim(
    id="early-switch-is-novel",
    section="4.2",
    statement="An early switch from the oracle to the model gives novel images.",
    paper="up to about t = 0.1, by eye",
    figure="fig5",
    quantity="share of samples that are copies (d1/d2 < 1/3), at the last switch time in the first half of navigation",
    rule=f"holds if the whole interval is at most {FEW:.0%}; {SHARE}",
    form="share",
    needs=("memorization_switch", "split"),
    check=_memorized("switched", _early_novel),
)


def _not_from_scratch(case, points, control):
    row = points[points["t"] == 0]
    if row.empty:
        return Finding(case, NOT_TESTED, note="no samples of the model alone")
    row = row.iloc[0]
    share = share_of(row["copied"], row["samples"])
    return Finding(case, below(share, FEW), share, f"{row['samples']:,} samples")


FROM_SCRATCH_IS_NOVEL = Claim(
    id="from-scratch-is-novel",
    section="4.2",
    statement="The model alone, from the prior, reproduces no training images.",
    paper="highly unlikely where the data set exceeds the model's capacity to memorize",
    figure="fig5",
    quantity="share of samples of the model alone that are copies (d1/d2 < 1/3)",
    rule=f"holds if the whole interval is at most {FEW:.0%}; {SHARE}",
    form="share",
    needs=("memorization_switch",),
    check=_memorized("switched", _not_from_scratch),
)


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


LATER_SWITCH_IS_CLOSER = Claim(
    id="later-switch-is-closer",
    section="4.2",
    statement="The later the switch, the closer the samples are to the training image followed.",
    paper="Fig. 5, by eye",
    figure="fig_memorization",
    quantity="mean distance to the image followed, earliest switch minus latest switch",
    rule=STEADY,
    needs=("memorization_switch",),
    check=_memorized("switched", _closer_with_time),
)


LATER_RESUME_IS_CLOSER = Claim(
    id="later-resume-is-closer",
    section="4.2",
    statement="The later the model resumes, the closer the samples are to the unseen image.",
    paper="Fig. 6, by eye",
    figure="fig_memorization",
    quantity="mean distance to the unseen image, earliest resume time minus latest resume time",
    rule=STEADY,
    needs=("memorization_resume",),
    check=_memorized("resumed", _closer_with_time),
)


def _late_close_in_features(case, points, control):
    late, early = _last_switch(points), _early_switch(points)
    if late is None or late["t"] <= early["t"]:
        return Finding(case, NOT_TESTED, note="no early and late switch")
    near, far = (_measured(row, "followed_distance") for row in (late, early))
    note = f"{near.value:.3g} at t_switch = {late['t']:g}, {far.value:.3g} at {early['t']:g}"
    share = curves.ratio(near, far)
    return Finding(case, below(share, HALF), share, note)


MEMORIZATION_BY_SWITCH_TIME = Claim(
    id="memorisation-by-switch-time",
    section="App. F",
    statement="In feature space, samples switched late lie close to their training image, samples switched early far "
    "from it.",
    paper="by DINO distance",
    figure="fig_memorization",
    quantity="distance to the image followed: latest switch before t = 1, divided by the last early switch",
    rule="early: in the first half of navigation; holds if the whole interval is at most one half",
    form="share",
    needs=("memorization_switch", "split"),
    check=_memorized("switched", _late_close_in_features, pixels=False),
)


def _layout_kept(case, points, control):
    row = points.iloc[-1]
    if control is None:
        return Finding(case, NOT_TESTED, note="no held-out images to compare with")
    kept, other = _measured(row, "followed_distance"), _measured(control, "nearest_distance")
    share = curves.ratio(kept, other)
    note = (
        f"t_resume = {row['t']:g}: {kept.value:.3g}; held-out images to their nearest training image {other.value:.3g}"
    )
    return Finding(case, below(share, HALF), share, note)


RESUMED_LAYOUT_IS_KEPT = Claim(
    id="resumed-layout-is-kept",
    section="4.2",
    statement="A model that resumes late from unseen images keeps their layout.",
    paper="from about t = 0.2 on, by eye",
    figure="fig6",
    quantity="distance to the unseen image at the latest resume, divided by that of unseen images to their nearest "
    "training images",
    rule=f"holds if the whole interval is at most one half; {BANDS}",
    form="share",
    needs=("memorization_resume",),
    check=_memorized("resumed", _layout_kept, pixels=True),
)


def _details_vary(case, points, control):
    row = points.iloc[-1]
    share = share_of(row["within_one_grey_level"], row["samples"])
    return Finding(case, below(share, FEW), share, f"t_resume = {row['t']:g}: {row['followed_distance']:.3g} apart")


RESUMED_DETAILS_VARY = Claim(
    id="resumed-details-vary",
    stage=REFINEMENT,
    section="4.2",
    statement="A model that resumes late from unseen images varies details.",
    paper="slightly, by eye",
    figure="fig6",
    quantity="share of samples within one grey level of the unseen image, at the latest resume",
    rule=f"holds if the whole interval is at most {FEW:.0%}; {SHARE}",
    form="share",
    needs=("memorization_resume",),
    check=_memorized("resumed", _details_vary, pixels=True),
)
