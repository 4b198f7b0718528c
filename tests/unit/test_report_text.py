"""Names and prompts are a user's: on pages they make no markup, in pictures no formula."""

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from docutils.core import publish_parts
from jinja2 import Environment, UndefinedError
from matplotlib.text import Text
from report_results import checked, checked_claim, posterior, split_of, tab1, transition, write
from test_report_sampling import flux, own_plans, tab2_results, tab3_results, write_flux

from twostage.provenance import write_provenance
from twostage.report import template
from twostage.report.figures import fig_flux, layout, style, tab_reconstruction
from twostage.report.figures import tab1 as tab1_module
from twostage.report.figures import tab2 as tab2_module
from twostage.report.figures import tab3 as tab3_module
from twostage.report.figures import tab_plans as tab_plans_module
from twostage.report.figures.table import Cell, picture, table_page
from twostage.report.pages import captions, interactive, overview, side_by_side
from twostage.report.pages import claims as claims_page

REPORT = Path(template.__file__).parent
HOSTILE = """</script><script>alert("x")</script><b id='y'>&amp;$\\frac${{ 7 * 6 }}{% raw %}{#"""


class Tags(HTMLParser):
    """What a browser makes of a page: its tags, attributes and words."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.tags, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)


def assert_is_text(page, count=1):
    """The name stands on the page as it is, and has made no tag."""
    read = Tags(page)
    assert "".join(read.words).count(HOSTILE) >= count
    assert not [tag for tag in read.tags if tag[0] == "b" or tag[1].get("id") == "y"]
    assert page.count("<script") == page.count("</script>")
    assert 'alert("x")' not in page


@pytest.mark.parametrize(
    ("module", "results"),
    [
        (tab1_module, tab1),
        (tab2_module, tab2_results),
        (tab3_module, tab3_results),
        (tab_plans_module, own_plans),
    ],
)
def test_a_table_s_page_takes_names_as_text(tmp_path, module, results):
    path = tmp_path / "results.csv"
    results().to_csv(path, index=False)
    table = module.drawn({HOSTILE: path})
    if module is tab_plans_module:  # the first plan's name stands in the notes, too
        table = table.assign(name=HOSTILE, fields=HOSTILE)
    assert_is_text(module.page(table))


def test_the_table_of_reconstructions_takes_names_as_text(tmp_path):
    row = {"split": HOSTILE, "images": 10, "mse": 0.1, "psnr": 20.0, "features": HOSTILE, "distance": 1.0}
    path = write(tmp_path, "reconstruction.csv", pd.DataFrame([row]))
    assert_is_text(tab_reconstruction.page(tab_reconstruction.drawn({HOSTILE: path})), count=3)


def test_cells_and_titles_take_names_as_text():
    rows = [[Cell(HOSTILE), Cell(HOSTILE, value=HOSTILE, strong=True, quiet=HOSTILE)]]
    page = table_page(HOSTILE, [HOSTILE, "b"], rows, lead=HOSTILE, note=HOSTILE)
    assert_is_text(page, count=8)
    cells = [attributes for tag, attributes in Tags(page).tags if tag == "td"]
    assert cells[0]["data-label"] == cells[0]["data-value"] == HOSTILE


def test_claims_take_names_as_text():
    assert_is_text(claims_page.page(checked(checked_claim(HOSTILE))), count=9)


def test_long_names_fit_a_phone(tmp_path, browser):
    name = "a_latent_space_or_a_model_whose_name_is_as_long_as_names_may_be_"
    path = write(tmp_path, "tab1.csv", tab1())
    pages = {
        "claims": claims_page.page(checked(checked_claim(name))),
        "table": tab1_module.page(tab1_module.drawn({name: path, "pixel": path})),
    }
    for page, text in pages.items():
        (tmp_path / f"{page}.html").write_text(text, encoding="utf-8")
        browser.open(tmp_path / f"{page}.html", width=390, height=800)
        assert browser.run("return document.documentElement.scrollWidth") <= 390, page
        assert browser.complaints() == []


def test_the_overview_takes_names_as_text(tmp_path):
    (tmp_path / "fig2.rst").write_text('{{ snakemake.config["models"] | join(", ") }}', encoding="utf-8")
    config = {"data": {"name": HOSTILE}, "seed": HOSTILE, "spaces": {HOSTILE: {}}, "models": {HOSTILE: {}}}
    (tmp_path / "report").mkdir()
    (tmp_path / "report/fig2.png").touch()
    content = checked()
    page = overview.page(tmp_path, content, {"fig2": "What is sampled"}, config, tmp_path, {})
    assert_is_text(page, count=4)
    (tmp_path / "overview.html").write_text(page, encoding="utf-8")
    frame = Tags(overview.frame(tmp_path / "overview.html"))
    assert [tag for tag, _ in frame.tags] == ["iframe"]
    assert frame.tags[0][1]["srcdoc"] == page


def test_what_snakemake_s_own_report_holds_is_text_too(tmp_path):
    held = {"rules": {"index": {"input": [HOSTILE, "<!--<script>"]}}, "results": {HOSTILE: {"name": HOSTILE}}}
    scripts = [
        f'<script id="{name}">\n    var {name} = {json.dumps(data)};\n    </script>' for name, data in held.items()
    ]
    report = tmp_path / "report.html"
    report.write_text("\n".join(scripts))
    overview.mend(report)
    read = Tags(report.read_text(encoding="utf-8"))
    assert [tag for tag, _ in read.tags] == ["script"] * 2
    words = [text.strip() for text in read.words if " = {" in text]
    assert {text.split(" = ")[0][4:]: json.loads(text.split(" = ", 1)[1].removesuffix(";")) for text in words} == held


def test_what_made_each_number_takes_paths_and_settings_as_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = HOSTILE.replace("/", "")
    files = [f"results/toy/{name}.h5", "results/toy/report/fig2.png"]
    for file, inputs in zip(files, [[], files[:1]]):
        write(tmp_path, file, {})
        write_provenance(file, config={name: name}, seed=name, inputs=inputs)
    items, config = {"fig2": "What is sampled"}, {"data": {"name": ""}, "seed": 0, "spaces": {}, "models": {}}
    content = checked()
    read = Tags(overview.page("results/toy", content, items, config, tmp_path, {}))
    assert "".join(read.words).count(name) >= 2  # its row, and as what the picture was made from
    assert json.dumps(name) in "".join(read.words)
    assert not [tag for tag in read.tags if tag[0] == "b" or tag[1].get("id") == "y"]
    assert [tag for tag, _ in read.tags].count("script") == 1


def test_the_comparison_takes_names_as_text(tmp_path):
    sources = {
        "posterior": {HOSTILE: write(tmp_path, "posterior.csv", posterior(0.4))},
        "transition": {HOSTILE: write(tmp_path, "transition.json", transition("x", 0.4))},
        "split": {HOSTILE: write(tmp_path, "split.json", split_of(0.4))},
    }
    side_by_side.write(tmp_path / "a.html", tmp_path / "a.csv", **sources)
    assert_is_text((tmp_path / "a.html").read_text(encoding="utf-8"), count=3)


def test_a_caption_takes_names_as_text(tmp_path):
    path = tmp_path / "fig.rst"
    path.write_text("**Seen.** Model: {{ snakemake.config.model }}, {{ snakemake.config.steps }} steps.")
    for name in (
        "S_",
        "*a*",
        "`b`",
        "|c|",
        ":d:`e`",
        "x\n\n.. raw:: html\n\n   <b>",
        "x\n\n.. include:: /etc/passwd\n",
    ):
        words = "".join(Tags(captions.caption(path, {"model": name, "steps": 5})).words)
        assert f"Model: {' '.join(name.split())}, 5 steps." in words
    path.write_text(".. include:: secret.txt\n\n.. raw:: html\n\n   <b>\n")
    (tmp_path / "secret.txt").write_text("told")
    page = captions.caption(path, {})
    assert "told" not in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    "path", sorted((REPORT.parents[2] / "workflow/report").glob("*.rst")), ids=lambda path: path.stem
)
def test_a_caption_says_the_same_in_snakemake_s_report(path):
    names = {"B_": {}, "S_oracle_": {}, "a__b_": {}}
    experiments = {name: {"model": "B_", "guidance": 2} for name in ("tab2", "tab3")}
    config = {"run": "x", "data": {"name": "digits"}, "spaces": names, "models": names, "experiments": experiments}
    # As Snakemake 9 makes captions: its settings, its writer.
    environment = Environment(trim_blocks=True, lstrip_blocks=True)
    filled = environment.from_string(path.read_text(encoding="utf-8")).render(snakemake=SimpleNamespace(config=config))
    theirs = publish_parts(filled, writer="html", settings_overrides={"report_level": 2, "halt_level": 2})["body"]
    assert "".join(Tags(theirs).words) == "".join(Tags(captions.caption(path, config)).words)
    assert path.stem not in ("tab2", "tab3") or "Model: B_." in theirs


def test_the_page_to_play_with_takes_names_as_text(tmp_path):
    path = tmp_path / "transition.json"
    spectrum = {"label": 0, "n": 5, "eigenvalues": [1.0, 0.5]}
    path.write_text(json.dumps({**transition("pixel", 0.4), "spectrum": spectrum}))
    name = f"<!--<script>{HOSTILE}"
    page = interactive.page(interactive.presets({name: path}))
    data = page.split('type="application/json">')[1].split("</script>")[0]
    assert "<" not in data
    assert name in json.loads(data)[0]["title"]


def test_markup_stands_in_templates_alone_and_they_trust_only_captions():
    for module in REPORT.rglob("*.py"):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        strings = [str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        assert not [text for text in strings if re.search(r"</?[a-z]+[ >]|&\w+;", text)], module
    trusting = [
        line.strip()
        for path in REPORT.rglob("*.html")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\|\s*safe\b|autoescape|Markup", line)
    ]
    assert trusting == ["<figcaption>{{ figure.caption | safe }}</figcaption></figure>"]


def test_a_value_that_a_template_misses_is_an_error():
    with pytest.raises(UndefinedError, match="decided"):
        template.render("pages/claims.html", groups=[], ruled=[], replicates="", setting="")


# ------------------------------------------------------------------------------------------------------------ pictures


def test_a_dollar_in_a_prompt_is_drawn(tmp_path):
    import h5py

    path = write_flux(tmp_path / "flux.h5")
    with h5py.File(path, "a") as file:
        del file["prompts"]
        file["prompts"] = ["a $5 note", "$\\frac$", "$x$ and $y", HOSTILE, "plain"]
    (tmp_path / "flux.csv").write_text(flux().to_csv(index=False))
    outputs = {f"output_{suffix}": tmp_path / f"flux.{suffix}" for suffix in ("pdf", "png", "csv")}
    fig_flux.draw(tmp_path / "flux.csv", path, **outputs)
    assert outputs["output_pdf"].read_bytes().startswith(b"%PDF")


def test_names_are_drawn_as_they_are_and_powers_of_ten_as_powers(tmp_path):
    with style.look():
        made, panels = style.new_figure(1, 2)
        for axes, name in zip(panels[0], ("$\\frac$", "$x$")):
            axes.plot([1, 1000], [1, 1000], label=name)
            axes.set_yscale("log")
            axes.set_xticks([1, 500], [name, name])
            axes.set_title(name)
            layout.legend(axes)
        style.as_written(made)
        made.savefig(tmp_path / "x.png")
    texts = made.findobj(Text)
    assert not [text for text in texts if text.get_text() in ("$\\frac$", "$x$") and text.get_parse_math()]
    assert len([text for text in texts if "mathdefault{10^" in text.get_text() and text.get_parse_math()]) >= 4


def test_tables_and_comparisons_draw_names_as_they_are():
    made = picture("$\\frac$", ["$\\frac$"], [[Cell("$\\frac$")]], ["$\\frac$"])
    assert side_by_side.png(made).startswith("data:image/png;base64,")
