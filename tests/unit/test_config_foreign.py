"""Models with a factory in the configuration: what they are, where they are, and what is refused before any job."""

import re

import pytest
from test_config import DEFAULT, with_value
from test_config_mistakes import lines_of

from twostage.config import check_places, load

MINE = {"factory": "mine:build", "path": "edm", "spaces": ["pixel"]}


def with_models(models, **changes):
    return {**DEFAULT, "models": {**DEFAULT["models"], **models}, **changes}


def test_a_foreign_model_stands_beside_the_sizes_and_is_imported_where_it_is_for():
    config = load(with_models({"Mine": MINE}))
    assert config.foreign == ["Mine"]
    assert "Mine" not in config.sizes
    assert "Mine" in config.models_of("pixel")
    assert "Mine" not in config.models_of("vae")
    assert config.snapshots("Mine", "pixel") == [0]
    assert not config.is_trained("Mine", "pixel")
    assert config.models["Mine"].predicted == "data"
    assert load(with_models({"Mine": {**MINE, "path": "vp"}})).models["Mine"].predicted == "noise"


def test_a_run_of_foreign_models_alone_compares_no_sizes():
    config = load({**DEFAULT, "models": {"A": {**MINE, "spaces": None, "normalisation": "store"}}, "experiments": {}})
    assert config.sizes == ["A"]
    assert [config.models_of(space) for space in config.spaces] == [["A"]] * len(config.spaces)


STORE = {**MINE, "normalisation": "store"}
GUIDED = {"tab_plans": {"spaces": ["pixel"], "plans": {"a": {"parts": [{"field": "Mine", "guidance": 2}]}}}}
VAE = {**MINE, "spaces": ["vae"], "normalisation": {"std": [2, 3, 2, 2]}}


@pytest.mark.parametrize(
    ("models", "changes", "message"),
    [
        ({"Mine": {**MINE, "pats": 1}}, {}, "unknown key models.Mine.pats: 1; .*; did you mean 'path'"),
        ({"Mine": {"factory": "mine"}}, {}, 'models.Mine.factory is "mine"; expected package.module:function'),
        (
            {"Mine": {**MINE, "path": "vpp"}},
            {},
            r'models.Mine.path is "vpp"; expected one of rectified, vp, cosine, ve,',
        ),
        (
            {"Mine": {**MINE, "sigma_min": 2, "sigma_max": 1}},
            {},
            "models.Mine: sigma_min is 2 and sigma_max 1; expected",
        ),
        (
            {"Mine": {**MINE, "sigma_max": 0.001}},
            {},
            "models.Mine: sigma_min is 0.002 by default and sigma_max 0.001; expected sigma_min below sigma_max",
        ),
        (
            {"Mine": {**MINE, "path": "ve", "sigma_min": 60}},
            {},
            "models.Mine: sigma_min is 60 and sigma_max 50 by default; expected",
        ),
        (
            {"Mine": {**MINE, "path": "vp", "sigma_min": 200, "sigma_max": 300}},
            {},
            "models.Mine: sigma_min is 200; expected less than 152.17, the most noise of the path vp",
        ),
        (
            {"Mine": {**MINE, "path": "ve", "sigma_min": 0}},
            {},
            "models.Mine: sigma_min is 0; expected more than 0: the path ve multiplies it",
        ),
        (
            {"Mine": {**MINE, "sigma_min": 0}},
            {},
            "models.Mine: sigma_min is 0, on the path edm; expected more than 0: at 0 a prediction of the data does",
        ),
        ({"Mine": {**MINE, "normalisation": {"std": [1, 2], "mean": [1]}}}, {}, "models.Mine.normalisation: mean is"),
        ({"Mine": {**MINE, "normalisation": "stored"}}, {}, "expected 'store' or a mapping such as .*mean"),
        ({"Mine": {**MINE, "spaces": ["pixels"]}}, {}, "models.Mine.spaces is 'pixels'; expected a latent space of"),
        (
            {"Mine": MINE},
            {"experiments": {"fig8": {"models": ["Mine"]}}},
            "experiments.fig8 names Mine in latent space vae, which models.Mine.spaces does not have; expected exp",
        ),
        (
            {"Mine": {**MINE, "spaces": None}},
            {},
            r"spaces.vae.normalise is channels, other scales than models.Mine.normalisation .*\.normalise: all; or",
        ),
        (
            {"Mine": VAE},
            {},
            r"spaces.vae.normalise is channels, .*; expected spaces.vae.normalise: {std: \[2.0, 3.0, 2.0, 2.0\]}",
        ),
        (
            {"Mine": STORE},
            {"experiments": GUIDED},
            "parts.0.field is Mine, which is guided there and has no models.Mine.d",
        ),
        (
            {"Mine": STORE},
            {"experiments": {"fig_oracle_supervised": {"models": ["B", "Mine"], "spaces": ["pixel"]}}},
            "experiments.fig_oracle_supervised.models has Mine, which is not trained here; expected LightningDiTs",
        ),
        (
            {"Mine": STORE},
            {"experiments": {"tab_halves": {"models": ["Mine"], "snapshot": 2, "spaces": ["pixel"]}}},
            r"tab_halves.snapshot is 2, but Mine is imported in latent space pixel \(models.Mine.factory\)",
        ),
    ],
)
def test_a_mistake_is_one_line(models, changes, message):
    (line,) = lines_of(load, with_models(models, **changes))
    assert re.search(message, line), line


def test_noise_levels_without_a_bound_are_accepted():
    for changes in ({"path": "rectified", "sigma_min": 0}, {"path": "mine:path", "sigma_min": 0, "sigma_max": 1e-3}):
        load(with_models({"Mine": {**MINE, **changes}}))


def test_proportional_scales_are_accepted():
    spaces = DEFAULT["spaces"]
    for normalise in ({"std": [4, 6, 4, 4]}, {"mean": [1, 2, 3, 4], "std": [2, 3, 2, 2]}):
        load(with_models({"Mine": VAE}, spaces={**spaces, "vae": {**spaces["vae"], "normalise": normalise}}))
    one = {**MINE, "spaces": None, "normalisation": {"std": 0.5}}
    load(with_models({"Mine": one}, spaces={**spaces, "vae": {**spaces["vae"], "normalise": "all"}}))
    bad = {**spaces, "vae": {**spaces["vae"], "normalise": {"std": [1, 2, 3]}}}
    line = "spaces.vae.normalise.std is [1.0, 2.0, 3.0]; expected one number, or 4, as latent space vae has channels"
    assert line in lines_of(load, with_value("spaces", bad))


def test_the_function_and_the_weights_must_be_there_before_any_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load(with_models({"Mine": {**MINE, "weights": "w.pt"}}))
    lines = lines_of(check_places, config)
    assert lines[0].startswith("models.Mine.weights is 'w.pt'; no such file")
    (tmp_path / "w.pt").mkdir()
    assert lines_of(check_places, config)[0].startswith("models.Mine.weights is 'w.pt', a folder; expected a file")
    (tmp_path / "w.pt").rmdir()
    assert lines[1].startswith("models.Mine.factory is 'mine:build': no module 'mine' is installed, or lies in")
    (tmp_path / "w.pt").write_bytes(b"PK\x03\x04" + b"0" * 99)
    (tmp_path / "mine.py").write_text("def make(): pass\n")
    (line,) = lines_of(check_places, config)
    assert line.endswith("mine.py has no build; expected package.module:function")
    (tmp_path / "mine.py").write_text("def build(weights): pass\n")
    check_places(config)
