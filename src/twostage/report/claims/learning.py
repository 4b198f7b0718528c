"""The paper's Sec. 4.3 and 5.3: what models learn in the two stages (Figs. 7 and 9)."""

from itertools import pairwise

import numpy as np

from twostage.report.claims.claim import (
    CHOSEN,
    FAILS,
    HOLDS,
    NAVIGATION,
    NOT_TESTED,
    REFINEMENT,
    Claim,
    Finding,
    above,
    below,
    unclear,
)
from twostage.report.results import curves, paired
from twostage.report.results.losses import loss_of, relative_gap, trained_for
from twostage.report.results.posterior import SATURATED

PART, COINCIDE, AT_PRIOR = 0.25, 0.05, 0.05  # shares of the CFM error
LITTLE = 0.5  # of the difference in refinement
SOON = 0.1  # the transition is taken to last at most this long after the posterior saturates
LOSSES = ("oracle_loss", "posterior", "transition", "split")
PAIRS = (*LOSSES, "pair_errors")
CROSSED = "the extremes are found on one half of the pairs and measured on the other half"
PAIRED = "curves are compared pair by pair (x_0, x_1), on the same pairs for every model"


def models_of(losses, space):
    """Model names of a space, smallest first."""
    return list(dict.fromkeys(losses.loc[losses["space"] == space, "model"]))


def sizes_of(losses, space):
    """The models of a latent space that have the shared training length, smallest first; imported models have not."""
    shared = losses[(losses["space"] == space) & (losses["length"] == "shared")]
    return [model for model in models_of(losses, space) if (shared["model"] == model).any()]


def _by_space(judge):
    """A check that calls ``judge(run, space)`` for every latent space with losses."""
    return lambda run: [judge(run, space) for space in dict.fromkeys(run.losses["space"])]


def _largest(run, space):
    model = models_of(run.losses, space)[-1]
    rows = loss_of(run.losses, space, model)
    return rows, f"{model}, {trained_for(rows['step'].iloc[0])}"


def _part_in_navigation(run, space):
    rows, name = _largest(run, space)
    split, _ = run.stages(space)
    gap = relative_gap(rows, 0.0, split)
    return Finding(space, above(gap, PART), gap, f"{name}, t from 0 to {split:.3f}")


LOSSES_PART_IN_NAVIGATION = Claim(
    id="losses-part-in-navigation",
    stage=NAVIGATION,
    section="4.3",
    statement="In navigation, a model's error against the oracle target is far below its error against the CFM target.",
    paper="0.00 against 0.43 at t = 0; they differ only before t = 0.1",
    figure="fig7",
    quantity="mean difference of the two errors before the split, divided by the mean CFM error",
    rule=f"holds if the whole interval is above {PART:.0%}",
    form="share",
    needs=LOSSES,
    check=_by_space(_part_in_navigation),
)


def _coincide_in_refinement(run, space):
    rows, name = _largest(run, space)
    _, saturation = run.stages(space)
    gap = relative_gap(rows, saturation, 1.0)
    return Finding(space, below(gap, COINCIDE), gap, f"{name}, t from {saturation:.3f} to 1")


LOSSES_COINCIDE_IN_REFINEMENT = Claim(
    id="losses-coincide-in-refinement",
    stage=REFINEMENT,
    section="4.3",
    statement="In refinement, a model's two errors coincide.",
    paper="the curves lie on each other from t = 0.1 on",
    figure="fig7",
    quantity=f"mean difference of the two errors after the top-1 weight has reached {SATURATED}, divided by the mean "
    "CFM error",
    rule=f"holds if the whole interval is at most {COINCIDE:.0%}",
    form="share",
    needs=LOSSES,
    check=_by_space(_coincide_in_refinement),
)


def _zero_at_prior(run, space):
    rows, name = _largest(run, space)
    oracle = curves.at(rows["t"], rows["oracle"], rows["oracle_sem"], 0.0)
    cfm = curves.at(rows["t"], rows["cfm"], rows["cfm_sem"], 0.0)
    share = curves.ratio(oracle, cfm)
    return Finding(space, below(share, AT_PRIOR), share, f"{name}: {oracle.value:.2g} of {cfm.value:.2g}")


ZERO_LOSS_AT_THE_PRIOR = Claim(
    id="zero-loss-at-the-prior",
    stage=NAVIGATION,
    section="4.3",
    statement="At t → 0 the model almost equals the oracle: its target there is the class mean.",
    paper="oracle loss about 0.002, CFM loss 0.43",
    figure="fig7",
    quantity="oracle loss divided by CFM loss, at t = 0",
    rule=f"holds if the whole interval is at most {AT_PRIOR:.0%}",
    form="share",
    needs=LOSSES,
    check=_by_space(_zero_at_prior),
)


def _rises_in_navigation(run, space):
    rows, name = _largest(run, space)
    split, _ = run.stages(space)
    ends = [curves.at(rows["t"], rows["oracle"], rows["oracle_sem"], t) for t in (split, 0.0)]
    rise = curves.difference(*ends)
    return Finding(
        space, above(rise, 0.0), rise, f"{name}: {ends[1].value:.3g} at t = 0, {ends[0].value:.3g} at the split"
    )


RISES_THROUGH_NAVIGATION = Claim(
    id="rises-through-navigation",
    stage=NAVIGATION,
    section="4.3",
    statement="The oracle loss rises through navigation, in every latent space.",
    paper="from 0.00 to 0.36 (VA-VAE), to 0.87 (SD-VAE)",
    figure="fig7",
    quantity="oracle loss at the split minus oracle loss at t = 0",
    rule="holds if the whole interval is above zero",
    needs=LOSSES,
    check=_by_space(_rises_in_navigation),
)


def _largest_pairs(run, space):
    """(times (T,), oracle losses (T, pairs), a description) of the largest model."""
    rows, name = _largest(run, space)
    pairs = run.pairs_of[space]
    return pairs.t, pairs.curve(rows), name


def _landmarks(t, split):
    """A function that finds bump and dip of a curve, oracle (T,) -> (bump, dip), as positions. The dip is the lowest
    point after the split, the bump the highest point before the dip."""
    after = np.flatnonzero(t >= split)

    def choose(oracle):
        dip = after[np.argmin(oracle[after])]
        return int(np.argmax(oracle[: dip + 1])), dip

    return choose


def _bump_and_dip(run, space):
    t, errors, name = _largest_pairs(run, space)
    split, saturation = run.stages(space)
    choose, oracle = _landmarks(t, split), errors.mean(1)
    bump, dip = choose(oracle)
    depth = paired.apart(errors, choose)
    if bump == dip:
        return Finding(space, FAILS, depth, f"{name}: no dip after the split")
    note = f"{name}: bump {oracle[bump]:.3g} at t = {t[bump]:.2f}, dip {oracle[dip]:.3g} at t = {t[dip]:.2f}"
    verdict = above(depth, 0.0)
    if not split / 2 <= t[bump] <= saturation + SOON:
        verdict, note = FAILS, f"{note}: the bump is not at the transition"
    return Finding(space, verdict, depth, note)


BUMP_AND_DIP = Claim(
    id="bump-and-dip",
    section="4.3",
    statement="At the transition the oracle loss has a bump, followed by a dip in mid refinement.",
    paper="bump 0.36 at t = 0.1, dip 0.25 at t = 0.4 (VA-VAE)",
    figure="fig7",
    quantity="oracle loss at the bump minus oracle loss at the dip",
    rule="dip: lowest point after the split; bump: highest point before the dip. Holds if the whole interval is above "
    f"zero and the bump lies between half the split and {SOON} after saturation; {CROSSED}",
    needs=PAIRS,
    check=_by_space(_bump_and_dip),
)


def _rises_to_data(run, space):
    t, errors, name = _largest_pairs(run, space)
    choose, oracle = _landmarks(t, run.stages(space)[0]), errors.mean(1)
    rise = paired.apart(errors, lambda mean: (len(t) - 1, choose(mean)[1]))
    _, dip = choose(oracle)
    note = f"{name}: {oracle[-1]:.3g} at t = {t[-1]:.2f}, {oracle[dip]:.3g} at the dip, t = {t[dip]:.2f}"
    verdict = above(rise, 0.0)  # of a curve that is lowest at its end, the rise is zero: it is one point
    return Finding(space, FAILS if verdict == NOT_TESTED else verdict, rise, note)


RISES_TO_THE_DATA = Claim(
    id="rises-to-the-data",
    stage=REFINEMENT,
    section="4.3",
    statement="The oracle loss rises again as t → 1.",
    paper="from 0.25 to 1.02 (VA-VAE)",
    figure="fig7",
    quantity="oracle loss at the last time minus oracle loss at the dip",
    rule=f"holds if the whole interval is above zero; {CROSSED}",
    needs=PAIRS,
    check=_by_space(_rises_to_data),
)


def _sizes_alike_in_navigation(run, space):
    models = sizes_of(run.losses, space)
    if len(models) < 2:
        return Finding(space, NOT_TESTED, note="one model only")
    first, last = (loss_of(run.losses, space, model, "shared") for model in (models[0], models[-1]))
    return _less_in_navigation(run, space, first, last, f"{models[0]} minus {models[-1]}")


SIZES_ALIKE_IN_NAVIGATION = Claim(
    id="sizes-alike-in-navigation",
    stage=NAVIGATION,
    section="4.3",
    statement="Model size makes little difference to the oracle loss in navigation.",
    paper="curves of S, B and XL lie on each other up to t = 0.07",
    figure="fig7",
    quantity="difference between smallest and largest model in navigation, divided by that in refinement",
    rule=f"holds if the whole interval is at most one half; {PAIRED}",
    form="share",
    needs=PAIRS,
    check=_by_space(_sizes_alike_in_navigation),
)


def _less_in_navigation(run, space, first, second, name):
    """Judge whether the difference of two loss curves in navigation is at most half of that in refinement."""
    split, saturation = run.stages(space)
    pairs = run.pairs_of[space]
    navigation, refinement = (
        pairs.means(first, *window) - pairs.means(second, *window) for window in ((0.0, split), (saturation, 1.0))
    )
    sizes = [curves.mean_of(values) for values in (navigation, refinement)]
    note = f"{name}: {sizes[0].value:+.3g} in navigation, {sizes[1].value:+.3g} in refinement"
    if (apart := above(sizes[1], 0.0)) != HOLDS:
        return Finding(space, unclear(apart), None, f"{note}: refinement itself does not tell them apart")
    share = curves.ratio_of(np.sign(sizes[0].value) * navigation, refinement)
    return Finding(space, below(share, LITTLE), share, note)


def _larger_lower(run, space):
    models = sizes_of(run.losses, space)
    if len(models) < 2:
        return Finding(space, NOT_TESTED, note="one model only")
    _, saturation = run.stages(space)
    rows = [loss_of(run.losses, space, model, "shared") for model in models]
    means = [run.pairs_of[space].means(own, saturation, 1.0) for own in rows]
    return _falling(space, means, models)


LARGER_IS_LOWER_IN_REFINEMENT = Claim(
    id="larger-is-lower-in-refinement",
    stage=REFINEMENT,
    section="4.3",
    statement="In refinement, larger models have lower oracle loss.",
    paper="0.267, 0.255, 0.243 for S, B, XL at t = 0.4",
    figure="fig7",
    quantity="fall of the mean oracle loss in refinement from each size to the next, at the same training length: the "
    "smallest fall",
    rule=f"holds if the whole interval is above zero; {CHOSEN}; {PAIRED}",
    needs=PAIRS,
    check=_by_space(_larger_lower),
)


def _falling(space, means, names, of=""):
    """Judge whether the mean over the pairs falls from each of ``means``, (pairs,) arrays, to the next."""
    falls = [curves.mean_of(before - after) for before, after in pairwise(means)]
    least = curves.least(falls, len(means[0]) - 1)
    note = of + ", ".join(f"{name}: {mean.mean():.4g}" for name, mean in zip(names, means))
    return Finding(space, above(least, 0.0), least, note)


def _lengths(run, space):
    """The last model that was trained longer than the others, and its rows at both lengths; None if there is none."""
    rows = run.losses[(run.losses["space"] == space) & (run.losses["length"] == "longer")]
    rows = rows[rows["model"].isin(sizes_of(run.losses, space))]
    if rows.empty:
        return None
    model = rows["model"].iloc[-1]
    return model, *(loss_of(run.losses, space, model, length) for length in ("shared", "longer"))


def _longer_lower(run, space):
    found = _lengths(run, space)
    if found is None:
        return Finding(space, NOT_TESTED, note="no model was trained longer than the others")
    model, shared, longer = found
    _, saturation = run.stages(space)
    means = [run.pairs_of[space].means(rows, saturation, 1.0) for rows in (shared, longer)]
    return _falling(space, means, [f"{rows['step'].iloc[0]:,} steps" for rows in (shared, longer)], f"{model}, ")


LONGER_IS_LOWER_IN_REFINEMENT = Claim(
    id="longer-is-lower-in-refinement",
    stage=REFINEMENT,
    section="4.3",
    statement="In refinement, longer training gives lower oracle loss.",
    paper="0.243 for XL, 0.222 for XL* at t = 0.4",
    figure="fig7",
    quantity="mean oracle loss in refinement: shared training length minus longer training",
    rule=f"holds if the whole interval is above zero; {PAIRED}",
    needs=PAIRS,
    check=_by_space(_longer_lower),
)


def _lengths_alike_in_navigation(run, space):
    found = _lengths(run, space)
    if found is None:
        return Finding(space, NOT_TESTED, note="no model was trained longer than the others")
    model, shared, longer = found
    return _less_in_navigation(run, space, shared, longer, f"{model}, shared minus longer training")


LENGTHS_ALIKE_IN_NAVIGATION = Claim(
    id="lengths-alike-in-navigation",
    stage=NAVIGATION,
    section="4.3",
    statement="Longer training makes little difference to the oracle loss in navigation.",
    paper="curves of XL and XL* lie on each other up to t = 0.07",
    figure="fig7",
    quantity="difference between the two training lengths in navigation, divided by that in refinement",
    rule=f"holds if the whole interval is at most one half; {PAIRED}",
    form="share",
    needs=PAIRS,
    check=_by_space(_lengths_alike_in_navigation),
)


def _falls_with_training(run, space):
    rows = run.losses[(run.losses["space"] == space) & run.losses["largest"]]
    steps = sorted(rows["step"].unique())
    if len(steps) < 2:
        return Finding(space, NOT_TESTED, note="one snapshot only")
    _, saturation = run.stages(space)
    means = [run.pairs_of[space].means(rows[rows["step"] == step], saturation, 1.0) for step in steps]
    return _falling(space, means, [f"{step:,}" for step in steps], f"{rows['model'].iloc[0]}, ")


LOSS_FALLS_WITH_TRAINING = Claim(
    id="loss-falls-with-training",
    stage=REFINEMENT,
    section="5.3",
    statement="As a model trains, its oracle loss in refinement falls from snapshot to snapshot.",
    paper="10K to 160K steps, both latent spaces",
    figure="fig9",
    quantity="fall of the mean oracle loss in refinement from each snapshot to the next: the smallest fall",
    rule=f"holds if the whole interval is above zero; {CHOSEN}; {PAIRED}",
    needs=PAIRS,
    check=_by_space(_falls_with_training),
)
