"""The look: contrast, colour blindness, one colour a model and a space, atomic saving."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from twostage.provenance import provenance_path
from twostage.report import template
from twostage.report.figures import style

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


PALETTES = {
    "models": list(style.MODEL_COLOURS.values()),
    "spaces": list(style.SPACE_COLOURS[:4]),
    "sequence": style.sequence(5),
}


@pytest.mark.parametrize("name", PALETTES)
def test_every_colour_has_the_contrast_of_graphics_against_white(name):
    assert min(contrast(colour) for colour in PALETTES[name]) >= 3


@pytest.mark.parametrize("name", PALETTES)
@pytest.mark.parametrize("vision", VISIONS)
def test_colours_of_a_palette_stay_apart_for_every_vision(name, vision):
    points = [lab(colour, VISIONS[vision]) for colour in PALETTES[name]]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(points, 2)) > 10


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
    many = style.model_colours([f"m{i}" for i in range(6)])
    assert len(many) == 6


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


@pytest.mark.parametrize("colour", style.OTHER_MODELS)
def test_spare_colours_have_the_contrast_of_graphics_against_white(colour):
    assert contrast(colour) >= 3


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


def test_titles_wrap_to_the_panel():
    with style.look():
        _, axes = style.new_figure(1, 3, width=4.0)
        style.title(axes[0][0], "word " * 40)
    lines = axes[0][0].get_title(loc="left").split("\n")
    assert len(lines) > 1
    assert max(map(len, lines)) <= 42
