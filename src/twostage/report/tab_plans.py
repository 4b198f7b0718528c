"""A table of the user's own plans: Fréchet distance of each, and its change against the first."""

from twostage.provenance import atomic_write, write_provenance
from twostage.report import results_sampling, style
from twostage.report.distances import DISTANCES, distance_cells, groups_of, part_of, seeds_note, split_note
from twostage.report.table import BEST, Cell, html_page, html_table, picture

TITLE = "Plans of this configuration"

drawn = results_sampling.own_plans


def cells(table):
    """Headings and rows of Cell, from the table of ``drawn``."""
    groups = groups_of(table)
    headings = ["plan", "fields", "guidance", "solver", "NFE"]
    for space, features in groups:
        headings += [f"{space}, {DISTANCES.get(features, features)}", f"{space}, change"]
    rows = []
    for plan, own in table.groupby("plan", sort=False):
        first = own.iloc[0]
        row = [Cell(first["name"]), Cell(first["fields"]), Cell(_guidance(first)), Cell(first["solver"])]
        row.append(Cell(f"{first['nfe']}", value=first["nfe"], number=True))
        for space, features in groups:
            row += distance_cells(part_of(table, space, features), plan)
        rows.append(row)
    return headings, rows


def _guidance(row):
    """Scale and intervals as they were written: "split" is each latent space's own, which the notes tell."""
    return "none" if row["guidance"] == 1 else f"{row['guidance']:g} on {row['interval']}"


def notes(table):
    """What a reader needs to judge the numbers, one sentence or two a line."""
    first = table["name"].iloc[0]
    change = f"Change: against {first}, seed by seed (same noise and labels). {BEST}the lowest."
    return [seeds_note(table), change, *filter(None, [split_note(table)])]


def figure(table):
    """The table as a picture."""
    headings, rows = cells(table)
    short = [text.replace(" (classifier)", "\n(classifier)").replace(", ", "\n", 1) for text in headings]
    return picture(TITLE, short, rows, notes(table))


def page(table):
    """The table as a self-contained HTML page (str)."""
    headings, rows = cells(table)
    return html_page(TITLE, f"<h1>{TITLE}</h1><p>{' '.join(notes(table))}</p>" + html_table(headings, rows))


def draw(evaluation, output_pdf, output_png, output_csv, *, output_html=None, split=None, config=None):
    """Read {space: tab_plans.csv} (and {space: split.json}); write PDF, PNG, CSV and HTML."""
    table = drawn(evaluation, split)
    inputs = [*evaluation.values(), *(split or {}).values()]
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
    if output_html is not None:
        with atomic_write(output_html) as temporary:
            temporary.write_text(page(table))
        write_provenance(output_html, config=config, inputs=inputs)
