"""Every claim at every scale: the committed page, what a cell says, and the lists that compare runs."""

import re
import shutil
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
import yaml

from twostage.report import scales

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "docs/results/digits"


def with_verdict(table, name, verdict):
    return table.assign(verdict=table["verdict"].where(table["id"] != name, verdict))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Digits, and a made-up run of larger images with three spaces whose name sorts before it."""
    folder = tmp_path_factory.mktemp("results")
    for name in ("digits", "colour"):
        (folder / name).mkdir()
        for file in ("claims.csv", "config.yaml"):
            shutil.copy(DIGITS / file, folder / name / file)
    config = yaml.safe_load((folder / "colour/config.yaml").read_text(encoding="utf-8"))
    config["data"] |= {"name": "cifar10", "image_size": 16}
    (folder / "colour/config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    table = pd.read_csv(folder / "colour/claims.csv", dtype={"arxiv": str, "section": str})
    third = table[table["case"] == "vae"].assign(case="vae_aligned")
    table = pd.concat([table, third], ignore_index=True)
    table = with_verdict(table, "bump-and-dip", "holds")
    table = with_verdict(table, "rises-to-the-data", "undecided")
    table.loc[(table["id"] == "targets-part-early") & (table["case"] == "vae_aligned"), "verdict"] = "fails"
    table = table[table["id"] != "law-worst"]
    table.to_csv(folder / "colour/claims.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def page(results):
    return scales.page(scales.read(results))


def listed(page, title):
    """The ids below a heading."""
    part = page.split(f"## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^- .*`([\w.-]+)`$", part, flags=re.MULTILINE)


def cells(page, name):
    """The cells of a claim's row."""
    [line] = [line for line in page.splitlines() if line.startswith("|") and f"`{name}`" in line]
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def read(cell):
    """A cell as a reader sees it."""
    return unescape(re.sub(r"\\([|*`])", r"\1", cell))


def test_the_committed_page_is_the_one_that_the_command_writes(tmp_path):
    assert scales.main([str(ROOT / "docs/results"), str(tmp_path / "claims.md")]) == 0
    assert (tmp_path / "claims.md").read_text("utf-8") == (ROOT / "docs/claims.md").read_text("utf-8")


def test_lists_compare_a_run_with_that_of_the_smallest_images(page):
    assert listed(page, "Holds on colour, failed on digits") == ["bump-and-dip"]
    assert listed(page, "Fails on colour, held on digits") == ["targets-part-early"]
    undecided = listed(page, "Undecided on colour and on digits")
    assert "law-median" in undecided
    assert "rises-to-the-data" not in undecided


def test_one_run_alone_lists_what_does_not_hold():
    [digits] = [run for run in scales.read(ROOT / "docs/results") if run.name == "digits"]
    alone = scales.page([digits])
    table = pd.read_csv(DIGITS / "claims.csv")
    failed = table[table["verdict"] == "fails"]["id"]
    assert set(listed(alone, "Fails on digits")) == set(failed)
    undecided = set(table[table["verdict"] == "undecided"]["id"]) - set(failed)
    assert set(listed(alone, "Undecided on digits")) == undecided


def test_every_claim_of_every_run_has_one_row_with_its_numbers(page):
    table = pd.read_csv(DIGITS / "claims.csv", keep_default_na=False)
    for name, rows in table.groupby("id"):
        claim, paper, digits, colour = cells(page, name)
        assert rows["statement"].iloc[0] in read(claim)
        assert rows["quantity"].iloc[0] in read(claim)
        assert rows["paper"].iloc[0] == read(paper)
        assert rows["verdict"].isin(["not tested"]).all() == digits.startswith("not tested: ")
        assert (colour == "–") == (name == "law-worst")


def test_cells_count_their_cases_and_show_those_that_decide_first(page):
    _, _, digits, colour = cells(page, "targets-part-early")
    assert digits == "holds in 2 of 2 cases: 99.4% [99.2%, 99.7%] (pixel), 99.2% [98.9%, 99.6%] (vae)"
    assert colour == (
        "fails in 1 of 3 cases: 99.2% [98.9%, 99.6%] (vae_aligned); "
        "holds in 2 of 3 cases: 99.4% [99.2%, 99.7%] (pixel), 99.2% [98.9%, 99.6%] (vae)"
    )
    assert cells(page, "layout-settles")[2] == "holds: 0.340 [0.317, 0.361] (pixel, XL)"
    assert cells(page, "information-sum-rule")[2] == "holds in 16 of 16 cases: 97.3% to 101%"
    assert cells(page, "stages-in-flux")[2] == "not tested: this run has no flux"
    assert cells(page, "bump-and-dip")[2] == "fails in 2 of 2 cases: 0 (pixel), 0 (vae)"  # exact: no interval


def test_verdicts_are_counted(page):
    [line] = [line for line in page.splitlines() if line.startswith("| `digits` |")]
    counts = [int(cell) for cell in line.split(" | ")[3:6]] + [int(line.split(" | ")[6].removesuffix(" |"))]
    assert sum(counts) == pd.read_csv(DIGITS / "claims.csv")["id"].nunique()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("claims.csv", None, "holds no .*claims.csv; expected a folder per run"),
        ("claims.csv", "id,verdict\nx,holds\n", r"claims.csv lacks the column\(s\) group"),
        ("config.yaml", None, "config.yaml cannot be read .*; publish its run again"),
        ("config.yaml", "run: x\n", "config.yaml cannot be read .*'data'"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, capsys, file, content, words):
    run = tmp_path / "results/x"
    run.mkdir(parents=True)
    for name in ("claims.csv", "config.yaml"):
        shutil.copy(DIGITS / name, run / name)
    (run / file).unlink() if content is None else (run / file).write_text(content, encoding="utf-8")
    (tmp_path / "claims.md").write_text("old", encoding="utf-8")
    assert scales.main([str(tmp_path / "results"), str(tmp_path / "claims.md")]) == 1
    error = capsys.readouterr().err
    assert re.search(words, error)
    assert error.count("\n") == 1
    assert (tmp_path / "claims.md").read_text("utf-8") == "old"


def test_a_verdict_that_is_none_is_refused(tmp_path):
    run = tmp_path / "x"
    run.mkdir()
    shutil.copy(DIGITS / "config.yaml", run)
    with_verdict(pd.read_csv(DIGITS / "claims.csv"), "bump-and-dip", "maybe").to_csv(run / "claims.csv", index=False)
    with pytest.raises(ValueError, match="expected verdicts among holds, fails, undecided, not tested"):
        scales.read(tmp_path)
