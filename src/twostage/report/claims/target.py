"""The paper's Sec. 3: the two-stage target (Figs. 2 and 3)."""

from itertools import pairwise

import numpy as np

from twostage.report.claims.claim import CHOSEN, DATA, FAILS, NOT_TESTED, UNDECIDED, Claim, Finding, above, below
from twostage.report.results import curves, paper
from twostage.report.results.gaussians import SYNTHETIC, distance_to_paper, gaussian_curve, gaussian_pairs
from twostage.report.results.posterior import SATURATED, posterior_of, saturation_of

POSTERIOR = ("posterior", "transition")
CONCENTRATED, VANISHED, ONE = 0.95, 0.05, 0.98  # shares of the area, of the MSE at t = 0, of the weight
EARLY = 0.1  # the paper sees the split before this time
RISE = 1e-4  # of the MSE; anything smaller does not count as a rise
READ_OFF = 0.05  # of a weight
# The paper's scale: latents and classes like those of its Fig. 2.
PAPER_DIM, PAPER_SIZE = (3000, 10000), (1000, 2000)


def _by_space(judge):
    """A check that calls ``judge(run, space, rows of the pooled posterior)`` for every latent space."""

    def check(run):
        spaces = dict.fromkeys(run.posteriors["space"])
        return [judge(run, space, posterior_of(run.posteriors, space)) for space in spaces]

    return check


def _concentrated(run, space, rows):
    _, saturation = run.stages(space)
    share = curves.share_before(rows["t"], rows["mse"], rows["mse_sem"], saturation)
    return Finding(
        space, above(share, CONCENTRATED), share, f"top-1 weight reaches {SATURATED} at t = {saturation:.3f}"
    )


TARGETS_PART_EARLY = Claim(
    id="targets-part-early",
    stage=DATA,
    section="3",
    statement="The CFM target and the oracle target differ only early: nearly all of their gap lies before the "
    "posterior has collapsed to one sample.",
    paper="concentrated in t < 0.1",
    figure="fig2",
    quantity=f"share of the area under the MSE that lies before the top-1 weight reaches {SATURATED}",
    rule=f"holds if the whole interval is above {CONCENTRATED:.0%}",
    form="share",
    needs=POSTERIOR,
    check=_by_space(_concentrated),
)


def _vanishes(run, space, rows):
    _, saturation = run.stages(space)
    late = curves.mean_over(rows["t"], rows["mse"], rows["mse_sem"], saturation, 1.0)
    start = curves.at(rows["t"], rows["mse"], rows["mse_sem"], 0.0)
    share = curves.ratio(late, start)
    return Finding(space, below(share, VANISHED), share, f"{late.value:.2g} on average from t = {saturation:.3f} on")


TARGETS_AGREE_LATE = Claim(
    id="targets-agree-late",
    stage=DATA,
    section="3",
    statement="After the posterior has collapsed, the two targets agree.",
    paper="MSE about 0 from t = 0.1 on (0.43 and 0.95 at t = 0)",
    figure="fig2",
    quantity=f"mean MSE after the top-1 weight has reached {SATURATED}, divided by the MSE at t = 0",
    rule=f"holds if the whole interval is at most {VANISHED:.0%}",
    form="share",
    needs=POSTERIOR,
    check=_by_space(_vanishes),
)


def _saturates(run, space, rows):
    saturation = saturation_of(run.posteriors, space)
    if np.isnan(saturation.value):
        return Finding(space, FAILS, note=f"the weight never stays at {SATURATED}")
    late = curves.mean_over(rows["t"], rows["top1"], rows["top1_sem"], saturation.value, 1.0)
    return Finding(space, above(late, ONE), late, f"from t = {saturation.value:.3f} on; the paper: from 0.1 on")


WEIGHT_SATURATES = Claim(
    id="weight-saturates",
    stage=DATA,
    section="3",
    statement="The largest posterior weight saturates to 1: the oracle target is then that of a single sample.",
    paper="1 beyond t = 0.1",
    figure="fig2",
    quantity=f"mean top-1 weight after the time from which it stays above {SATURATED}",
    rule=f"holds if there is such a time and the whole interval is above {ONE}",
    needs=POSTERIOR,
    check=_by_space(_saturates),
)


def _position(run, space, rows):
    first = rows.iloc[0]
    split = curves.Estimate(*first[["measured", "measured_low", "measured_high"]])
    scale = f"D = {first['dim']:,.0f}, {first['n']:,.0f} samples per class"
    alike = PAPER_DIM[0] <= first["dim"] <= PAPER_DIM[1] and PAPER_SIZE[0] <= first["n"] <= PAPER_SIZE[1]
    if not alike:
        return Finding(space, NOT_TESTED, split, f"{scale}: not the paper's scale, so another split is expected")
    return Finding(space, below(split, EARLY), split, scale)


SPLIT_NEAR_0_1 = Claim(
    id="split-near-0.1",
    stage=DATA,
    section="3",
    statement="At the paper's scale (D = 4,096 or 8,192, about 1,300 samples per class) the split is before t = 0.1.",
    paper="about 0.1 for both latent spaces",
    figure="fig2",
    quantity="measured split (weight of the true sample is one half)",
    rule="tested for D of 3,000 to 10,000 and 1,000 to 2,000 samples per class; holds if the interval is at most 0.1",
    form="time",
    needs=POSTERIOR,
    check=_by_space(_position),
)


def _end_rise(run, space, rows):
    _, saturation = run.stages(space)
    t, mse, sem = curves.whole(rows["t"], rows["mse"], rows["mse_sem"])
    late = np.flatnonzero((t >= saturation) & (t < 1))
    if len(late) < 2:
        return Finding(space, UNDECIDED, note="the time grid has no two points between saturation and t = 1")
    lowest, last = late[np.argmin(mse[late])], late[-1]
    if mse[last] <= mse[lowest]:
        note = f"no rise: MSE {mse[last]:.2g} at t = {t[last]:.3g}"
        return Finding(space, FAILS, curves.Estimate(0.0, 0.0, 0.0), note)
    before = late[:-1]
    rise = curves.lead((mse[last] - mse[before])[:, None], np.hypot(sem[last], sem[before])[:, None])
    return Finding(space, above(rise, RISE), rise, f"from t = {t[lowest]:.3g} to {t[last]:.3g}")


RISE_AT_THE_END = Claim(
    id="rise-at-the-end",
    stage=DATA,
    section="3",
    statement="As t → 1, a minor gap between the targets appears again.",
    paper=f"MSE {paper.FIG2A_TAIL[2][1]} at t = 0.99, {paper.FIG2A_TAIL[3][1]} at t = 1",
    figure="fig2",
    quantity="rise of the exact MSE from its lowest point to the last time before 1",
    rule=f"holds if the whole interval of the rise is above {RISE:g}; the interval accounts for the choice of the "
    "lowest point (Bonferroni); fails if the MSE still falls at the end",
    needs=POSTERIOR,
    check=_by_space(_end_rise),
)


def _ordered(panel, direction):
    """A check that the crossing times of the panel's curves fall (direction -1) or rise (+1) from curve to curve."""

    def check(run):
        pairs = gaussian_pairs(run.gaussians, panel)
        times = []
        for dim, size in pairs:
            rows = gaussian_curve(run.gaussians, panel, dim, size)
            times.append(curves.crossing(rows["t"], rows["top1"], rows["top1_sem"], 0.5))
        steps = [curves.difference(b, a) for a, b in pairwise(times)]
        step = curves.least(steps) if direction > 0 else curves.greatest(steps)
        verdict = above(step, 0.0) if direction > 0 else below(step, 0.0)
        letter = "D" if panel == "dimension" else "N"
        values = [pair[0] if letter == "D" else pair[1] for pair in pairs]
        note = ", ".join(f"{letter} = {value:,}: {time.value:.3f}" for value, time in zip(values, times))
        return [Finding(SYNTHETIC, verdict, step, note)]

    return check


LARGER_DIMENSION_EARLIER = Claim(
    id="larger-dimension-earlier",
    stage=DATA,
    section="3",
    statement="The larger the dimension D, the earlier the posterior collapses (unit Gaussians, N fixed).",
    paper="half the weight at about 0.13, 0.08, 0.05 for D = 512, 2,048, 8,192",
    figure="fig3",
    quantity="change of the time at which the top-1 weight is one half, from each D to the next: the smallest fall",
    rule=f"holds if the whole interval is at most zero; {CHOSEN}",
    form="time",
    needs=("top1",),
    check=_ordered("dimension", -1),
)


LARGER_SIZE_LATER = Claim(
    id="larger-size-later",
    stage=DATA,
    section="3",
    statement="The larger the sample size N, the later the posterior collapses (unit Gaussians, D fixed).",
    paper="half the weight at about 0.08, 0.10, 0.11 for N = 100, 1,000, 10,000",
    figure="fig3",
    quantity="change of the time at which the top-1 weight is one half, from each N to the next: the smallest rise",
    rule=f"holds if the whole interval is above zero; {CHOSEN}",
    form="time",
    needs=("top1",),
    check=_ordered("size", 1),
)


def _matches_paper(run):
    findings = []
    for panel in ("dimension", "size"):
        for dim, size in gaussian_pairs(run.gaussians, panel):
            off = distance_to_paper(run.gaussians, panel, dim, size)
            if not np.isnan(off.value):
                findings.append(Finding(f"D = {dim:,}, N = {size:,}", below(off, READ_OFF), off))
    return findings or [Finding(SYNTHETIC, NOT_TESTED, note="no (D, N) pair of the paper among this run's")]


GAUSSIAN_CURVES = Claim(
    id="gaussian-curves",
    stage=DATA,
    section="3",
    statement="The top-1 weights on unit Gaussians agree with the paper's six curves.",
    paper="the curves of Fig. 3, read off",
    figure="fig3",
    quantity="mean absolute difference from the points read off the paper's figure",
    rule=f"holds if the whole interval is at most {READ_OFF} (the figure can be read to about 0.02)",
    needs=("top1",),
    check=_matches_paper,
)
