"""When the posterior settles on single images: near neighbours, the law of an image, and copying (fig_settling)."""

from twostage.report.claims.claim import DATA, PROJECT, REFINEMENT, Claim, Finding, above, below
from twostage.report.results.settling import by_halves, last_switch, rank_correlation

FOLLOWS = 0.7  # a time follows from distances if their rank correlation is above this
RANKS = "95% interval of Spearman's rank correlation by Fisher's z (Bonett and Wright)"


def _images(run):
    """(space, the images drawn of its classes) of the run."""
    for space, rows in run.settling.groupby("space", sort=False):
        yield space, rows[rows["drawn"]]


def _near_neighbours(run):
    findings = []
    for space, rows in _images(run):
        found = rank_correlation(rows["time"], rows["distance"], rows["label"])
        third = rows["distance"].rank(pct=True)
        near, far = (rows.loc[part, "time"].mean() for part in (third <= 1 / 3, third > 2 / 3))
        note = f"mean time {near:.3f} in the third with the nearest neighbours, {far:.3f} in that with the farthest"
        findings.append(Finding(space, below(found, 0.0), found, note))
    return findings


NEAR_NEIGHBOURS = Claim(
    section="",
    group=PROJECT,
    id="near-neighbours-settle-late",
    stage=DATA,
    statement="The nearer the nearest other image of its class, the later the posterior settles on an image.",
    paper="not stated",
    figure="fig_settling",
    quantity="rank correlation, within classes, of an image's settling time and the distance to its nearest other "
    "image",
    rule=f"holds if the whole interval is below zero; {RANKS}",
    needs=("settling",),
    check=_near_neighbours,
)


def _law_of_an_image(run):
    findings = []
    for space, rows in _images(run):
        found = rank_correlation(rows["time"], rows["law"], rows["label"])
        note = f"mean time {rows['time'].mean():.3f}, by the law {rows['law'].mean():.3f}"
        findings.append(Finding(space, above(found, FOLLOWS), found, note))
    return findings


LAW_OF_AN_IMAGE = Claim(
    section="",
    group=PROJECT,
    id="law-of-an-image",
    stage=DATA,
    statement="The time at which the posterior settles on an image follows from its distances to the other images of "
    "its class.",
    paper="not stated",
    figure="fig_settling",
    quantity="rank correlation, within classes, of an image's settling time and the time at which its distances d_i "
    "make sum_i exp(-s^2 d_i^2 / 4) one",
    rule=f"holds if the whole interval is above {FOLLOWS}; noise of the measured times lowers the correlation; {RANKS}",
    needs=("settling",),
    check=_law_of_an_image,
)


def _early_are_copied(run):
    findings = []
    for space in dict.fromkeys(run.settled_copies["space"]):
        rows = last_switch(run.settled_copies, space)
        found = rank_correlation(rows["time"], rows["ratio"])
        earlier, later = by_halves(rows)
        alone = rank_correlation(rows["time"], rows["d1"])
        note = (
            f"switch at t = {rows['t_switch'].iloc[0]:g}; copies: {earlier:.0%} of the earlier half, {later:.0%} of "
            f"the later one, of {len(rows)} images; d1 alone {alone.value:.2f} ({alone.low:.2f} to {alone.high:.2f})"
        )
        findings.append(Finding(space, above(found, 0.0), found, note))
    return findings


EARLY_ARE_COPIED = Claim(
    section="",
    group=PROJECT,
    id="early-settling-images-are-copied",
    stage=REFINEMENT,
    statement="The earlier the posterior settles on an image, the closer to a copy is the sample of a late switch from "
    "oracle to model.",
    paper="not stated",
    figure="fig_settling",
    quantity="rank correlation of an image's settling time and d1 / d2 of the samples that follow it, at the last "
    "switch of Fig. 5 before t = 1",
    rule=f"holds if the whole interval is above zero; {RANKS}",
    needs=("settling", "followed_images"),
    check=_early_are_copied,
)
