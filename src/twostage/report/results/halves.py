"""Who does which half: a navigator up to the split and a refiner after it, and each one's share of the distance."""

import itertools

import pandas as pd

from twostage.report.results.contrast import Distances, known_columns, with_changes
from twostage.report.results.inputs import read_spaces, splits
from twostage.report.results.shapley import weights_of

HALVES = ("plan", "seed", "features", "distance", "kind", "nfe")
GAUSSIAN, ORACLE = "gaussian", "oracle"
IDEAL = f"{ORACLE} > {ORACLE}"
SHARES = ("navigation", "refinement")


def halves(evaluation, split=None):
    """One row per (space, features, navigator, refiner, seed), DataFrame, in the order of the file.

    evaluation: {space: tab_halves.csv}; split: {space: split.json}. ``kind``: "navigator > refiner"; ``before``,
    ``after``: each alone; mean, change and their intervals as ``contrast.with_changes`` has them, the change against
    the refiner throughout; ``navigation``, ``refinement`` and their intervals: shares of the distance in excess of the
    oracle throughout (``parts_of``), NaN where they are not known.
    """
    table = read_spaces(evaluation, HALVES)
    table = table[["space", *HALVES, *known_columns(table)]]
    table = table.loc[:, ~table.columns.duplicated()].copy()
    table[["before", "after"]] = table["kind"].str.split(" > ", expand=True).to_numpy()
    own = table[table["before"] == table["after"]].drop_duplicates("after").set_index("after")["plan"]
    table = with_changes(table, table["after"].map(own))
    shares = [_shares(rows) for _, rows in table.groupby(["space", "features"], sort=False)]
    table = table.merge(pd.concat(shares), on=["space", "features", "kind"], how="left")
    return table.merge(splits(split), on="space", how="left")


def distances_of(rows):
    """``Distances`` of the rows of one space and features, by kind."""
    return Distances.of(rows, rows["kind"])


def models_of(rows):
    """The models that act in both halves, in the order of the rows."""
    return [name for name in dict.fromkeys(rows["after"]) if name != ORACLE]


def navigators_of(rows):
    """Everything that acts up to the split, in the order of the rows."""
    return list(dict.fromkeys(rows["before"]))


def parts_of(before, after):
    """{"navigation", "refinement": {kind: weight}}: each half's share of the distance in excess of the oracle
    throughout, mean over the two orders of replacing the oracle (Shapley values of two players); and the excess itself,
    "whole"."""
    names = {
        (first, second): f"{before if first else ORACLE} > {after if second else ORACLE}"
        for first, second in itertools.product((False, True), repeat=2)
    }
    return {**dict(zip(SHARES, weights_of(names))), "whole": {names[True, True]: 1.0, IDEAL: -1.0}}


def _shares(rows):
    """Shares of every plan of one space and features: DataFrame by kind."""
    distances, found = distances_of(rows), []
    for (space, features, kind), own in rows.groupby(["space", "features", "kind"], sort=False):
        row = {"space": space, "features": features, "kind": kind}
        first = own.iloc[0]
        parts = parts_of(first["before"], first["after"])
        known = {name for weights in parts.values() for name in weights} <= set(distances.values.columns)
        if known and ORACLE not in (first["before"], first["after"]):
            for name in SHARES:
                share = distances.share(parts[name], parts["whole"])
                row |= {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}
        found.append(row)
    columns = [f"{name}{end}" for name in SHARES for end in ("", "_low", "_high")]
    return pd.DataFrame(found, columns=["space", "features", "kind", *columns])
