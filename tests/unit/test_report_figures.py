"""Every figure: draws what its CSV holds and nothing else, writes whole files, refuses bad input by name."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from report_results import law, oracle_loss, posterior, split_of, tab1, top1, transition, write, write_run

from twostage.provenance import provenance_path
from twostage.report.figures import fig2, fig3, fig7, fig9, fig_information, fig_norms, fig_settling, nsweep
from twostage.report.figures import law as law_figure
from twostage.report.figures import tab1 as table_1
from twostage.report.results.posterior import posterior_of

FIGURES = {
    "fig2": (fig2, ("posterior", "transition", "split")),
    "fig3": (fig3, ("top1",)),
    "fig7": (fig7, ("oracle_loss", "split")),
    "fig9": (fig9, ("oracle_loss", "split", "pair_errors", "posterior", "transition")),
    "fig_information": (fig_information, ("information",)),
    "fig_norms": (fig_norms, ("pair_errors", "split")),
    "fig_settling": (fig_settling, ("settling", "pictures", "followed_images")),
    "law": (law_figure, ("transition", "curves", "synthetic_transition", "synthetic_curves")),
    "nsweep": (nsweep, ("nsweep",)),
    "tab1": (table_1, ("evaluation",)),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    for name, (module, sources) in FIGURES.items():
        outputs = {f"output_{suffix}": folder / f"{name}.{suffix}" for suffix in ("pdf", "png", "csv")}
        module.draw(**{source: run[source] for source in sources}, **outputs, config={"seed": 0})
    return folder


def lines(picture):
    """Every line drawn: list of (axes number, x, y, line style)."""
    return [
        (number, np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float), line.get_linestyle())
        for number, axes in enumerate(picture.axes)
        for line in axes.lines
    ]


def names(picture):
    """What the legends call what is drawn."""
    return [label for axes in picture.axes for label in axes.get_legend_handles_labels()[1]]


def drawn_in(picture, axes, x, y):
    return any(
        number == axes and len(found_y) == len(y) and np.allclose(found_x, x) and np.allclose(found_y, y)
        for number, found_x, found_y, _ in lines(picture)
    )


@pytest.mark.parametrize("name", FIGURES)
def test_writes_pdf_png_and_csv_each_with_provenance(made, name):
    assert (made / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert (made / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    for suffix in ("pdf", "png", "csv"):
        assert provenance_path(made / f"{name}.{suffix}").is_file()


@pytest.mark.parametrize("name", FIGURES)
def test_the_csv_alone_gives_the_picture_back(run, made, name):
    module, sources = FIGURES[name]
    again = module.figure(pd.read_csv(made / f"{name}.csv"))
    first = module.figure(module.drawn(*(run[source] for source in sources)))
    assert names(again) == names(first)
    assert len(lines(again)) == len(lines(first)) > 0
    for one, two in zip(lines(again), lines(first)):
        assert one[0] == two[0]
        np.testing.assert_allclose(one[2], two[2], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "axes", "choose", "quantity"),
    [
        ("fig2", 0, "space == 'pixel' and conditioning == 'class'", "mse"),
        ("fig2", 0, "space == 'vae' and conditioning == 'all'", "mse"),
        ("fig2", 1, "space == 'vae' and conditioning == 'class'", "top1"),
        ("fig2", 2, "space == 'vae' and conditioning == 'class'", "mse_offset"),
        ("fig3", 0, "panel == 'dimension' and dim == 2048 and precision == 'exact'", "top1"),
        ("fig3", 1, "panel == 'size' and size == 100 and precision == 'exact'", "top1"),
        ("fig3", 2, "panel == 'dimension' and dim == 8192 and precision == 'bfloat16'", "top1"),
        ("fig7", 0, "space == 'pixel' and model == 'XL' and step == 1200", "cfm"),
        ("fig7", 0, "space == 'pixel' and model == 'XL' and step == 1200", "oracle"),
        ("fig7", 4, "space == 'vae' and model == 'S' and step == 600", "oracle"),
        ("fig7", 4, "space == 'vae' and model == 'XL' and step == 600", "oracle"),
        ("fig9", 1, "space == 'vae' and step == 150", "oracle"),
        ("law", 3, "kind == 'curve' and choice == 'worst' and space == 'pixel'", "measured"),
        ("law", 3, "kind == 'curve' and choice == 'worst' and space == 'pixel'", "predicted"),
        ("fig_information", 1, "space == 'vae' and conditioning == 'all'", "by_gap"),
        ("fig_information", 0, "space == 'pixel' and conditioning == 'label'", "by_entropy"),
        ("fig_norms", 0, "space == 'pixel' and model == 'oracle'", "over_conditional"),
        ("fig_norms", 4, "space == 'vae' and model == 'S'", "over_oracle"),
        ("fig_norms", 5, "space == 'vae' and model == 'oracle'", "lacks"),
        ("nsweep", 0, "space == 'pixel' and pool == 'pooled'", "predicted"),
    ],
)
def test_the_csv_holds_what_is_drawn(run, made, name, axes, choose, quantity):
    module, sources = FIGURES[name]
    picture = module.figure(module.drawn(*(run[source] for source in sources)))
    rows = pd.read_csv(made / f"{name}.csv").query(choose)
    assert len(rows) > 1
    assert drawn_in(picture, axes, rows["n" if name == "nsweep" else "t"], rows[quantity])


def test_bands_are_95_percent(run):
    table = fig2.drawn(run["posterior"], run["transition"], run["split"])
    band = fig2.figure(table).axes[1].collections[0].get_paths()[0].vertices[:, 1]
    rows = posterior_of(table, "pixel")
    assert band.max() == pytest.approx((rows["top1"] + 1.96 * rows["top1_sem"]).max())


def test_the_same_results_give_the_same_bytes(run, made, tmp_path):
    again = {f"output_{suffix}": tmp_path / f"fig2.{suffix}" for suffix in ("pdf", "png", "csv")}
    fig2.draw(run["posterior"], run["transition"], run["split"], **again)
    for path in again.values():
        assert path.read_bytes() == (made / path.name).read_bytes()


def test_pooled_rows_only_are_drawn_in_fig2(run):
    table = fig2.drawn(run["posterior"], run["transition"], run["split"])
    assert table.groupby(["space", "conditioning", "t"]).size().eq(1).all()


def test_paper_points_stand_at_their_times(run):
    table = fig3.drawn(run["top1"])
    known = table.dropna(subset="paper").query("dim == 512 and precision == 'exact'")
    assert dict(zip(known["t"].round(2), known["paper"])) == {
        0.10: 0.19,
        0.12: 0.39,
        0.16: 0.81,
        0.18: 0.92,
        0.20: 0.98,
    }


def test_a_title_tells_no_number_that_is_not_there(tmp_path):
    """Sizes of which the paper has no points, on a grid that ends before a curve reaches one half."""
    table = top1()
    table["dim"] += 1
    path = tmp_path / "top1.csv"
    table[table["t"] < 0.05].to_csv(path, index=False)
    titles = [axes.get_title(loc) for axes in fig3.figure(fig3.drawn(path)).axes for loc in ("left", "center")]
    assert not [title for title in titles if "nan" in title.lower()]
    assert any("not reached" in title for title in titles)


def test_sizes_are_compared_at_the_training_length_all_reached(run):
    table = fig7.drawn(run["oracle_loss"], run["split"])
    steps = table.drop_duplicates(["space", "model", "step"]).groupby(["model", "length"])["step"].first()
    assert steps.to_dict() == {
        ("B", "shared"): 600,
        ("S", "shared"): 600,
        ("XL", "shared"): 600,
        ("XL", "longer"): 1200,
    }
    assert set(table.loc[table["largest"], "model"]) == {"XL"}
    _, sources = FIGURES["fig9"]
    assert set(fig9.drawn(*(run[source] for source in sources))["step"]) == {75, 150, 300, 600, 1200}


def test_fig9_of_a_model_made_elsewhere_speaks_of_no_training(run):
    """A run whose only models are foreign shows the first: one snapshot, of no known number of steps."""
    table = fig9.drawn(*(run[source] for source in FIGURES["fig9"][1]))
    picture = fig9.figure(table[table["step"] == 1200].assign(step=0))
    assert [name for name in names(picture) if "stage" not in name][::2] == ["trained elsewhere"] * 2
    titles = [" ".join(axes.get_title(loc="left").split()) for axes in picture.axes]
    assert all("oracle loss of XL, trained elsewhere; mean after the split 0." in title for title in titles)
    assert not any("as it trains" in title or " to " in title.split(";")[1] for title in titles)


def test_a_fixed_split_replaces_the_measured_one(run, tmp_path):
    fixed = {space: write(tmp_path, f"{space}.json", split_of(0.2, "fixed")) for space in run["split"]}
    table = fig7.drawn(run["oracle_loss"], fixed)
    assert set(table["split"]) == {0.2}
    assert table["split_low"].isna().all()
    assert any(np.allclose(x, 0.2) and style == ":" for _, x, _, style in lines(fig7.figure(table)))


def test_models_are_named_smallest_first_and_must_be_there(run):
    table = fig7.drawn(run["oracle_loss"], run["split"], models=["XL", "S"])
    assert set(table.loc[table["largest"], "model"]) == {"S"}
    with pytest.raises(ValueError, match="no rows of model 'M'; it has S, B, XL"):
        fig7.drawn(run["oracle_loss"], run["split"], models=["S", "M"])


def test_table_1_gives_means_over_the_seeds_with_their_intervals(tmp_path):
    rows = tab1(distances={("XL", "XL"): 2.0, ("B", "XL"): 2.5}, noise=0.0)
    rows.loc[rows["plan"] == "tab1-measured-B-XL", "distance"] = [2.0, 2.5, 3.0]
    table = table_1.drawn({"pixel": write(tmp_path, "tab1.csv", rows)})
    headings, cells, _ = table_1.cells(table)
    assert headings[:5] == ["split", "stage 1", "stage 2", "pixel, Fréchet distance (classifier)", "pixel, change"]
    assert [cell.text for cell in cells[1]] == ["measured", "B", "XL", "2.50 ± 1.24", "+0.5 ± 1.2", "3.71", "4.47"]


def test_only_inception_distances_are_called_gfid(tmp_path):
    rows = tab1().assign(features="inception")
    headings, *_ = table_1.cells(table_1.drawn({"pixel": write(tmp_path, "tab1.csv", rows)}))
    assert headings[3] == "pixel, gFID"


def test_table_1_page_is_self_contained(run, tmp_path):
    outputs = {f"output_{suffix}": tmp_path / f"tab1.{suffix}" for suffix in ("pdf", "png", "csv", "html")}
    table_1.draw(run["evaluation"], **outputs)
    page = outputs["output_html"].read_text()
    assert "t = 0.450 (pixel)" in page
    assert not [word for word in ("http://", "https://", "src=", "@import", "url(") if word in page]


def test_columns_of_the_paper_stand_only_where_something_compares(tmp_path):
    rows = tab1()
    ours = table_1.drawn({"pixel": write(tmp_path, "ours.csv", rows)})
    renamed = rows.assign(**{stage: "my_" + rows[stage] for stage in ("stage_1", "stage_2")})
    others = table_1.drawn({"pixel": write(tmp_path, "others.csv", renamed)})
    assert table_1.cells(ours)[0][-2:] == ["paper, split 0.1", "paper, split 0.2"]
    headings, cells, quiet = table_1.cells(others)
    assert headings[-1] == "pixel, change"
    assert {len(row) for row in cells} == {len(headings)}
    assert quiet == ()
    assert [any("Paper" in line for line in table_1.notes(table)) for table in (ours, others)] == [True, False]


def test_plans_that_are_no_stage_swaps_are_refused(tmp_path):
    rows = tab1().drop(columns=["stage_1", "split_at"])
    with pytest.raises(ValueError, match=r"tab1.csv lacks the column\(s\) stage_1, split_at"):
        table_1.drawn({"pixel": write(tmp_path, "tab1.csv", rows)})


def test_table_1_names_the_split_that_its_samples_were_swapped_at(tmp_path):
    paths = {
        space: write(tmp_path, f"{space}.csv", tab1(split="fixed").assign(split_at=0.25, split_low=np.nan))
        for space in ("pixel", "vae")
    }
    assert "Stage split, fixed: t = 0.250 (pixel), t = 0.250 (vae)." in table_1.notes(table_1.drawn(paths))
    own = table_1.drawn({"pixel": write(tmp_path, "own.csv", tab1(split="0.1").assign(split_at=5e-5))})
    assert set(own["split"]) == {"5e-05"}
    assert not any("Stage split" in line for line in table_1.notes(own))


def test_law_draws_median_and_worst_case_of_each_group(run):
    table = law_figure.drawn(*(run[name] for name in FIGURES["law"][1]))
    shown = table[table["kind"] == "curve"].drop_duplicates(["space", "choice", "label"])
    assert len(shown) == 6
    worst = shown[(shown["space"] == "pixel") & (shown["choice"] == "worst")]
    assert worst["conditioning"].tolist() == ["all"]  # curve error 0.06 against 0.05


def test_law_of_a_class_of_one_image_has_no_place_on_logarithmic_axes(run):
    table = law_figure.drawn(*(run[name] for name in FIGURES["law"][1]))
    chosen = (table["kind"] == "point") & (table["conditioning"] == "class") & (table["label"] == "0")
    assert chosen.any()
    table.loc[chosen, ["measured", "predicted"]] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = law_figure.figure(table).axes[0]
    rest = table.loc[~chosen & (table["kind"] == "point"), ["measured", "predicted"]].to_numpy(dtype=float)
    assert axes.get_xlim() == pytest.approx((0.8 * np.nanmin(rest), min(1, 1.25 * np.nanmax(rest))))


def groups_of_law(picture):
    """What the law's panel (b) calls its groups."""
    return [text.get_text().replace("\n", " ") for text in picture.axes[1].texts]


def test_law_without_any_error_is_drawn(run):
    table = law_figure.drawn(*(run[name] for name in FIGURES["law"][1]))
    axes = law_figure.figure(table.assign(error=np.nan)).axes[1]
    assert axes.get_xlim() == (-20, 20)


def test_law_without_a_synthetic_grid_or_an_unconditional_posterior(tmp_path):
    content = transition("pixel", 0.4)
    del content["unconditional"]
    table = law_figure.drawn(
        {"pixel": write(tmp_path, "transition.json", content)}, {"pixel": write(tmp_path, "law.csv", law(0.4))}
    )
    assert set(table["conditioning"]) == {"class"}
    assert groups_of_law(law_figure.figure(table)) == ["pixel, classes: 5, median 3.0%, worst 3.0%"]


def test_a_transition_that_was_not_reached_leaves_out_the_line(tmp_path):
    content = transition("pixel", 0.4)
    content["classes"][0] |= {"measured": None, "interval": [None, None]}
    paths = {"pixel": write(tmp_path, "transition.json", content)}
    points = law_figure.drawn(paths, {"pixel": write(tmp_path, "law.csv", law(0.4))})
    assert points.query("kind == 'point'")["error"].isna().sum() == 1
    assert groups_of_law(law_figure.figure(points)) == [
        "pixel, classes: 4, median 3.0%, worst 3.0%",
        "pixel, all data: 1, median 3.0%, worst 3.0%",
    ]


def test_one_space_and_one_model_are_enough(tmp_path):
    losses = oracle_loss(0.4, sizes={"tiny": 1.0}, longer=None)
    table = fig7.drawn({"x": write(tmp_path, "loss.csv", losses)}, {"x": write(tmp_path, "split.json", split_of(0.4))})
    picture = fig7.figure(table)
    assert len(picture.axes) == 3
    assert names(picture).count("tiny (600 steps)") == 2
    assert drawn_in(picture, 1, table["t"], table["oracle"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not there; expected the CSV of an earlier stage"),
        ("", "cannot be read as CSV"),
        ("panel,dim\n", "lacks the column"),
        (top1().head(0).to_csv(index=False), "has no rows"),
    ],
)
def test_bad_results_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "top1.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message) as raised:
        fig3.drawn(path)
    assert "top1.csv" in str(raised.value)


def test_a_broken_transition_is_refused_by_name(run, tmp_path):
    broken = tmp_path / "transition.json"
    for content, message in (("{", "cannot be read as JSON"), ("{}", "no key 'split'")):
        broken.write_text(content)
        with pytest.raises(ValueError, match=message):
            fig2.drawn({"pixel": run["posterior"]["pixel"]}, {"pixel": broken})


def test_posterior_without_pooled_rows_is_refused(tmp_path):
    rows = posterior(0.4)
    path = write(tmp_path, "posterior.csv", rows[rows["label"] != "pooled"])
    with pytest.raises(ValueError, match="no row with conditioning 'class' and label 'pooled'"):
        fig2.drawn({"pixel": path}, {"pixel": write(tmp_path, "transition.json", transition("pixel", 0.4))})


def test_the_report_imports_no_torch_and_nothing_of_the_other_stages():
    code = """
import importlib, pkgutil, sys, twostage.report
for module in pkgutil.walk_packages(twostage.report.__path__, "twostage.report."):
    importlib.import_module(module.name)
stages = ("data", "oracle", "model", "training", "sampling", "evaluation", "flow", "config")
heavy = [name for name in sys.modules if name == "torch" or name in {f"twostage.{stage}" for stage in stages}]
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
