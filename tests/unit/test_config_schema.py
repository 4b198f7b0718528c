"""config/schema.json, from which editors complete keys, takes what ``load`` takes and says which key is misspelt."""

import copy
import json
import re

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from test_config import DEFAULT, ROOT, with_value

from twostage.config import load
from twostage.config.schema import schema

SCHEMA = json.loads((ROOT / "config/schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
CONFIGURATIONS = [*sorted((ROOT / "config").glob("*.yaml")), *sorted((ROOT / "tests/workflow").glob("*.yaml"))]
# As the Snakemake workflow catalogue reads it: as YAML, from this place.
CATALOGUE = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))


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


def blocks(node, path="$"):
    """{path: schema} of every block in a schema, itself included: of every mapping whose keys have fixed names."""
    fixed = isinstance(node, dict) and "properties" in node and not isinstance(node.get("additionalProperties"), dict)
    found = {path: node} if fixed else {}
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        found |= blocks(value, f"{path}.{key}")
    return found


def test_a_misspelt_key_is_refused_in_every_block():
    # An `if` only tells the kinds of encoder apart; its `then` is the block.
    found = {path: block for path, block in blocks(SCHEMA).items() if not path.endswith(".if") and "allOf" not in block}
    assert {"$", "$.properties.jobs", "$.properties.jobs.properties.training"} <= found.keys()
    assert len(found) > 40
    for path, block in found.items():
        said = [error.message for error in Draft202012Validator(block).iter_errors({"misspelt": 1})]
        assert any("'misspelt'" in message for message in said), (path, said)


def keys(properties, within=()):
    """Every key that the catalogue lists: it follows `properties`, and nothing else."""
    for name, value in properties.items():
        yield ".".join([*within, name]), value
        yield from keys(value.get("properties", {}), (*within, name))


def test_the_catalogue_lists_every_key_with_its_description():
    assert CATALOGUE == SCHEMA
    listed = dict(keys(CATALOGUE["properties"]))
    assert {"seed", "training.lr", "jobs.training.gpu", "experiments.tab1.models"} <= listed.keys()
    for key, value in listed.items():  # a line of a table each
        described = value.get("description", "")
        assert not {"|", "\n"} & set(described), f"{key}: {described}"
        assert described or key.startswith("models."), key


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
