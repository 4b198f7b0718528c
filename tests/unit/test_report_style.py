"""The look: contrast, colour blindness, one colour a model and a space, atomic saving."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from twostage.provenance import provenance_path
from twostage.report import template
from twostage.report.figures import layout, style

# Machado et al. 2009, full deficiency, on linear RGB.
VISIONS = {
    "full": np.eye(3),
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(first, second="white"):
    light, dark = sorted((linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (first, second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(colour, vision):
    to_xyz = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
    xyz = to_xyz @ np.clip(np.array(vision) @ linear(colour), 0, 1) / [0.9505, 1, 1.0888]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


EIGHT = [f"model-{number}" for number in range(8)]
PALETTES = {
    "models": list(style.model_colours([*EIGHT, style.ORACLE]).values()),
    "sizes and others": list(style.model_colours([*style.MODEL_COLOURS, *EIGHT[:4], style.ORACLE]).values()),
    "spaces": list(style.space_colours(EIGHT).values()),
    "sequence": style.sequence(5),
}
# Least distance of two colours in CIELAB (a step that is just seen is 2.3); neighbours of a sequence may be nearer.
APART = dict.fromkeys(PALETTES, 15) | {"sequence": 10}


@pytest.mark.parametrize("name", PALETTES)
def test_every_colour_has_the_contrast_of_graphics_against_white(name):
    assert min(contrast(colour) for colour in PALETTES[name]) >= 3


@pytest.mark.parametrize("name", PALETTES)
@pytest.mark.parametrize("vision", VISIONS)
def test_colours_of_a_palette_stay_apart_for_every_vision(name, vision):
    points = [lab(colour, VISIONS[vision]) for colour in PALETTES[name]]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(points, 2)) > APART[name]


def test_text_has_the_contrast_of_text():
    assert min(contrast(colour) for colour in (style.TEXT, style.QUIET)) >= 4.5


@pytest.mark.parametrize("verdict", ["holds", "fails", "undecided", "not-tested"])
def test_verdicts_have_the_contrast_of_text(verdict):
    css = (template.FOLDER / "base.css").read_text(encoding="utf-8")
    colour, ground = css.split(f".{verdict} {{ color: ")[1].split(";")[:2]
    assert contrast(colour, ground.split(":")[1].strip()) >= 4.5


def test_a_model_has_its_colour_whatever_is_drawn_beside_it():
    assert style.model_colours(["XL"])["XL"] == style.model_colours(["S", "tiny", "B", "XL"])["XL"]
    assert style.model_colours(["L"])["L"] == style.MODEL_COLOURS["L"]
    assert style.model_colours([*EIGHT[:4], "S"])["S"] == style.MODEL_COLOURS["S"]


@pytest.fixture
def named():
    style.colour_by(models=["tiny", "S", "twin", "huge"], spaces=["pixel", "vae", "sd"])
    yield
    style.colour_by()


def test_other_models_and_spaces_keep_their_colour_in_figures_that_draw_some_of_them(named):
    every = style.model_colours(["tiny", "S", "twin", "huge"])
    assert len(set(every.values())) == 4
    for some in (["huge"], ["twin", "huge"], ["S", "twin"]):
        assert style.model_colours(some) == {name: every[name] for name in some}
    spaces = style.space_colours(["pixel", "vae", "sd"])
    assert style.space_colours(["sd"]) == {"sd": spaces["sd"]}


def test_no_figure_has_colours_of_its_own():
    folder = Path(style.__file__).parent
    pages = {"style.py", "table.py", "interactive.py", "overview.py"}  # looks, and the style sheets of pages
    for module in folder.glob("*.py"):
        if module.name not in pages:
            assert not re.search(r"#[0-9A-Fa-f]{6}|\"C\d\"|tab:", module.read_text()), module.name


def test_saving_writes_whole_files_with_provenance_and_leaves_the_old_ones_on_failure(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("a.pdf", "a.png", "a.csv")]
    source = tmp_path / "source.csv"
    source.write_text("x\n1\n")
    with style.look():
        picture, _ = style.new_figure(1, 1)
    style.save(picture, pd.DataFrame({"x": [1]}), *paths, inputs=[source])
    before = [path.read_bytes() for path in paths]
    assert list(json.loads(provenance_path(paths[0]).read_text())["inputs"]) == [str(source)]

    def broken(path, **options):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(picture, "savefig", broken)
    with pytest.raises(OSError, match="no space left"):
        style.save(picture, pd.DataFrame({"x": [2]}), *paths, inputs=[source])
    assert [path.read_bytes() for path in paths] == before
    assert not list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*.tmp"))


def width_drawn(text, size, weight="normal"):
    """Width in inches of a text as it is drawn at 150 dpi."""
    picture = Figure(dpi=150)
    canvas = FigureCanvasAgg(picture)
    with style.look():
        drawn = picture.text(0, 0, text, fontsize=size, fontweight=weight)
    return drawn.get_window_extent(canvas.get_renderer()).width / 150


@pytest.mark.parametrize("weight", ["normal", "bold"])
@pytest.mark.parametrize("text", ["a few words of a title", "WWWW iiii 1,234.5", "naïve_ΔX-ħ", "W" * 60])
def test_widths_are_those_that_are_drawn(text, weight):
    assert layout.width_of(text, 10, weight) == pytest.approx(width_drawn(text, 10, weight), rel=0.06)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        ("several words that are broken at spaces", ["several words that", "are broken at", "spaces"]),
        ("a_name_that_is-longer/than.a.line", ["a_name_that_is-", "longer/than.a.line"]),
        ("two\nparagraphs", ["two", "paragraphs"]),
        ("", [""]),
    ],
)
def test_text_is_wrapped_at_spaces_and_names_where_they_may_be_broken(text, lines):
    assert layout.wrapped(text, 1.35, 10).split("\n") == lines


@pytest.mark.parametrize("text", ["W" * 100, "i" * 100, "a word and " + "x" * 80, "_" * 90, "a-b_c.d/" * 20])
def test_no_line_is_wider_than_asked_and_no_letter_is_lost(text):
    for width in (0.4, 1.0, 3.0):
        lines = layout.wrapped(text, width, 9).split("\n")
        assert max(layout.width_of(line, 9) for line in lines) <= width
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_of_many_numbers_a_title_tells_the_lowest_and_the_highest():
    entries = [(value, f"{value} (a model with a long name)") for value in (3.0, 1.0, float("nan"), 2.0)]
    assert layout.few(entries) == "1.0 (a model with a long name) … 3.0 (a model with a long name)"
    assert layout.few(entries[:2]) == "3.0 (a model with a long name), 1.0 (a model with a long name)"
    assert layout.few([(1, "1 (S)"), (3, "3 (B)"), (2, "2 (XL)")]) == "1 (S), 3 (B), 2 (XL)"
    assert layout.few([(float("nan"), "nan" + " " * 50)] * 3).startswith("nan")


def test_a_legend_has_as_many_columns_as_fit():
    assert layout.entries_of(["a", "b", "c"], 4.0).columns == 3
    assert layout.entries_of(["a" * 30, "b" * 30, "c" * 30], 5.0).columns == 1
    labels, columns, height = layout.entries_of(["long " * 30, "b"], 3.0)
    assert columns == 1
    assert labels[0].count("\n") > 2
    assert height > layout.height_of(labels[0], layout.LEGEND)


def test_titles_wrap_to_the_panel():
    with style.look():
        _, axes = style.new_figure(1, 3, width=4.0)
        layout.title(axes[0][0], "word " * 40)
    lines = axes[0][0].get_title(loc="left").split("\n")
    assert len(lines) > 1
    assert max(layout.width_of(line, 10, "bold") for line in lines) <= 4.0 - layout.BESIDE
