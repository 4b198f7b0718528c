"""Cells and notes of tables that compare plans by their samples' distance to the training images (Tabs. 1 to 3)."""

import math

from twostage.report import template
from twostage.report.figures import style
from twostage.report.figures.table import BEST, Cell, decimals, number

DISTANCES = {"inception": "gFID", "dinov2": "Fréchet distance (DINOv2)", "classifier": "Fréchet distance (classifier)"}


def groups_of(table):
    """The (space, features) pairs of a table, in their order."""
    return list(table[["space", "features"]].drop_duplicates().itertuples(index=False, name=None))


def rows_of(table, space, features):
    """One space's rows in one kind of features, one row per plan, for columns that are equal in all its seeds."""
    return table[(table["space"] == space) & (table["features"] == features)].drop_duplicates("plan")


def distance_cells(part, plan):
    """Mean and paired change of a plan, each ± the half width of its 95% interval; dashes if the space lacks the
    plan."""
    own = part[part["plan"] == plan]
    if own.empty:
        return [number(math.nan, 0), number(math.nan, 0)]
    own = own.iloc[0]
    half = {name: (part[f"{name}_high"] - part[f"{name}_low"]) / 2 for name in ("mean", "change")}
    places = decimals(part["mean"], half["mean"])
    finer = decimals(part["change"], half["change"][part["change"] != 0])  # paired: far narrower
    mark = BEST if own.get("best", False) else ""
    change = number(own["change"], finer, spread=half["change"][own.name], sign="+")
    mean = number(own["mean"], places, spread=half["mean"][own.name], mark=mark)
    return [mean, change if own["change"] != 0 else Cell("–", value=0, number=True)]


def seeds_note(table):
    """Sentences on the seeds, samples and function evaluations of a row, on ±, and on what may be compared."""
    seeds = table.groupby(["space", "plan", "features"])["seed"].nunique().min()
    words = f"Mean over {seeds} sampling seeds" if seeds > 1 else "One sampling seed"
    words += " ± 95% interval of the sampling."
    if "nfe" in table.columns:
        words += f" {_or(table['nfe'])} function evaluations."
    if "samples" in table.columns:
        words += f" {_or(table['samples'])} samples per row and seed: compare only distances of equally many samples."
    return words


def _or(values):
    return " or ".join(f"{value:,.0f}" for value in sorted(set(values)))


def split_note(table):
    """The stage splits and their source as a sentence, or "" if none is known."""
    known = table.drop_duplicates("space").dropna(subset="split")
    times = ", ".join(f"t = {time:.3f} ({space})" for space, time in zip(known["space"], known["split"]))
    source = " and ".join(dict.fromkeys(known["split_source"]))
    return f"Stage split, {source}: {times}." if times else ""


def drawing(drawn, figure, page):
    """The ``draw`` of a table of distances: {space: its CSV} (and {space: split.json}) in, PDF, PNG, CSV, page out."""

    def draw(evaluation, output_pdf, output_png, output_csv, *, output_html=None, split=None, config=None):
        table = drawn(evaluation, split) if split else drawn(evaluation)
        inputs = [*evaluation.values(), *(split or {}).values()]
        style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
        if output_html is not None:
            template.write(output_html, page(table), config=config, inputs=inputs)

    return draw
