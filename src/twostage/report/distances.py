"""Cells and notes of tables that compare plans by their samples' distance to the training images (Tabs. 1 to 3)."""

import math

from twostage.report.table import BEST, Cell, decimals, number

DISTANCES = {"inception": "gFID", "dinov2": "Fréchet distance (DINOv2)", "classifier": "Fréchet distance (classifier)"}


def groups_of(table):
    """The (space, features) pairs of a table, in their order."""
    return list(table[["space", "features"]].drop_duplicates().itertuples(index=False, name=None))


def part_of(table, space, features):
    """One space's rows in one kind of features, a row a plan: what all its seeds have in common."""
    return table[(table["space"] == space) & (table["features"] == features)].drop_duplicates("plan")


def distance_cells(part, plan):
    """Mean ± sd and the paired change ± sd of a plan, as Cells; dashes where the space did not run it."""
    own = part[part["plan"] == plan]
    if own.empty:
        return [number(math.nan, 0), number(math.nan, 0)]
    own = own.iloc[0]
    places = decimals(part["mean"], part["sd"])
    finer = decimals(part["change"], part["change_sd"][part["change"] != 0])  # paired: far smaller than the spread
    change = number(own["change"], finer, spread=own["change_sd"], sign="+")
    mean = number(own["mean"], places, spread=own["sd"], mark=BEST if own.get("best", False) else "")
    return [mean, change if own["change"] != 0 else Cell("–", value=0, number=True)]


def seeds_note(table):
    """How many seeds, samples and function evaluations are behind a row; with one seed, how sure its distances are."""
    seeds = table.groupby(["space", "plan", "features"])["seed"].nunique().min()
    words = f"Mean ± standard deviation over {seeds} sampling seeds." if seeds > 1 else "One sampling seed"
    if seeds == 1:
        errors = table.groupby("space", sort=False)["distance_sem"].median() if "distance_sem" in table else {}
        known = ", ".join(f"{error:.2g} ({space})" for space, error in errors.items() if math.isfinite(error))
        words += f"; standard error of a distance, by disjoint splits, about {known}." if known else "."
    if {"samples", "nfe"} <= set(table.columns):
        counts = [f"{count}" for count in sorted(set(table["nfe"]))]
        words += f" {table['samples'].iloc[0]:,} samples a row and seed, {' or '.join(counts)} function evaluations."
    return words


def split_note(table):
    """The stage splits and where they come from as a sentence, or nothing where none is known."""
    known = table.drop_duplicates("space").dropna(subset="split")
    times = ", ".join(f"t = {time:.3f} ({space})" for space, time in zip(known["space"], known["split"]))
    source = " and ".join(dict.fromkeys(known["split_source"]))
    return f"Stage split, {source}: {times}." if times else ""
