"""The overview, the side-by-side page, and what made each number."""

import contextlib
import json
import math
import re
from html import unescape

import pandas as pd
import pytest
from report_pictures import faults
from report_results import checked_claim, described, tab1, write, write_run

from twostage.provenance import sha256, write_provenance
from twostage.report import template
from twostage.report.claims import verdicts
from twostage.report.figures import fig2, side_by_side
from twostage.report.pages import captions, overview, stages
from twostage.report.pages import claims as claims_page
from twostage.report.pages import lineage as links
from twostage.report.pages.side_by_side import write as write_side_by_side
from twostage.report.results import lineage, paper, parts
from twostage.report.results.run import Results
from twostage.report.results.sources import SOURCES

CONFIG = {"run": "toy", "seed": 0, "data": {"name": "digits"}, "spaces": {"pixel": {}, "vae": {}}, "models": {"B": {}}}


def tab2():
    rows = [
        (f"tab2-shift_{s:g}", seed, "classifier", 3 + abs(s - 0.5), share)
        for s, (share, _) in paper.TABLE2.items()
        for seed in (0, 1)
    ]
    return described(pd.DataFrame(rows, columns=["plan", "seed", "features", "distance", "share_before_0.2"])).assign(
        steps=50
    )


def tab3():
    plans = ["tab3-none", *(f"tab3-{low:g}-{high:g}" for low, high in paper.TABLE3_SHORT), "tab3-0.1-1"]
    rows = [(plan, seed, "classifier", 5.0 + len(plan) / 10) for plan in plans for seed in (0, 1)]
    return described(pd.DataFrame(rows, columns=["plan", "seed", "features", "distance"]))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run = write_run(folder)
    run["tab1"] = run.pop("evaluation")
    run["tab2"] = {"pixel": write(folder, "pixel/tab2.csv", tab2())}
    run["tab3"] = {"pixel": write(folder, "pixel/tab3.csv", tab3())}
    return {name: run[name] for name in SOURCES if name in run}


# ------------------------------------------------------------------------------------------ side by side


@pytest.fixture(scope="module")
def beside(sources):
    return side_by_side.drawn(Results(**sources))


def test_every_known_number_of_the_paper_stands_beside_ours(beside):
    assert set(beside["item"]) == set(side_by_side.ITEMS)
    theirs = beside[beside["source"] == "paper"]
    known = [
        *(value for points in (*paper.FIG2A.values(), *paper.FIG2B.values()) for _, value in points),
        *(value for _, value in (*paper.FIG2A_TAIL, *paper.FIG7A_ORACLE, *paper.FIG7A_CFM)),
        *(value for curve in (paper.FIG3_DIMENSION | paper.FIG3_SIZE).values() for _, value in curve),
        *paper.FIG7B_DIP.values(),
        *(value for values in paper.TABLE1.values() for value in values.values()),
        *(value for values in paper.TABLE2.values() for value in values),
        paper.TABLE3_NONE,
        *paper.TABLE3_SHORT.values(),
    ]  # fmt: skip
    assert sorted(theirs["value"]) == sorted(known)
    for item, rows in beside.groupby("item"):
        assert (rows["source"] == "this run").any(), item


def test_ours_are_read_where_the_paper_s_are(beside, sources):
    table = fig2.drawn(sources["posterior"], sources["transition"], sources["split"])
    rows = table[(table["space"] == "pixel") & (table["conditioning"] == "class")]
    found = beside[(beside["item"] == "Fig. 2b") & (beside["case"] == "pixel, same t")].set_index("at")["value"]
    expected = rows[rows["t"].round(6) == 0.06]["top1"].iloc[0]
    assert found["t = 0.06"] == pytest.approx(expected)


def test_the_same_place_is_as_far_from_the_split():
    assert side_by_side.same_place(0.06, 0.06, 0.4) == pytest.approx(0.4)
    s = lambda t: t / (1 - t)  # noqa: E731
    moved = side_by_side.same_place(0.09, 0.06, 0.4)
    assert s(moved) / s(0.4) == pytest.approx(s(0.09) / s(0.06))
    assert side_by_side.same_place(0.0, 0.06, 0.4) == 0
    assert side_by_side.same_place(1.0, 0.06, 0.4) == 1


def test_means_over_seeds_have_their_interval(beside):
    rows = beside[(beside["item"] == "Tab. 1") & (beside["source"] == "this run") & (beside["at"] == "XL then XL")]
    distances = tab1().query("plan == 'tab1-measured-XL-XL'")["distance"]
    assert rows["value"].iloc[0] == pytest.approx(distances.mean())
    assert rows["low"].iloc[0] < distances.min()
    assert rows["high"].iloc[0] > distances.max()


def test_names_of_other_people_s_runs_are_drawn_whole(beside):
    long, ours = "a_latent_space_of_forty_letters_or_more_", beside["source"] == side_by_side.OURS
    table = beside.copy()
    table.loc[ours, "case"] = table["case"].str.replace(r"^(pixel|vae)", rf"{long}\1", regex=True)
    table.loc[ours & (table["item"] == "Fig. 7b"), "at"] = "my_model_" + table["at"]
    made = side_by_side.figure(table)
    assert faults(made) == []
    models, pairs = made.axes[4:6]
    shown = {text.get_text() for text in models.texts}
    assert {f"my_model_{name}" for name in ("S", "B", "XL")} | {"S", "B", "XL"} <= shown
    assert "relative to S or my_model_S" in models.get_title(loc="left").replace("\n", " ")
    words = {text.get_text().replace("\n", " ") for text in pairs.get_legend().get_texts()}
    assert f"{long}pixel, classifier, measured split" in words
    bars = [bar.get_y() for bar in models.patches]
    assert len(bars) == len(set(bars))


def test_what_this_run_has_nothing_of_has_no_panel(beside):
    rows = beside["item"].isin(["Fig. 2a", "Tab. 1"]) | (beside["source"] == side_by_side.PAPER)
    titles = [axes.get_title("left") for axes in side_by_side.figure(beside[rows]).axes]
    assert [title[:11] for title in titles] == ["(a) Fig. 2a", "(b) Tab. 1:"]


def test_the_page_says_where_the_scale_differs(sources, tmp_path):
    write_side_by_side(tmp_path / "side_by_side.html", tmp_path / "side_by_side.csv", **sources)
    page = (tmp_path / "side_by_side.html").read_text()
    assert page.count("Another scale") == len(side_by_side.ITEMS) - len(side_by_side.SAME_SCALE)
    assert not [word for word in ("http://", "https://", "@import", "url(") if word in page]
    csv = pd.read_csv(tmp_path / "side_by_side.csv")
    assert list(csv.columns) == list(side_by_side.COLUMNS)
    assert csv["value"].notna().all()


def test_a_run_without_results_has_an_empty_comparison(tmp_path):
    write_side_by_side(tmp_path / "a.html", tmp_path / "a.csv")
    assert "<img" not in (tmp_path / "a.html").read_text()
    assert pd.read_csv(tmp_path / "a.csv").empty


# ------------------------------------------------------------------------------------------ what made what


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """images.zip, from outside, -> data/x/latents.h5 -> oracle/x/posterior.csv -> report/fig2.png, in a run."""
    monkeypatch.chdir(tmp_path)
    names = [
        "images.zip",
        *(f"results/toy/{name}" for name in ("data/x/latents.h5", "oracle/x/posterior.csv", "report/fig2.png")),
    ]
    for number, name in enumerate(names):
        write(tmp_path, name, {"number": number})
        if number:
            write_provenance(name, config={"step": number}, seed=7, inputs=[names[number - 1]])
    return names


def test_the_lineage_goes_down_to_what_came_from_outside(chain):
    records = lineage.lineage([chain[-1]])
    assert list(records) == chain[::-1]
    assert records["images.zip"] == {"sha256": sha256("images.zip"), "inputs": {}}
    assert records[chain[1]]["config"] == {"step": 1}
    assert lineage.edges(records, "results/toy") == {("data", "oracle"), ("oracle", "report")}


def test_every_row_says_what_made_it_and_every_link_has_its_row(chain):
    rows = links.rows(lineage.lineage([chain[-1]]), "results/toy")
    page = str(template.PAGES.get_template("pages/lineage.html").module.artefacts(rows))
    ids = set(re.findall(r'id="([^"]+)"', page))
    assert len(ids) == 4
    assert set(re.findall(r'href="#([^"]+)"', page)) <= ids
    assert f">{sha256('images.zip')[:12]}<" in page
    assert "not made by the workflow" in page


def test_a_broken_provenance_is_refused_by_name(chain, tmp_path):
    (tmp_path / f"{chain[-1]}.provenance.json").write_text("{")
    with pytest.raises(ValueError, match=r"fig2\.png\.provenance\.json is not JSON"):
        lineage.lineage([chain[-1]])


def test_stages_show_their_jobs_and_times(tmp_path):
    for name, seconds in (("train/pixel/S.tsv", 60), ("train/pixel/B.tsv", 90), ("report/fig2.tsv", 2), ("x.tsv", 1)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\n{seconds}\t0:00:00\n")
    done = stages.work(tmp_path, {"train_S": "training", "train_B": "training"})
    assert done == {"training": (2, 150.0), "report": (1, 2.0)}
    drawing = stages.drawing({("training", "report"), ("training", "elsewhere")}, done)
    svg = template.render("pages/stages.html", stages=drawing)
    assert "2 jobs, 2 min" in svg
    assert svg.count("marker-end") == 1


# ------------------------------------------------------------------------------------------ the overview


@pytest.fixture(scope="module")
def made(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    write(folder, "captions/fig2.rst", {})
    (folder / "captions/fig2.rst").write_text('**Where they part.** Run {{ snakemake.config["run"] }}.')
    with contextlib.chdir(folder):
        report = "results/toy/report"
        files = {f"output_{suffix}": f"{report}/fig2.{suffix}" for suffix in ("pdf", "png", "csv")}
        fig2.draw(sources["posterior"], sources["transition"], sources["split"], **files)
        verdicts.write(f"{report}/claims.json", f"{report}/claims.csv", **sources)
        arguments = {"config": CONFIG, "captions": "captions", "benchmarks": "benchmarks", "stage_of_rule": {}}
        items = {"fig2": "The training target", "fig7": "What models learn"}
        overview.write(f"{report}/overview.html", "results/toy", f"{report}/claims.json", items, **arguments)
    return folder / report


def test_the_overview_has_claims_figures_captions_and_their_provenance(made, sources):
    page = (made / "overview.html").read_text()
    assert page.index('id="claims"') < page.index('id="fig2"') < page.index('id="provenance"')
    assert "<strong>Where they part.</strong> Run toy." in page
    assert 'data-file="fig2.png"' in page
    assert 'id="fig7"' not in page  # not drawn in this run
    for path in (*sources["posterior"].values(), *sources["transition"].values(), *sources["split"].values()):
        assert f'id="{links.anchor(path)}"' in page
    content = json.loads((made / "claims.json").read_text())
    of_figure = [c for c in content["claims"] if c["figure"] == "fig2" and c["verdict"] != "not tested"]
    figure = page[page.index('<div class="item" id="fig2">') :]
    assert all(f"{claim['verdict']}</span> {claim['statement']}" in unescape(figure) for claim in of_figure)
    assert of_figure


def test_claims_name_the_files_they_were_checked_on(made, sources):
    content = json.loads((made / "claims.json").read_text())
    by_id = {claim["id"]: claim for claim in content["claims"]}
    expected = [*sources["posterior"].values(), *sources["transition"].values()]
    assert by_id["no-tail"]["sources"] == [str(path) for path in expected]


def test_the_overview_goes_into_a_report_of_snakemake_whole(made):
    frame = overview.frame(made / "overview.html")
    assert frame.startswith('<iframe class="overview"')
    assert "</script>" not in frame  # none of the overview's own ends the script that the report has it in


def test_a_report_of_something_else_is_refused(tmp_path):
    (tmp_path / "other.html").write_text("<p></p>")
    with pytest.raises(ValueError, match="expected a report of Snakemake"):
        overview.mend(tmp_path / "other.html")


def test_claims_that_cannot_be_read_are_refused_by_name(tmp_path):
    (tmp_path / "claims.json").write_text("{")
    arguments = {"config": CONFIG, "captions": ".", "benchmarks": ".", "stage_of_rule": {}}
    with pytest.raises(ValueError, match=r"claims\.json cannot be read as claims"):
        overview.write(tmp_path / "o.html", tmp_path, tmp_path / "claims.json", {}, **arguments)


def test_captions_that_are_not_there_leave_nothing(tmp_path):
    assert captions.caption(tmp_path / "none.rst", {}) == ""


@pytest.mark.parametrize(
    ("sources", "part"),
    [
        (["oracle/x/transition.json"], "The training target"),
        (["synthetic/top1.csv"], "The training target"),
        (["training/x/oracle_loss.csv", "oracle/x/transition.json"], "What models learn"),
        (["samples/x/fig8.csv", "oracle/x/transition.json"], "Along the trajectories"),
        (["evaluation/x/tab1.csv", "training/x/oracle_loss.csv"], "What is sampled"),
        ([], "The training target"),
    ],
)
def test_a_figure_belongs_to_the_latest_stage_it_reads(sources, part):
    assert parts.part_of(sources) == part


def test_numbers_without_an_interval_are_written_without_one():
    claim = claims_page.shown(checked_claim("", interval=None))
    numbers = template.PAGES.get_template("pages/verdicts.html").module.numbers(claim)
    assert "<strong>50%</strong>" in numbers
    assert "[" not in numbers
    assert claims_page.written(math.nan, "share") == "–"
