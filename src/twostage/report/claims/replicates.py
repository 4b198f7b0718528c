"""The claims of runs that differ in their seeds alone: whose verdicts change, and whether one run's interval is enough.

The spread of a number over the runs, as the half width of a 95% interval (1.96 standard deviations), is divided by the
half width of one run's interval. The ratio is about 1 where that interval covers all that the seeds change. It is
larger where the interval leaves something out, such as a second training.
"""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import chdtrc, chdtri

from twostage.report.claims.claim import FAILS, HOLDS, NOT_TESTED, VERDICTS
from twostage.report.results.curves import CONFIDENCE

RARE = 0.05  # a ratio is remarkable if chance alone gives as large a one at most this often
ALL = "all"
WORDS = ["id", "group", "stage", "statement", "case", "covers", "form", "verdicts"]


def table(runs):
    """One row per (claim, case): DataFrame with the columns of replicates.csv.

    runs: the ``record.Checked`` of two or more runs. verdicts: one per run, in their order; value, low, high: of the
    first run; known: number of runs with a value; mean, sd, lowest, highest: of these values; half_width: of a run's
    interval (root mean square); ratio: 1.96 sd / half_width; chance: how often a ratio is as large if the interval
    covers all that the seeds change (normal errors). NaN where it is not known. A case that a run lacks is not tested
    there. Raises ValueError for fewer than two runs.
    """
    if len(runs) < 2:
        raise ValueError(f"{len(runs)} run is no replicate; expected the claims of two or more")
    claims = {claim.id: claim for run in reversed(runs) for claim in run.claims}
    found = [{(claim.id, finding.case): finding for claim in run.claims for finding in claim.findings} for run in runs]
    cases = dict.fromkeys(key for findings in found for key in findings)
    return pd.DataFrame([_row(claims[key[0]], key[1], [findings.get(key) for findings in found]) for key in cases])


def _row(claim, case, findings):
    verdicts = [finding.verdict if finding else NOT_TESTED for finding in findings]
    values = np.array([finding and finding.value for finding in findings], dtype=float)  # None becomes NaN
    low, high = np.array([(finding and finding.interval) or (None, None) for finding in findings], dtype=float).T
    known = int(np.isfinite(values).sum())
    halves = (high - low)[np.isfinite(high - low)] / 2
    mean = np.nanmean(values) if known else math.nan
    sd = np.nanstd(values, ddof=1) if known > 1 else math.nan
    half = math.sqrt(np.mean(halves**2)) if len(halves) else math.nan
    ratio = CONFIDENCE * sd / half if claim.covers else math.nan  # nothing random: the paper's own numbers
    return {
        "id": claim.id, "group": claim.group, "stage": claim.stage, "statement": claim.statement, "case": case,
        "covers": claim.covers, "form": claim.form, "verdicts": ", ".join(verdicts), "changed": len({*verdicts}) > 1,
        "value": values[0], "low": low[0], "high": high[0], "known": known, "mean": mean, "sd": sd,
        "lowest": np.fmin.reduce(values), "highest": np.fmax.reduce(values), "half_width": half, "ratio": ratio,
        "chance": chdtrc(known - 1, (known - 1) * ratio**2) if math.isfinite(ratio) else math.nan,
    }  # fmt: skip


def summary(rows):
    """What the rows of ``table`` come to, by what their intervals cover, the last row in all: DataFrame.

    cases: their number, without those that no run tests; changed: those whose verdict changed; opposed: those that hold
    in one run and fail in another; compared: those with a ratio; widen: the factor by which an interval must be wider
    to cover the seeds too, the median ratio divided by its median where the interval covers them; beyond: those with a
    ratio that chance gives in at most one of 20.
    """
    tested = rows[rows["verdicts"].map(lambda verdicts: {*verdicts.split(", ")} != {NOT_TESTED})]
    parts = [(covers, tested[tested["covers"] == covers]) for covers in tested["covers"].unique()]
    return pd.DataFrame([_summed(covers, part) for covers, part in [*parts, (ALL, tested)]])


def _summed(covers, part):
    compared = part[part["ratio"].notna()]
    usual = np.sqrt(chdtri(compared["known"] - 1, 0.5) / (compared["known"] - 1))
    opposed = [{HOLDS, FAILS} <= {*verdicts.split(", ")} for verdicts in part["verdicts"]]
    return {
        "covers": covers, "cases": len(part), "changed": int(part["changed"].sum()), "opposed": sum(opposed),
        "compared": len(compared), "widen": (compared["ratio"] / usual).median(),
        "beyond": int((compared["chance"] < RARE).sum()),
    }  # fmt: skip


def counted(verdicts):
    """The verdicts of a row as counts: "holds 2, fails 1"."""
    counts = Counter(verdicts.split(", "))
    return ", ".join(f"{verdict} {counts[verdict]}" for verdict in VERDICTS if counts[verdict])


def remarked(evaluated, rows):
    """The claims of ``verdicts.evaluate``, where each case whose verdict changed (in ``table``'s rows) says so."""
    changed = {(row.id, row.case): counted(row.verdicts) for row in rows.itertuples() if row.changed}
    return [(claim, [_remarked(finding, changed.get((claim.id, finding.case))) for finding in found])
            for claim, found in evaluated]  # fmt: skip


def _remarked(finding, counts):
    if counts is None:
        return finding
    remark = f"verdict changed with the seed in replicates of this configuration: {counts}"
    return replace(finding, note="; ".join(filter(None, [finding.note, remark])))


def in_words(rows):
    """What the rows say of verdicts, a sentence."""
    runs, total = 1 + rows["verdicts"].iloc[0].count(","), summary(rows).iloc[-1]
    return (
        f"In {runs} runs of this configuration that differ in their seeds, the verdict changed in "
        f"{total['changed']} of {total['cases']} cases."
    )


def read(path):
    """The rows of a replicates.csv, as ``table`` gives them. Raises ValueError where it cannot be read."""
    try:
        rows = pd.read_csv(path, dtype=dict.fromkeys(WORDS, str))
        return rows.assign(**rows[WORDS].fillna("")).astype({"changed": bool, "ratio": float, "known": int})
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as replicates ({error}); run `replicates` again") from None
