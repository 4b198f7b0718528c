"""What each latent space keeps of the images: peak signal-to-noise ratio and the distance of the reconstructions.

A model can't be better than what its latent space decodes to: the distance of reconstructions is the floor of the
distances in Tabs. 1 to 3, and a space that keeps more (a higher ratio) may be the harder one to learn (Fig. 9).
"""

import math

from twostage.report import template
from twostage.report.figures import style
from twostage.report.figures.table import Cell, decimals, number, picture, table_page
from twostage.report.results.inputs import read_spaces

TITLE = "Reconstruction: what each latent space keeps of the images"
COLUMNS = ("split", "images", "mse", "psnr", "features", "distance")
DISTANCES = {"inception": "rFID", "dinov2": "Fréchet distance (DINOv2)", "classifier": "Fréchet distance (classifier)"}
SPLITS = {"train": "training", "held_out": "held-out"}


def drawn(reconstruction):
    """{space: reconstruction.csv} as one DataFrame with the columns space and COLUMNS. ValueError for a broken file."""
    return read_spaces(reconstruction, COLUMNS)


def cells(table):
    """Headings and rows of Cell: a row per space and split."""
    features = list(dict.fromkeys(table["features"]))
    headings = ["latent space", "images", "PSNR, dB", *(DISTANCES.get(name, name) for name in features)]
    rows = []
    for (space, split), own in table.groupby(["space", "split"], sort=False):
        ratio = own["psnr"].iloc[0]
        row = [Cell(space), Cell(f"{own['images'].iloc[0]:,} {SPLITS.get(split, split)}", value=split)]
        row.append(number(ratio, 2) if math.isfinite(ratio) else Cell("exact", value=math.inf, number=True))
        for name in features:
            values = table.loc[table["features"] == name, "distance"]
            row.append(number(own.loc[own["features"] == name, "distance"].sum(), decimals(values, 0 * values)))
        rows.append(row)
    return headings, rows


NOTES = (
    "PSNR: mean over the images of each one's ratio. Distance: of the reconstructions to the same images themselves.",
    "Reconstructions are of the posterior mean, in 8 bits. rFID is usually given for 50,000 held-out images.",
)


def figure(table):
    """The table as a picture."""
    headings, rows = cells(table)
    return picture(TITLE, headings, rows, NOTES)


def page(table):
    """The table as a self-contained HTML page (str)."""
    return table_page(TITLE, *cells(table), note=" ".join(NOTES))


def draw(reconstruction, output_pdf, output_png, output_csv, output_html, *, config=None):
    """Read {space: reconstruction.csv}; write the table as PDF, PNG, CSV and a page."""
    table = drawn(reconstruction)
    inputs = list(reconstruction.values())
    style.save(figure(table), table, output_pdf, output_png, output_csv, inputs=inputs, config=config)
    template.write(output_html, page(table), config=config, inputs=inputs)
