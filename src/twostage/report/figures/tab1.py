"""Tab. 1: stage swap. One model up to the split, another after it: Frechet distance, mean and spread over seeds.

The paper's gFID stands beside it: another data set, other features, 50,000 samples. Compare the order of the rows, not
the numbers.
"""

from twostage.report.figures.distances import DISTANCES, distance_cells, drawing, rows_of, seeds_note, split_note
from twostage.report.figures.table import Cell, number, picture, table_page
from twostage.report.results.swaps import stage_swaps
from twostage.split import FIXED, MEASURED

drawn = stage_swaps


def cells(table):
    """Headings, rows of Cell and the indices of the paper's columns, from the table of ``drawn``."""
    groups = list(table[["space", "features"]].drop_duplicates().itertuples(index=False))
    headings = ["split", "stage 1", "stage 2"]
    for space, features in groups:
        headings += [f"{space}, {DISTANCES.get(features, features)}", f"{space}, change"]
    splits = (0.1, 0.2) if compares(table) else ()
    paper_columns = tuple(range(len(headings), len(headings) + len(splits)))
    headings += [f"paper, split {split}" for split in splits]
    rows = []
    for _, part in table.groupby("plan", sort=False):
        first = part.iloc[0]
        row = [Cell(first["split"]), Cell(first["stage_1"]), Cell(first["stage_2"])]
        for space, features in groups:
            row += distance_cells(rows_of(table, space, features), first["plan"])
        row += [number(first[f"paper_{split}"], 2) for split in splits]
        rows.append(row)
    return headings, rows, paper_columns


def notes(table):
    """The notes that a reader needs to judge the numbers, one or two sentences per line."""
    lines = [seeds_note(table), "Change: against the first row of the split, seed by seed (same noise and labels)."]
    stages = table[table["split"].isin([MEASURED, FIXED])].drop_duplicates("space")
    lines += filter(None, [split_note(stages.assign(split_source=stages["split"], split=stages["split_time"]))])
    if compares(table):
        lines.append("Paper: gFID of 50,000 samples of its own XL and B on ImageNet 256. Scale and features differ:")
        lines[-1] += " compare the order of the rows."
    return lines


def compares(table):
    """Whether the paper has a number for at least one row, by the names of its models."""
    return bool(table[["paper_0.1", "paper_0.2"]].notna().any(axis=None))


def figure(table):
    """The table as a picture."""
    headings, rows, paper_columns = cells(table)
    title = "Tab. 1  Stage swap: one model up to the split, another after it"
    return picture(title, headings, rows, notes(table), quiet=paper_columns)


def page(table):
    """The table as a self-contained HTML page (str)."""
    headings, rows, _ = cells(table)
    lead = " ".join(["One model acts up to the split, another after it.", *notes(table)])
    return table_page("Tab. 1 Stage swap", headings, rows, lead=lead)


draw = drawing(drawn, figure, page)
