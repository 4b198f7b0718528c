"""Figures and tables of sampled images: draw what their CSV holds and nothing else, refuse bad input by name."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from report_results import described, oracle_loss, posterior, split_of, tab1, transition, with_parts, write

from twostage.hdf5 import write_texts
from twostage.provenance import provenance_path
from twostage.report.figures import (
    fig5,
    fig6,
    fig8,
    fig_flux,
    fig_memorization,
    fig_samples,
    fig_shift,
    fig_spaces,
    pictures,
    tab2,
    tab3,
    tab_gain,
    tab_plans,
)  # fmt: skip
from twostage.report.results import paper
from twostage.report.results.memorization import control_of, distances_of_plans, memorization_distances
from twostage.sampling.experiments import SHIFTS

SPLITS = {"pixel": 0.45, "vae": 0.4}
SWITCHES, RESUMES = (0, 0.1, 0.4, 1), (0.1, 0.8)
SUFFIXES = ("pdf", "png", "csv")


def distances(name, plans, seeds=(0, 1, 2), jitter=0.05):
    """An evaluation's table: {plan: distance}, all plans moved alike by a seed, and each a little by itself."""
    rows = []
    for number, (plan, distance) in enumerate(plans.items()):
        for seed in seeds:
            value = distance + 0.5 * seed + jitter * np.cos(3 * seed + number)
            rows.append((f"{name}-{plan}", seed, "classifier", value, 1000, 50, 50, 1.0 if plan == "none" else 2.0))
    table = pd.DataFrame(rows, columns=["plan", "seed", "features", "distance", "samples", "nfe", "steps", "guidance"])
    return described(table.assign(**{"share_before_0.2": 0.22}))


def tab2_results(best=0.7):
    table = distances("tab2", {f"shift_{s:g}": 4 + abs(np.log(s / best)) for s in paper.TABLE2})
    uniform = np.arange(50) / 50
    starts = [s * uniform / (1 + (s - 1) * uniform) for s in table["shift"]]
    return table.assign(**{"share_before_0.2": [np.mean(times <= 0.2 + 1e-9) for times in starts]})


def tab3_results():
    plans = {"none": 10.0} | {f"{k / 10:g}-{(k + 1) / 10:g}": 8 + abs(k - 3) for k in range(10)}
    wide = {
        f"{low:g}-{high:g}": 6 + abs(low - 0.1) + abs(high - 0.8) for low in (0, 0.1, 0.2) for high in (0.4, 0.8, 1)
    }
    named = {"transition": 5.8, "class": 6.2}
    beside = {"B-3-0-1": 9.0, "B-3-class": 7.0, "XL-none": 7.0, "XL-2-0-1": 6.0, "XL-2-class": 5.0}
    return distances("tab3", plans | wide | named | beside)


def gain_results(of_longer=10.0, late=0.0):
    """Distances that fall, or with ``of_longer`` below 0 rise, with alpha, and by ``late`` where beta is 0."""
    gains = {"none": (np.nan, np.nan), "0.1-1": (0.1, 1), "0.2-1": (0.2, 1), "0.2-0": (0.2, 0), "-0.1-1": (-0.1, 1)}
    levels = {name: 5 - of_longer * np.nan_to_num(alpha) - late * (beta == 0) for name, (alpha, beta) in gains.items()}
    table = distances("tab_gain", levels)
    alpha, beta = zip(*(gains[plan.removeprefix("tab_gain-")] for plan in table["plan"]))
    return table.assign(kind=["none" if np.isnan(a) else "gain" for a in alpha], gain_alpha=alpha, gain_beta=beta)


def own_plans():
    table = distances("tab_plans", {"plain": 5.0, "late_guidance": 3.0})
    guided = table["plan"].str.endswith("guidance")
    table["guidance"], table["interval"] = np.where(guided, 2.0, 1.0), np.where(guided, "0.45-1", "")
    return table.assign(fields="XL", solver="euler")


def trajectories(fields=("B", "oracle")):
    t = np.arange(50) / 50
    tables = []
    for number, field in enumerate(fields):
        columns = {"plan": f"fig8-{field}", "field": field, "t": t, "samples": 100}
        for measure, values in (
            ("norm", 1.2 + np.sin(3 * t + number)), ("to_end", 0.6 * (1 - t)), ("layout_to_end", 0.3 * (1 - t) ** 2),
            ("to_class_mean", t / 2),
        ):  # fmt: skip
            columns |= {measure: values, f"{measure}_sem": 0.01}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def memorization(time, times, seeds=(0, 1)):
    rows = []
    for t in [*times, None]:
        for seed in seeds if t is not None else (-1,):
            for space, scale in (("pixel", 40), ("classifier", 4)):
                far = scale * (1 - (t if t is not None else 0.3)) + 0.1 * seed
                row = {"plan": "held-out images" if t is None else f"x-{t:g}", "seed": seed, "space": space}
                row |= {"t_switch": np.nan, "t_resume": np.nan, "samples": 100 + 100 * max(seed, 0)}
                row |= {time: np.nan if t is None else t}
                for name, value in (
                    ("followed_distance", np.nan if t is None else far), ("nearest_distance", 0.8 * far),
                    ("ratio", 0.8), ("copied", 0.25 * (t or 0)), ("retrieved", np.nan if t is None else t),
                    ("within_one_grey_level", np.nan if t is None else float(t == 1)),
                ):  # fmt: skip
                    row |= {name: value, f"{name}_sem": 0.02}
                rows.append(row)
    return pd.DataFrame(rows)


CLASSES = [
    "golden retriever",
    "n02099601",
    "café",
    "7",
    "001",
    "ant",
    "a class with a long, long name of its own",
    "x$y$",
]


def write_pictures(path, times, *, side=8, channels=1, rows=8, plans=None, seed=0, followed=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    draw = lambda *shape: random.integers(0, 256, (*shape, side, side, channels), dtype=np.uint8)  # noqa: E731
    with h5py.File(path, "w") as file:
        file["images"], file["nearest"] = draw(rows, len(times)), draw(rows, len(times))
        if followed:
            file["followed"] = draw(rows)
        file["labels"], file["index"] = np.arange(rows) // 2, np.arange(rows)
        file["columns"] = plans or [f"x-{t:g}" for t in times]
        file["t"] = np.array(times, dtype=float)
        write_texts(file, "class_names", CLASSES)
    return path


def write_trajectory(path, field, times=(0, 0.2, 0.4, 1), labels=(3, 3, 5, 7), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (len(labels), len(times), 8, 8, 1)
    with h5py.File(path, "w") as file:
        file["predictions"] = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        file["times"], file["labels"] = np.array(times, dtype=float), np.array(labels)
        write_texts(file, "class_names", CLASSES)
        file.attrs["name"] = f"fig8-{field}"
        file.attrs["plan"] = json.dumps({"parts": [{"field": field}]})
    return path


def flux(shifts=(1, 0.3)):
    tables = []
    for shift in shifts:
        t = np.arange(20) / 20
        t = shift * t / (1 + (shift - 1) * t)
        columns = {"shift": shift, "t": t, "prompts": 5}
        for measure, values in (("norm", 1 + t), ("to_end", 0.6 * (1 - t)), ("layout_to_end", 0.3 * (1 - t) ** 2)):
            columns |= {measure: values, f"{measure}_sem": 0.01}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def write_flux(path, shifts=(1, 0.3), times=(0, 0.2, 1), side=16, prompt="prompt"):
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["prompts"], file["times"], file["shifts"] = [f"{prompt} {i}" for i in range(5)], times, shifts
        file["predictions"] = random.integers(0, 256, (5, len(times), side, side, 3), dtype=np.uint8)
        file["images"] = random.integers(0, 256, (5, len(shifts), side, side, 3), dtype=np.uint8)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """{figure: the arguments of its ``draw``} of an imaginary run."""
    folder = tmp_path_factory.mktemp("run")
    made = lambda name, content: {s: write(folder, f"{s}/{name}", content(s)) for s in SPLITS}  # noqa: E731
    shown = lambda name, *details, **options: {  # noqa: E731
        s: write_pictures(folder / s / f"{name}.h5", *details, **options) for s in SPLITS
    }
    splits = made("split.json", lambda s: split_of(SPLITS[s]))
    switch = made("fig5.csv", lambda s: memorization("t_switch", SWITCHES))
    resume = made("fig6.csv", lambda s: memorization("t_resume", RESUMES))
    models = ["fig_samples-B", "fig_samples-XL"]
    return {
        "tab2": {"evaluation": made("tab2.csv", lambda s: tab2_results()), "split": splits},
        "tab3": {"evaluation": made("tab3.csv", lambda s: tab3_results()), "split": splits},
        "tab_gain": {"evaluation": made("tab_gain.csv", lambda s: gain_results()), "split": splits},
        "tab_plans": {"evaluation": made("tab_plans.csv", lambda s: own_plans()), "split": splits},
        "fig8": {
            "trajectories": made("fig8.csv", lambda s: trajectories()),
            "pictures": {s: [write_trajectory(folder / s / f"{f}.h5", f) for f in ("B", "oracle")] for s in SPLITS},
            "split": splits,
        },
        "fig5": {"pictures": shown("fig5", SWITCHES), "memorization": switch, "split": splits},
        "fig6": {"pictures": shown("fig6", RESUMES), "memorization": resume, "split": splits},
        "fig_memorization": {"memorization_switch": switch, "memorization_resume": resume, "split": splits},
        "fig_samples": {"pictures": shown("fig_samples", [np.nan] * 2, plans=models, followed=False)},
        "fig_shift": {"split": splits, "steps": 50, "shifts": SHIFTS},
        "fig_flux": {
            "trajectories": write(folder, "flux.csv", flux()),
            "pictures": write_flux(folder / "flux.h5"),
        },
        "fig_spaces": {
            "posterior": made("posterior.csv", lambda s: posterior(SPLITS[s])),
            "oracle_loss": made("oracle_loss.csv", lambda s: oracle_loss(SPLITS[s])),
            "transition": made("transition.json", lambda s: transition(s, SPLITS[s])),
            "split": splits,
            "trajectories": made("fig8.csv", lambda s: trajectories()),
            "memorization_switch": switch,
            "tab1": made("tab1.csv", lambda s: tab1()),
            "tab2": made("tab2.csv", lambda s: tab2_results()),
        },
    }


MODULES = {
    "tab2": tab2, "tab3": tab3, "fig8": fig8, "fig5": fig5, "fig6": fig6, "fig_memorization": fig_memorization,
    "fig_samples": fig_samples, "fig_shift": fig_shift, "fig_flux": fig_flux, "fig_spaces": fig_spaces,
    "tab_gain": tab_gain, "tab_plans": tab_plans,
}  # fmt: skip


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    for name, module in MODULES.items():
        outputs = {f"output_{suffix}": folder / f"{name}.{suffix}" for suffix in SUFFIXES}
        if name.startswith("tab"):
            outputs["output_html"] = folder / f"{name}.html"
        module.draw(**run[name], **outputs, config={"seed": 0})
    return folder


def lines(picture):
    return [np.asarray(line.get_xydata(), float) for axes in picture.axes for line in axes.lines]


def has_line(picture, x, y):
    wanted = np.column_stack([x, y])
    return any(found.shape == wanted.shape and np.allclose(found, wanted) for found in lines(picture))


def texts(picture):
    return [text.get_text() for axes in picture.axes for text in axes.texts]


def sheets(picture):
    """Every sheet drawn, as its pixels."""
    return [image.get_array() for axes in picture.axes for image in axes.images]


@pytest.mark.parametrize("name", MODULES)
def test_writes_every_file_with_its_provenance(made, name):
    assert (made / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert (made / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    for suffix in (*SUFFIXES, *(["html"] if name.startswith("tab") else [])):
        assert provenance_path(made / f"{name}.{suffix}").is_file()


@pytest.mark.parametrize("name", MODULES)
def test_the_csv_gives_the_picture_back(run, made, name):
    first = MODULES[name].figure(MODULES[name].drawn(**run[name]))
    again = MODULES[name].figure(pd.read_csv(made / f"{name}.csv"))
    assert texts(again) == texts(first)
    assert len(lines(again)) == len(lines(first))
    assert lines(first) or sheets(first)
    for one, two in zip(lines(again), lines(first)):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-9)
    for one, two in zip(sheets(again), sheets(first), strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(sheets(again), sheets(first), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("name", "choose", "x", "y"),
    [
        ("fig8", "kind == 'curve' and space == 'vae' and field == 'oracle'", "t", "norm"),
        ("fig8", "kind == 'curve' and space == 'pixel' and field == 'B'", "t", "to_class_mean"),
        ("fig8", "kind == 'curve' and space == 'pixel' and field == 'B'", "t", "layout_to_end_left"),
        ("fig5", "space == 'vae' and row == 0", "column", "followed_distance"),
        ("fig6", "space == 'pixel' and row == 0", "column", "nearest_distance"),
        ("fig_memorization", "space == 'vae' and features == 'classifier' and time == 't_switch' and not control", "t",
         "nearest_distance"),
        ("fig_memorization", "space == 'pixel' and features == 'pixel' and time == 't_resume' and not control", "t",
         "copied"),
        ("fig_shift", "space == 'pixel' and shift == 0.3", "shifted", None),
        ("fig_flux", "kind == 'curve' and shift == 0.3", "t", "norm"),
        ("fig_flux", "kind == 'curve' and shift == 1", "t", "layout_to_end_left"),
        ("fig_spaces", "space == 'vae' and panel == 'weight' and line == 'unconditional'", "x", "y"),
        ("fig_spaces", "space == 'pixel' and panel == 'loss' and line == 'XL'", "x", "y"),
        ("fig_spaces", "space == 'pixel' and panel == 'followed' and line == 'the image followed'", "x", "y"),
        ("fig_spaces", "space == 'vae' and panel == 'shift'", "x", "y"),
    ],
)  # fmt: skip
def test_the_csv_holds_what_is_drawn(run, made, name, choose, x, y):
    rows = pd.read_csv(made / f"{name}.csv").query(choose)
    assert len(rows) > 1
    picture = MODULES[name].figure(pd.read_csv(made / f"{name}.csv"))
    heights = rows[y] if y else np.full(len(rows), 5)  # a shift's step starts stand on its own line
    assert has_line(picture, rows[x], heights)


# ------------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("name", ["tab2", "tab3", "tab_gain", "tab_plans"])
def test_a_table_shows_the_mean_of_its_seeds_and_its_interval(run, made, name):
    source = pd.read_csv(run[name]["evaluation"]["vae"])
    drawn = pd.read_csv(made / f"{name}.csv").query("space == 'vae'")
    for plan, own in source.groupby("plan"):
        rows = drawn[drawn["plan"] == plan]
        np.testing.assert_allclose(rows["mean"], own["distance"].mean())
        half = 4.302653 * own["distance"].std() / 3**0.5  # Student's t, three seeds
        np.testing.assert_allclose((rows["mean_high"] - rows["mean_low"]) / 2, half, rtol=1e-6)


def test_a_change_is_paired_seed_by_seed(run):
    table = tab2.drawn(run["tab2"]["evaluation"])
    source = pd.read_csv(run["tab2"]["evaluation"]["pixel"]).pivot(index="plan", columns="seed", values="distance")
    paired = source.loc["tab2-shift_4"] - source.loc["tab2-shift_1"]
    rows = table[(table["space"] == "pixel") & (table["shift"] == 4)]
    np.testing.assert_allclose(rows["change"], paired.mean())
    half = 4.302653 * paired.std() / 3**0.5
    np.testing.assert_allclose((rows["change_high"] - rows["change_low"]) / 2, half, rtol=1e-6)
    assert paired.std() < 0.3 * source.loc["tab2-shift_4"].std()


def test_own_plans_are_compared_with_the_first(made):
    _, rows = tab_plans.cells(pd.read_csv(made / "tab_plans.csv"))
    assert [[cell.text for cell in row[:5]] for row in rows] == [
        ["plain", "XL", "none", "euler", "50"],
        ["late_guidance", "XL", "2 on 0.45-1", "euler", "50"],
    ]
    assert rows[0][6].text == "–"
    assert rows[1][6].text.startswith("-2.0")
    assert rows[1][5].text.startswith("▸")


def test_precision_and_recall_stand_beside_what_they_depend_on(tmp_path):
    rows = own_plans()
    first = rows["plan"] == "tab_plans-plain"
    rows["precision"], rows["recall"] = 0.5 + 0.1 * rows["seed"], np.where(first, 0.25, np.nan)
    rows["prdc_neighbours"], rows["prdc_samples"], rows["prdc_reference"] = 5, np.where(first, 1000, 900), 1437
    drawn = tab_plans.drawn({"pixel": write(tmp_path, "tab_plans.csv", rows)})
    for table in (drawn, pd.read_csv(write(tmp_path, "drawn.csv", drawn))):
        headings, cells = tab_plans.cells(table)
        assert headings[7:] == ["pixel, precision", "pixel, recall", "pixel, k; features"]
        assert [cell.text for cell in cells[0][7:]] == ["0.600", "0.250", "5; 1,000, 1,437"]
        assert [cell.text for cell in cells[1][7:]] == ["0.600", "–", "5; 900, 1,437"]
        assert tab_plans.notes(table)[-1].startswith("Precision and recall depend on k")
        assert "5; 1,000, 1,437" in texts(tab_plans.figure(table))


def test_sfid_and_the_inception_score_stand_beside_the_distance(tmp_path):
    rows = own_plans()
    first = rows["plan"] == "tab_plans-plain"
    seeds = rows.loc[first, "seed"].nunique()
    rows["sfid"], rows["sfid_sem"] = np.where(first, 4.0, np.nan), 0.1
    rows["inception_score"], rows["inception_score_sem"] = 7.0 + rows["seed"] - rows["seed"].mean(), 0.2
    drawn = tab_plans.drawn({"pixel": write(tmp_path, "tab_plans.csv", rows)})
    headings, cells = tab_plans.cells(drawn)
    assert headings[7:] == ["pixel, sFID", "pixel, Inception score"]
    sfid, score = (scipy.stats.t.ppf(0.975, 9 * seeds) * error / seeds**0.5 for error in (0.1, 0.2))
    assert [cell.text for cell in cells[0][7:]] == [f"4.00 ± {sfid:.2f}", f"7.00 ± {score:.2f}"]
    assert cells[1][7].text == "–"
    assert "sFID" in tab_plans.notes(drawn)[-1]
    older = tab_plans.drawn({"pixel": write(tmp_path, "tab_plans.csv", own_plans())})
    assert not any("sFID" in heading for heading in tab_plans.cells(older)[0])


def test_plans_whose_reference_has_no_features_have_no_precision(tmp_path):
    rows = own_plans().assign(precision=np.nan, recall=np.nan, prdc_neighbours=np.nan)
    headings, _ = tab_plans.cells(tab_plans.drawn({"pixel": write(tmp_path, "tab_plans.csv", rows)}))
    assert not any("precision" in heading for heading in headings)


def test_the_lowest_shift_is_marked_once_a_space(run, made):
    table = pd.read_csv(made / "tab2.csv")
    assert set(table.loc[table["best"], "shift"]) == {0.7}
    _, rows, _ = tab2.cells(table)
    marked = {row[0].text for row in rows for cell in row[:-2] if cell.text.startswith("▸")}
    assert marked == {"0.7"}
    assert [row[0].text for row in rows if row[-1].text.startswith("▸")] == ["0.5"]


def test_the_shares_of_a_shift_stand_beside_the_papers(made):
    table = pd.read_csv(made / "tab2.csv").drop_duplicates("shift")
    np.testing.assert_allclose(table["share_before_0.2"], table["paper_share"], atol=1e-9)
    assert dict(zip(table["shift"], table["paper"]))[0.1] == 19.91


def test_the_distance_is_drawn_against_both_shares(run, made):
    table = pd.read_csv(made / "tab2.csv")
    rows = table[table["space"] == "vae"].drop_duplicates("shift")
    lowest, highest = rows["mean"].min(), rows["mean"].max()
    for share in ("share_before_0.2", "share_before_split"):
        rows = rows.sort_values(share)
        assert has_line(tab2.figure(table), rows[share], (rows["mean"] - lowest) / (highest - lowest))


def test_short_and_wide_intervals_have_each_their_lowest(made):
    table = pd.read_csv(made / "tab3.csv")
    lowest = table.loc[table["best"], ["space", "kind", "plan"]].drop_duplicates()
    assert lowest.to_numpy().tolist() == [
        [space, kind, plan] for space in SPLITS for kind, plan in (("short", "tab3-0.3-0.4"), ("wide", "tab3-0.1-0.8"))
    ]


def test_the_papers_short_intervals_stand_beside_and_the_lost_ones_do_not(made):
    table = pd.read_csv(made / "tab3.csv")
    assert table.loc[table["kind"] == "none", "paper"].eq(12.99).all()
    assert table.loc[table["plan"] == "tab3-0.1-0.2", "paper"].eq(5.21).all()
    assert table.loc[table["kind"] == "wide", "paper"].isna().all()


def test_every_interval_is_drawn_where_it_lies(made):
    table = pd.read_csv(made / "tab3.csv")
    picture = tab3.figure(table)
    bars = {(round(bar.get_x() + bar.get_width() / 2, 6)) for axes in picture.axes for bar in axes.patches}
    assert {0.05, 0.35, 0.95} <= bars
    none = table.query("space == 'pixel' and kind == 'none'")["mean"].iloc[0]
    wide = next(axes for axes in picture.axes if axes.get_title(loc="left").startswith("pixel (b)"))
    shown = [text.get_text() for text in wide.texts]  # row by row
    starts, ends = ([text.get_text() for text in labels] for labels in (wide.get_yticklabels(), wide.get_xticklabels()))
    for low, high in (("0.1", "0.8"), ("0.2", "1"), ("0", "0.4")):
        mean = table.query(f"space == 'pixel' and plan == 'tab3-{low}-{high}'")["mean"].iloc[0]
        assert shown[starts.index(low) * len(ends) + ends.index(high)] == f"{mean / none:.2f}"


def test_one_seed_has_intervals_where_its_distances_without_parts_are_known(tmp_path):
    one = tab2_results()[lambda table: table["seed"] == 0]
    table = tab2.drawn({"pixel": write(tmp_path, "bare.csv", one)})
    _, rows, _ = tab2.cells(table)
    assert not any("±" in cell.text for row in rows for cell in row)
    table = tab2.drawn({"pixel": write(tmp_path, "parts.csv", with_parts(one, 0.2))})
    assert tab2.notes(table)[0].startswith("One sampling seed ± 95% interval of the sampling. ")
    row = table[table["shift"] == 4].iloc[0]
    assert row["mean_high"] - row["mean"] == pytest.approx(2.262157 * 0.2, rel=1e-5)  # Student's t, 9 degrees
    assert 0 < row["change_high"] - row["change"] < 0.05 * (row["mean_high"] - row["mean"])  # most is shared


def test_plans_of_different_numbers_of_samples_are_not_compared(run, tmp_path):
    rows = own_plans()
    rows["distance_infinite"] = rows["distance"] - 0.5
    rows.loc[rows["plan"] == rows["plan"].iloc[-1], "samples"] = 100
    table = tab_plans.drawn({"pixel": write(tmp_path, "tab_plans.csv", rows)})
    last = table[table["plan"] == rows["plan"].iloc[-1]].iloc[0]
    assert np.isnan(last["change"])
    assert not table["best"].any()
    headings, cells = tab_plans.cells(table)
    assert headings[-2:] == ["pixel, extrapolated", "samples"]
    assert float(cells[-1][-2].text) == pytest.approx(last["mean"] - 0.5, abs=0.01)
    assert "only by the extrapolated distances" in tab_plans.notes(table)[-1]


def test_a_table_without_its_reference_shows_dashes(tmp_path):
    table = tab2_results()
    path = write(tmp_path, "tab2.csv", table[table["plan"] != "tab2-shift_1"])
    _, rows, _ = tab2.cells(tab2.drawn({"pixel": path}))
    assert {row[4].text for row in rows} == {"–"}
    assert texts(tab2.figure(tab2.drawn({"pixel": path}))).count("–") == 2 * len(rows)  # and no split is known


def test_intervals_from_the_data_stand_apart_from_the_search(made):
    table = pd.read_csv(made / "tab3.csv")
    own = table[(table["space"] == "pixel") & (table["seed"] == 0)].set_index("plan")
    mean = lambda plan: own.loc[plan, "mean"]  # noqa: E731
    for plan, base in (
        ("tab3-class", "tab3-none"),
        ("tab3-B-3-class", "tab3-none"),
        ("tab3-XL-2-class", "tab3-XL-none"),
    ):
        assert own.loc[plan, "change"] == pytest.approx(mean(plan) - mean(base)), plan
    assert not own.loc[own["kind"].isin(["data", "beside", "none"]), "best"].any()
    _, rows, _ = tab3.cells(table)
    words = [(row[0].text, row[1].text) for row in rows[-7:]]
    assert words == [
        ("transition", "from the data"), ("class", "from the data"), ("[0, 1], B at scale 3", "beside"),
        ("class, B at scale 3", "beside"), ("none, XL", "beside"), ("[0, 1], XL at scale 2", "beside"),
        ("class, XL at scale 2", "beside"),
    ]  # fmt: skip
    notes = tab3.notes(table)
    assert "Guidance scale 2." in notes[0]
    assert any("[0.3, 0.65] in pixel, [0.3, 0.65] in vae; class" in note for note in notes)
    panel = next(
        axes for axes in tab3.figure(table).axes if "pixel (a)" in axes.get_title(loc="left").replace("\n", " ")
    )
    lines = {line.get_label(): line for line in panel.get_lines()}
    drawn = lines["class, from the data"]
    assert drawn.get_xdata() == pytest.approx([0.1, 0.5])
    assert drawn.get_ydata() == pytest.approx([mean("tab3-class") / mean("tab3-none")] * 2)


@pytest.mark.parametrize(
    ("module", "results", "column"), [(tab2, tab2_results, "shift"), (tab3, tab3_results, "interval_low")]
)
def test_columns_of_the_paper_stand_only_where_something_compares(tmp_path, module, results, column):
    ours = module.drawn({"pixel": write(tmp_path, "ours.csv", results())})
    others = module.drawn({"pixel": write(tmp_path, "others.csv", others_of(results(), column))})
    for table, compares in ((ours, True), (others, False)):
        headings, rows, quiet = module.cells(table)
        assert any("paper" in heading for heading in headings) == compares
        assert bool(quiet) == compares
        assert {len(row) for row in rows} == {len(headings)}
        assert any("Paper:" in line for line in module.notes(table)) == compares
        shown = module.figure(table)
        labels = [label for axes in shown.axes for label in axes.get_legend_handles_labels()[1]]
        assert any("paper" in label for label in labels) == compares


def others_of(rows, column):
    """Shifts or intervals that the paper has no number of."""
    return rows.assign(**{column: 1.01 * rows[column] + 0.001})


# ------------------------------------------------------------------------------------------------------------ pictures


def test_a_sheet_shows_the_samples_and_the_image_followed(run, made):
    paths = run["fig5"]["pictures"]
    found = pictures.read_pictures(paths["pixel"])
    rows = pictures.first_of_each_class(found.labels)
    shown = sheets(fig5.figure(pd.read_csv(made / "fig5.csv")))
    assert len(shown) == 4  # samples and images followed, of two latent spaces
    side = shown[0].shape[0] // len(rows)
    for place, row in enumerate(rows):
        for column in range(len(SWITCHES)):
            tile = shown[0][place * side : (place + 1) * side, column * side : (column + 1) * side, 0]
            inner = tile[2:-2, 2:-2][4::8, 4::8]
            np.testing.assert_array_equal(inner, found.images[row, column, :, :, 0])
        tile = shown[1][place * side : (place + 1) * side, :, 0][2:-2, 2:-2][4::8, 4::8]
        np.testing.assert_array_equal(tile, found.followed[row, :, :, 0])


def test_a_tile_tells_its_distance_in_grey_levels(run, made):
    found = pictures.read_pictures(run["fig6"]["pictures"]["vae"])
    rows = pd.read_csv(made / "fig6.csv").query("space == 'vae' and row == 1 and column == 0")
    place = pictures.first_of_each_class(found.labels)[1]
    off = found.images[place, 0].astype(float) - found.followed[place]
    assert rows["followed_grey"].item() == pytest.approx(np.sqrt((off**2).mean()))
    assert rows["label"].item() == found.labels[place]
    assert rows["index"].item() == found.index[place]


@pytest.mark.parametrize("name", ["fig5", "fig6", "fig8", "fig_samples"])
def test_tiles_name_their_class_in_the_csv_and_in_the_picture(run, name):
    module = {"fig5": fig5, "fig6": fig6, "fig8": fig8, "fig_samples": fig_samples}[name]
    table = module.drawn(**run[name])
    tiles = table.dropna(subset="label")
    assert len(tiles)
    assert [CLASSES[int(label)] for label in tiles["label"]] == list(tiles["class_name"])
    shown = " ".join(texts(module.figure(table))).replace("\n", " ")
    named = {CLASSES[int(label)] for label in tiles["label"]}
    assert all(word in shown for word in named if len(word) < 8 and word != "7")


def test_tiles_of_earlier_versions_have_their_numbers(run, tmp_path):
    path = write_pictures(tmp_path / "old.h5", (0, 1), plans=["fig_samples-S", "fig_samples-B"])
    with h5py.File(path, "a") as file:
        del file["class_names"]
    table = fig_samples.drawn({"pixel": path})
    assert list(table["class_name"]) == [str(label) for label in table["label"]]
    for older in (table, table.drop(columns="class_name")):
        assert "class 3" in texts(fig_samples.figure(older))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("café", "café"),
        ("golden retriever", "golden\nretriever"),
        ("Staffordshire bullterrier, Staffordshire bull terrier", "Staffordsh\nire bullt…"),
        ("a b c d e f g h i j k l m n o p", "a b c d e\nf g h i j…"),
        ("4", "class 4"),
        (4.0, "class 4"),
        (np.nan, "class 4"),
        (12, "12"),
        (None, "class 4"),
    ],
)
def test_a_class_is_named_in_few_letters(name, words):
    assert pictures.class_words({"class_name": name, "label": 4}, 10, lines=2) == words


def test_pictures_that_lie_elsewhere_are_refused(tmp_path):
    path = write_pictures(tmp_path / "x.h5", (0, 1))
    with h5py.File(path, "a") as file:
        del file["nearest"]
        file["nearest"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/images")
    with pytest.raises(ValueError, match=r"x\.h5: /nearest is a link to another place"):
        pictures.read_pictures(path, "nearest")


def test_samples_come_first_from_different_classes():
    assert pictures.first_of_each_class(np.array([3, 3, 3, 5, 5, 7]), 4).tolist() == [0, 3, 5, 1]
    assert pictures.first_of_each_class(np.array([1]), 6).tolist() == [0]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_stand_in_a_csv_as_text(channels):
    small = np.random.default_rng(0).integers(0, 256, (8, 12, channels), dtype=np.uint8)
    np.testing.assert_array_equal(pictures.from_text(pictures.as_text(small)), small)
    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    large = np.broadcast_to(ramp[:, None, None], (256, 256, channels))
    found = pictures.from_text(pictures.as_text(large))
    assert found.shape == (128, 128, channels)
    assert np.abs(found.astype(int) - pictures.reduced(large)).max() <= 3


def test_large_colour_images_are_drawn(tmp_path):
    path = write_pictures(tmp_path / "p.h5", [np.nan], side=96, channels=3, rows=3, plans=["fig_samples-XL"])
    outputs = [tmp_path / f"sheet.{suffix}" for suffix in SUFFIXES]
    fig_samples.draw({"pixel": path}, *outputs)
    assert outputs[1].stat().st_size > 10_000


def test_predictions_of_all_fields_are_rows_of_one_block(run, made):
    picture = fig8.figure(pd.read_csv(made / "fig8.csv"))
    assert len(sheets(picture)) == 2 * 3  # two latent spaces, three samples
    assert texts(picture).count("oracle") == 6
    assert "0.2" in texts(picture)


def test_trajectories_that_do_not_match_are_refused(run, tmp_path):
    other = write_trajectory(tmp_path / "oracle.h5", "oracle", labels=(1, 2, 3, 4))
    with pytest.raises(ValueError, match=r"oracle\.h5 has other times or labels"):
        fig8.drawn(run["fig8"]["trajectories"], {"pixel": [run["fig8"]["pictures"]["pixel"][0], other]})


def test_the_stage_split_stands_between_the_columns_that_it_parts(run, made, tmp_path):
    picture = fig5.figure(pd.read_csv(made / "fig5.csv"))
    assert "stage split, t = 0.45" in texts(picture)
    marks = [line for line in lines(picture) if len(line) == 2 and line[0, 0] == line[1, 0] == 2.5]
    assert len(marks) >= 3  # curves, numbers and samples: between 0.4 and 1
    paths = {space: write(tmp_path, f"{space}.json", split_of(0.2, "fixed")) for space in SPLITS}
    fixed = fig5.drawn(run["fig5"]["pictures"], run["fig5"]["memorization"], paths)
    assert fixed["split"].eq(0.2).all()
    assert fixed["split_low"].isna().all()


# ------------------------------------------------------------------------------------------------ memorization, shifts


def test_seeds_are_pooled_by_their_samples(run):
    table = memorization_distances(run["fig5"]["memorization"], "t_switch")
    row = distances_of_plans(table, "pixel", "pixel").iloc[0]
    assert row["samples"] == 300
    assert row["followed_distance"] == pytest.approx(40 + (2 / 3) * 0.1)
    assert row["followed_distance_sem"] == pytest.approx(np.hypot(0.02 / 3, 0.04 / 3))


def test_the_control_is_apart(run, made):
    table = pd.read_csv(made / "fig_memorization.csv")
    assert table.loc[table["control"], "t"].isna().all()
    assert control_of(table, "pixel", "pixel")["nearest_distance"] == pytest.approx(0.8 * 40 * 0.7 - 0.08)
    assert not distances_of_plans(table, "pixel", "pixel")["control"].any()


def test_an_experiment_may_run_in_some_of_the_spaces(run):
    switch, resume = run["fig_memorization"]["memorization_switch"], run["fig_memorization"]["memorization_resume"]
    table = fig_memorization.drawn(switch, {"vae": resume["vae"]}, run["fig_memorization"]["split"])
    rows = distances_of_plans(table[table["time"] == "t_resume"], "vae", "pixel")
    assert has_line(fig_memorization.figure(table), rows["t"], rows["followed_distance"])
    assert len(fig_memorization.figure(fig_memorization.drawn(switch, {})).axes) == 3  # one experiment, one row


@pytest.mark.parametrize("shift", paper.TABLE2)
def test_the_shares_of_the_paper_come_out(made, shift):
    table = pd.read_csv(made / "fig_shift.csv")
    rows = table[(table["shift"] == shift) & (table["space"] == "vae")]
    assert len(rows) == 50
    assert rows["share_before_0.2"].iloc[0] == pytest.approx(paper.TABLE2[shift][0])
    assert rows["share_before_split"].iloc[0] == np.mean(rows["shifted"] <= 0.4 + 1e-9)


def test_shifts_are_drawn_without_a_split(tmp_path):
    outputs = [tmp_path / f"fig_shift.{suffix}" for suffix in SUFFIXES]
    fig_shift.draw(*outputs, steps=4, shifts=[1, 0.5])
    table = pd.read_csv(outputs[2])
    np.testing.assert_allclose(table.loc[table["shift"] == 0.5, "shifted"], [0, 1 / 7, 1 / 3, 3 / 5], rtol=1e-8)
    assert "≤ 0.2" in texts(fig_shift.figure(table))
    assert not any("split" in text for text in texts(fig_shift.figure(table)))


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("module", "argument", "column", "content"),
    [
        (tab2, "evaluation", "step_starts", tab2_results),
        (tab3, "evaluation", "distance", tab3_results),
        (fig8, "trajectories", "layout_to_end_sem", trajectories),
    ],
)
def test_a_missing_column_is_refused_by_name(tmp_path, module, argument, column, content):
    path = write(tmp_path, "results.csv", content().drop(columns=column))
    with pytest.raises(ValueError, match=rf"results.csv lacks the column\(s\) {column}"):
        module.drawn(**{argument: {"pixel": path}}, **({"pictures": {}} if module is fig8 else {}))


def test_memorization_without_a_column_is_refused_by_name(tmp_path):
    path = write(tmp_path, "m.csv", memorization("t_switch", SWITCHES).drop(columns="copied"))
    with pytest.raises(ValueError, match=r"m.csv lacks the column\(s\) copied"):
        memorization_distances({"pixel": path}, "t_switch")
    path = write(tmp_path, "m.csv", memorization("t_switch", SWITCHES))
    with pytest.raises(ValueError, match=r"m\.csv has plans without t_resume"):
        memorization_distances({"pixel": path}, "t_resume")


def test_pictures_that_are_missing_foreign_or_cut_are_refused_by_name(run, tmp_path):
    with pytest.raises(ValueError, match=r"gone\.h5 is not there"):
        pictures.read_pictures(tmp_path / "gone.h5")
    (tmp_path / "cut.h5").write_bytes(run["fig5"]["pictures"]["pixel"].read_bytes()[:700])
    with pytest.raises(ValueError, match=r"cut\.h5 cannot be read as HDF5"):
        pictures.read_pictures(tmp_path / "cut.h5")
    path = write_pictures(tmp_path / "f.h5", SWITCHES, followed=False)
    with pytest.raises(ValueError, match=r"f\.h5 lacks followed"):
        fig5.drawn({"pixel": path}, run["fig5"]["memorization"])


def test_a_time_without_numbers_is_refused(run, tmp_path):
    path = write_pictures(tmp_path / "p.h5", (0.3, 0.8))
    with pytest.raises(ValueError, match=r"p.h5 shows t_resume = 0.3"):
        fig6.drawn({"pixel": path}, {"pixel": run["fig6"]["memorization"]["pixel"]})


@pytest.mark.parametrize(("bad", "words"), [((0, [1]), "steps is 0"), ((5, [0]), "shift is 0")])
def test_bad_shifts_are_refused(bad, words):
    with pytest.raises(ValueError, match=words):
        fig_shift.drawn(steps=bad[0], shifts=bad[1])


# ------------------------------------------------------------------------------------------- Flux, spaces side by side


def test_large_images_are_averaged_down_by_whole_blocks():
    images = np.arange(2 * 6 * 4 * 3, dtype=np.uint8).reshape(2, 6, 4, 3)
    assert pictures.reduced(images, 6) is images
    small = pictures.reduced(images, 3)
    assert small.shape == (2, 3, 2, 3)
    assert small[0, 0, 0, 0] == round(images[0, :2, :2, 0].mean())


def test_flux_shows_at_most_four_prompts(run):
    found = sheets(fig_flux.figure(fig_flux.drawn(**run["fig_flux"])))
    assert [sheet.shape[0] // sheet.shape[1] for sheet in found] == [4 // 3, 4 // 2]


def test_the_spaces_page_is_drawn_without_the_experiments_that_were_not_run(run):
    sources = {name: run["fig_spaces"][name] for name in ("posterior", "transition", "split", "oracle_loss")}
    table = fig_spaces.drawn(**sources)
    assert list(dict.fromkeys(table["panel"])) == ["gap", "weight", "loss", "explained", "training"]
    picture = fig_spaces.figure(table)
    head = picture.axes[0].get_title("left")
    assert head == "pixel\nD = 64, N = 144 to 144 per class\nsplit 0.450 [0.440, 0.460], law 0.459"
    assert len(picture.axes) == 5 * 2


def test_the_papers_share_before_its_split_is_that_of_its_shifts():
    assert paper.TABLE2_BEFORE_SPLIT[1.0] == 0.12
    assert paper.TABLE2_BEFORE_SPLIT[0.5] == 0.2
