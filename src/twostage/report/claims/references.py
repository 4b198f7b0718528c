"""Whom models follow: the oracle or the Gaussian, on the data's paths and on their own (docs/theory.md, Sec. 8)."""

from twostage.report.claims.claim import NAVIGATION, NOT_TESTED, PROJECT, Claim, Finding, above, below, deciding
from twostage.report.results import curves
from twostage.report.results.losses import trained_for
from twostage.report.results.references import KINDS, OWN

SELECTIVE_UNDERFITTING = "2510.01378"  # Song et al.
PAIRED = "errors are compared pair by pair (x_0, x_1), the same pairs for both"
TRAIN = "train"


def _follows_the_gaussian(run):
    findings = []
    for space, found in run.references.items():
        (model, step), (split, _) = found.snapshots(run.models)[-1], run.stages(space)
        errors = {
            (kind, target): found.means(found.errors((model, step), kind, target), 0.0, split)
            for kind in found.kinds
            for target in ("oracle", "gaussian")
        }
        share = curves.ratio_of(errors[OWN, "gaussian"], errors[OWN, "oracle"])
        words = [
            f"{errors[k, 'gaussian'].mean():.3g} and {errors[k, 'oracle'].mean():.3g} on {KINDS[k]}"
            for k in found.kinds
        ]
        note = f"{model}, {trained_for(step)}, t from 0 to {split:.3f}: {', '.join(words)}"
        findings.append(Finding(space, below(share, 1.0), share, note))
    return findings


NAVIGATES_BY_THE_GAUSSIAN = Claim(
    section="",
    group=PROJECT,
    id="navigates-by-the-gaussian",
    stage=NAVIGATION,
    statement="On its own trajectories, before the split, a model follows the closed-form Gaussian rather than the "
    "oracle, on which it was trained.",
    paper="not stated",
    figure="fig_references",
    quantity="the largest model's squared error against the Gaussian divided by that against the oracle, means over t "
    "up to the split",
    rule=f"holds if the whole interval is at most 1; {PAIRED}",
    needs=("references", "posterior", "transition", "split"),
    check=_follows_the_gaussian,
)


def _selective(ladder, words):
    """A check of ``ladder(References, models)``, curves from the worst to the best model: the last is closer than the
    first on training paths, and farther on own trajectories."""

    def check(run):
        findings = []
        for space, found in run.references.items():
            better = ladder(found, run.models)
            if len(better) < 2:
                findings.append(Finding(space, NOT_TESTED, note=f"one {words} only"))
                continue
            ends = {
                kind: [found.means(found.of_images(curve, kind), 0.0, 1.0) for curve in (better[0], better[-1])]
                for kind in (TRAIN, OWN)
            }
            shares = {kind: curves.ratio_of(last, first) for kind, (first, last) in ends.items()}
            share, verdict = deciding(
                [(shares[TRAIN], below(shares[TRAIN], 1.0)), (shares[OWN], above(shares[OWN], 1.0))]
            )
            of = [f"{name} at {step:,} steps" for name, step in (better[0], better[-1])]
            numbers = [
                f"{first.mean():.3g} to {last.mean():.3g} on {KINDS[kind]}" for kind, (first, last) in ends.items()
            ]
            findings.append(Finding(space, verdict, share, f"{of[0]}, then {of[1]}: {', '.join(numbers)}"))
        return findings

    return check


_SELECTIVE = {
    "section": "abstract",
    "arxiv": SELECTIVE_UNDERFITTING,
    "figure": "fig_references",
    "quantity": "squared error of the predicted image against the oracle's, mean over t: the better model's divided by "
    "the worse one's; of the two paths' ratios, the one that decides",
    "rule": "holds if the whole interval is at most 1 on training paths, and above 1 on own trajectories; " + PAIRED,
    "needs": ("references", "split"),
}

SELECTIVE_BY_SIZE = Claim(
    id="selective-underfitting-by-size",
    statement="The larger model is closer to the oracle on paths of training images, and farther from it on its own "
    "trajectories.",
    paper="found for SiT from S to XL",
    check=_selective(lambda found, models: found.sizes(models), "size"),
    **_SELECTIVE,
)


SELECTIVE_BY_TRAINING = Claim(
    id="selective-underfitting-by-training",
    statement="As it trains, a model comes closer to the oracle on paths of training images, and goes farther from it "
    "on its own trajectories.",
    paper="better models underfit selectively",
    check=_selective(lambda found, models: found.snapshots(models), "snapshot"),
    **_SELECTIVE,
)
