"""config/schema.json, from which editors complete keys, takes what ``load`` takes and says which key is misspelt."""

import copy
import json
import re

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from test_config import DEFAULT, ROOT, with_value

from twostage.config import Config, load
from twostage.config.blocks.base import blocks_within
from twostage.config.schema import schema

SCHEMA = json.loads((ROOT / "config/schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
CONFIGURATIONS = [*sorted((ROOT / "config").glob("*.yaml")), *sorted((ROOT / "tests/workflow").glob("*.yaml"))]
BLOCKS = [block.__name__ for block in blocks_within(Config)]


def complaint(raw):
    error = best_match(VALIDATOR.iter_errors(raw))
    return error and f"{error.json_path}: {error.message}"


def test_the_schema_is_generated_from_the_blocks():
    Draft202012Validator.check_schema(SCHEMA)
    assert (ROOT / "config/schema.json").read_text(encoding="utf-8") == schema(), (
        "run: python -m twostage.config schema > config/schema.json"
    )


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_a_configuration_names_the_schema_in_its_first_line_and_fits_it(path):
    first, *_ = path.read_text(encoding="utf-8").splitlines()
    named = re.fullmatch(r"# yaml-language-server: \$schema=(.*)", first)
    assert (path.parent / named[1]).resolve() == ROOT / "config/schema.json"
    assert complaint(yaml.safe_load(path.read_text(encoding="utf-8"))) is None


def test_a_configuration_as_a_run_writes_it_fits():
    assert complaint(load(DEFAULT).model_dump(mode="json")) is None
    assert complaint(yaml.safe_load((ROOT / "docs/results/digits/config.yaml").read_text(encoding="utf-8"))) is None


@pytest.mark.parametrize("name", BLOCKS)
def test_a_misspelt_key_is_refused_in_every_block(name):
    block = SCHEMA if name == "Config" else {"$defs": SCHEMA["$defs"], "$ref": f"#/$defs/{name}"}
    said = [error.message for error in Draft202012Validator(block).iter_errors({"misspelt": 1})]
    assert any("'misspelt'" in message for message in said), said


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("training.lrr", 1, r"\$.training: Additional properties are not allowed \('lrr' was unexpected\)"),
        ("jobs.training.gpus", 1, r"\$.jobs.training: Additional properties .*'gpus'"),
        ("spaces.vae.encoder.chanels", [8], r"\$.spaces.vae.encoder: Additional properties .*'chanels'"),
        ("spaces.vae.encoder.kind", "k", r"\$.spaces.vae.encoder.kind: 'k' is not one of .*'identity', 'kl'"),
        ("models.M", {"depth": 1, "num_heads": 1}, r"\$.models.M: 'hidden_size' is a required property"),
        ("training.snapshots", [5, 5], r"\$.training.snapshots: .* non-unique"),
        ("training.ema", 1, r"\$.training.ema: 1 is greater than or equal to the maximum of 1"),
    ],
)
def test_what_is_wrong_is_said_where_it_is(path, value, said):
    assert re.match(said, complaint(with_value(path, value)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("x-shared", {"anything": [1, "a"]}),
        ("oracle", None),
        ("jobs", {"data": None, "oracle": {"mem_mb": "64G", "runtime": "1d 12h", "gpu": "a100:2"}}),
        ("training.minutes", "90m"),
        ("models.S", None),
        ("models.XL", {"steps": 2000}),
        ("models.B.checkpoint", "some/B.pt"),
        ("models.B.checkpoint", {"path": "some/B.pt", "weights": "model"}),
        ("models.B.checkpoint", {"vae": "some/B.pt"}),
        ("spaces.other", None),
        ("experiments.tab1", None),
        ("evaluation", {"references": {"classifier": "held_out"}}),
        ("evaluation", {"references": {"classifier": {"path": "adm.npz"}}}),
        ("flux", {"model": "config"}),
    ],
)
def test_what_load_takes_in_place_of_a_block_fits(path, value):
    raw = with_value(path, value)
    assert complaint(raw) is None
    if path.startswith("models"):
        del raw["experiments"]["fig_oracle_supervised"]  # twins that are alike
    assert load(copy.deepcopy(raw)).run == "digits"
