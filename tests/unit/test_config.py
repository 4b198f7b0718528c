"""Every shipped configuration loads; every mistake ends in one line that tells what to do."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from twostage.config import ConfigError, Model, check_places, load
from twostage.config.reference import reference
from twostage.model.lightningdit import LightningDiT
from twostage.training.recipe import Recipe

ROOT = Path(__file__).parents[2]
DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def with_value(path, value):
    raw = copy.deepcopy(DEFAULT)
    *parents, key = path.split(".")
    block = raw
    for parent in parents:
        block = block.setdefault(parent, {})
    block[key] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("trainin", {}, "unknown key trainin: {}; expected one of run, .*; did you mean 'training'"),
        ("training.lrr", 1, "unknown key training.lrr: 1; .*; did you mean 'lr'"),
        ("split", 1.2, "split is 1.2; expected 'measured' or a number between 0 and 1, both excluded"),
        ("split", "mesured", "split is \"mesured\"; .*; did you mean 'measured'"),
        (
            "experiments.tab1.splits",
            [0.1, 0],
            r"experiments.tab1.splits.1 is 0; expected 'measured' or a number between",
        ),
        (
            "experiments.tab1.spaces",
            ["pixl"],
            "experiments.tab1.spaces is 'pixl'; .*: pixel, vae; did you mean 'pixel'",
        ),
        (
            "experiments.tab1.models",
            ["XXL", "B"],
            "experiments.tab1.models is 'XXL'; .*: S, S_oracle, B, XL; did you mean 'XL'",
        ),
        ("spaces.vae.encoder.kind", "k", "spaces.vae.encoder.kind is \"k\"; expected one of 'identity', 'kl'"),
        (
            "spaces.vae.encoder",
            {"kind": "sd-vae", "weights": "a.pt", "decoder": "b.pt"},
            "spaces.vae.encoder: decoder with kind 'sd-vae'; expected it with tiny only",
        ),
        (
            "spaces.vae.encoder",
            {"kind": "none", "latents": {"format": "npy", "path": "latents.npy"}},
            r"experiments.tab1 makes images, and latent space 'vae' has no decoder .*experiments.tab1.spaces",
        ),
        ("spaces.vae.encoder", {"kind": "none"}, "spaces.vae.encoder.latents is missing; expected training latents"),
        (
            "models.B.checkpoint",
            {"vae": {"path": "a.pt", "weights": 3}},
            "models.B.checkpoint.vae.weights is 3; expected text",
        ),
        (
            "evaluation.references",
            {"classifier": {"pth": "a.npz"}},
            "unknown key evaluation.references.classifier.pth: .*; did you mean 'path'",
        ),
        ("spaces.vae.encoder.chanels", [8], "unknown key spaces.vae.encoder.chanels: .* did you mean 'channels'"),
        (
            "spaces.vae.encoder",
            {"kind": "sd-vae", "weights": {"repo": "a/b", "file": "c.pt"}},
            "spaces.vae.encoder.weights: `repo`, `revision` and `file` go together",
        ),
        (
            "spaces.vae.encoder",
            {"kind": "sd-vae", "weights": {"repo": "a/b", "file": "c.pt", "revision": "main"}},
            r"spaces.vae.encoder.weights.revision is \"main\"; expected a commit, 40 hex digits",
        ),
        (
            "models.S",
            {"hidden_size": 32, "depth": 2, "num_heads": 2, "checkpoint": {"pixl": "x.pt"}},
            "models.S.checkpoint is 'pixl'; expected a latent space of `spaces`.*: pixel, vae; did you mean 'pixel'",
        ),
        ("models.S.hidden_size", 33, "models.S: hidden_size 33 with num_heads 2; expected a multiple"),
        ("data.name", "digit", "data.name is \"digit\"; expected 'digits', .*; did you mean 'digits'"),
        ("data", {"name": "image_folder", "image_size": 8}, "data: image_folder needs `path`"),
        ("sampling.seeds", [], r"sampling.seeds is \[\]; expected at least one item"),
        ("sampling.steps", "many", 'sampling.steps is "many"; expected a whole number'),
        ("jobs.training.gpus", 1, "unknown key jobs.training.gpus: 1; .* did you mean 'gpu'"),
        ("training.ema", 1.5, "training.ema is 1.5; expected a number less than 1"),
    ],
)
def test_a_mistake_is_one_line_with_key_value_and_expectation(path, value, message):
    with pytest.raises(ConfigError) as caught:
        load(with_value(path, value))
    text = str(caught.value)
    assert "\n" not in text
    assert re.match("config: " + message, text), text


def test_a_missing_key_says_what_it_is_for():
    raw = copy.deepcopy(DEFAULT)
    del raw["training"]["steps"]
    with pytest.raises(ConfigError, match=r"^config: training.steps is missing; expected optimiser steps$"):
        load(raw)


def test_two_mistakes_are_two_lines():
    raw = with_value("split", 2)
    raw["rum"] = "x"
    with pytest.raises(ConfigError) as caught:
        load(raw)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configurations_load(path):
    assert load(yaml.safe_load(path.read_text())).run


def test_a_name_of_the_paper_alone_has_its_size():
    config = load(
        with_value(
            "models",
            {
                "S": None,
                "S_oracle": {"hidden_size": 384, "depth": 12, "num_heads": 6, "target": "oracle"},
                "B": {},
                "XL": {"steps": 5},
            },
        )
    )
    assert (config.models["S"].hidden_size, config.models["S"].depth, config.models["S"].num_heads) == (384, 12, 6)
    assert (config.models["XL"].hidden_size, config.models["XL"].depth, config.models["XL"].num_heads) == (1152, 28, 16)


def test_a_folder_that_is_not_there_is_named():
    raw = with_value("data", {"name": "image_folder", "image_size": 8, "path": "no/such"})
    with pytest.raises(ConfigError, match=r"^config: data.path is 'no/such'; expected a folder that exists$"):
        check_places(load(raw))


def test_the_estimate_does_without_the_folder_where_the_numbers_of_images_are_given():
    data = {"name": "image_folder", "image_size": 8, "path": "no/such", "images": 10}
    with pytest.raises(ConfigError, match=r"a folder that exists, or data.images and data.held_out_images, which `est"):
        check_places(load(with_value("data", data)), estimating=True)
    check_places(load(with_value("data", {**data, "held_out_images": 2})), estimating=True)
    with pytest.raises(ConfigError, match=r"expected a folder that exists$"):
        check_places(load(with_value("data", {**data, "held_out_images": 2})))


def test_a_file_lies_where_its_path_says_or_under_weights():
    raw = with_value("models.S.checkpoint", "some/S.pt")
    for name in ("fig_oracle_supervised", "tab_halves"):  # of models that are trained here
        del raw["experiments"][name]
    raw["models"]["B"]["checkpoint"] = {"vae": {"repo": "a/b", "revision": "0" * 40, "file": "c/d.pt"}}
    raw["models"]["XL"]["checkpoint"] = {"url": "https://example.org/e/XL.pt", "sha256": "0" * 64}
    models = load(raw).models
    assert {space: file.place for space, file in models["S"].checkpoint.items()} == dict.fromkeys(
        ("pixel", "vae"), "some/S.pt"
    )
    assert models["B"].checkpoint["vae"].place == "weights/a--b/c/d.pt"
    assert models["XL"].checkpoint["pixel"].place == "weights/XL.pt"
    assert {"some/S.pt", "weights/a--b/c/d.pt", "weights/XL.pt"} == set(load(raw).files())


def test_weights_of_two_files_and_references_are_files_of_the_run():
    raw = with_value("spaces.vae.encoder", {"kind": "tiny", "weights": "e.pth", "decoder": "d.pth"})
    raw["data"] = {"name": "image_folder", "path": "train", "image_size": 8}
    raw["evaluation"] = {"references": {"classifier": "held_out"}}
    config = load(raw)
    assert [file.place for file in config.spaces["vae"].weight_files] == ["e.pth", "d.pth"]
    assert {"e.pth", "d.pth"} <= set(config.files())
    assert "held_out" not in config.files()
    raw["evaluation"] = {"references": {"classifier": "adm.npz"}}
    assert "adm.npz" in load(raw).files()


def test_latents_alone_need_no_images():
    raw = with_value("spaces", {"mine": {"encoder": {"kind": "none", "latents": {"format": "npy", "path": "z.npy"}}}})
    raw["experiments"] = {}
    del raw["data"]
    config = load(raw)
    assert config.data.name == "none"
    assert load(config.model_dump(mode="json")) == config
    raw["spaces"]["pixel"] = {"encoder": {"kind": "identity"}}
    with pytest.raises(ConfigError, match="config: data is missing"):
        load(raw)
    with pytest.raises(ConfigError, match=r"data\.name is none, but latent space 'pixel' encodes images"):
        load({**raw, "data": {"name": "none", "image_size": 8}})


def test_the_entry_of_a_checkpoint_stands_beside_its_path():
    config = load(with_value("models.B.checkpoint", {"path": "a.pt", "weights": "model"}))
    assert {file.weights for file in config.models["B"].checkpoint.values()} == {"model"}
    assert load(with_value("models.B.checkpoint", "a.pt")).models["B"].checkpoint["vae"].weights is None


def test_an_imported_model_has_one_snapshot_where_it_is_imported():
    config = load(with_value("models.S.checkpoint", {"vae": "some/S.pt"}))  # App. B runs in the other space
    assert config.snapshots("S", "vae") == [config.training.steps]
    assert config.snapshots("S", "pixel") == config.snapshots("S")


def test_snapshots_end_with_the_last_step_of_each_model():
    config = load(DEFAULT)
    assert config.snapshots("S")[-1] == config.training.steps
    assert config.snapshots("XL")[-1] == config.models["XL"].steps
    assert config.training.steps in config.snapshots("XL")


def test_a_model_of_another_target_is_one_of_the_spaces_whose_experiments_name_it():
    assert load(DEFAULT).models_of("pixel") == ["S", "S_oracle", "B", "XL"]
    assert load(DEFAULT).models_of("vae") == ["S", "B", "XL"]
    plans = {"plans": {"a": {"parts": [{"field": "S_oracle@125", "stop": 0.5}, {"field": "XL"}]}}}
    assert load(with_value("experiments.tab_plans", plans)).models_of("vae") == ["S", "S_oracle", "B", "XL"]


def test_every_key_is_described():
    assert "| None |" not in reference()
    assert "PydanticUndefined" not in reference()


def test_the_readme_is_generated_from_the_schema():
    assert (ROOT / "config/README.md").read_text() == reference(), "run: python -m twostage.config > config/README.md"


def test_the_recipes_defaults_are_the_papers_and_a_presets_by_name():
    plain = load(with_value("training", {"steps": 5})).training.model_dump(exclude={"preset", "snapshots"})
    recipe = Recipe.parse({"steps": 5})
    assert plain == {name: getattr(recipe, name) for name in plain}
    theirs = load(with_value("training", {"preset": "lightningdit", "steps": 5, "lr": 3e-4})).training
    assert (theirs.batch_size, theirs.betas, theirs.time, theirs.cosine_loss) == (1024, (0.9, 0.95), "lognormal", True)
    assert (theirs.max_grad_norm, theirs.lr) == (None, 3e-4)
    with pytest.raises(ConfigError, match=r'training.preset is "lightning"; .*; did you mean .lightningdit.'):
        load(with_value("training.preset", "lightning"))


@pytest.mark.parametrize(("hidden_size", "depth", "num_heads"), [(384, 12, 6), (48, 3, 2), (96, 5, 4)])
def test_models_are_ordered_by_the_parameters_they_have(hidden_size, depth, num_heads):
    size = {"hidden_size": hidden_size, "depth": depth, "num_heads": num_heads}
    network = LightningDiT(input_size=8, patch_size=2, in_channels=1, num_classes=10, **size)
    decided_by_latents = ("x_embedder.", "y_embedder.", "pos_embed", "final_layer.linear.", "feat_rope.")
    own = [values.numel() for name, values in network.named_parameters() if not name.startswith(decided_by_latents)]
    assert Model(**size).parameters == sum(own)


def test_an_appended_model_of_middle_size_stands_in_the_middle():
    raw = copy.deepcopy(DEFAULT)
    raw["models"] = dict(reversed(raw["models"].items())) | {"middle": {"hidden_size": 64, "depth": 4, "num_heads": 4}}
    assert load(raw).sizes == ["S", "B", "middle", "XL"]


def test_autoencoders_are_aligned_or_plain_and_pixels_are_neither():
    raw = yaml.safe_load((ROOT / "config/cifar10.yaml").read_text(encoding="utf-8"))
    assert load(raw).aligned == {"vae": False, "vae_aligned": True}
    raw = yaml.safe_load((ROOT / "config/imagenet256.yaml").read_text(encoding="utf-8"))
    assert load(raw).aligned == {"vavae": True, "sdvae": False}


@pytest.mark.parametrize(
    ("gpu", "count", "kind"), [(2, 2, None), ("2", 2, None), ("a100:2", 2, "a100"), ("2080ti:1", 1, "2080ti")]
)
def test_gpus_may_be_asked_for_by_their_kind(gpu, count, kind):
    found = load(with_value("jobs", {"training": {"gpu": gpu}})).jobs.training
    assert (found.gpu, found.gpu_model) == (count, kind)


def test_folders_that_are_no_class_folders_and_colours_that_are_none(tmp_path):
    def config(**data):
        described = {"name": "image_folder", "path": str(tmp_path / "images"), "image_size": 8} | data
        models = {"S": {"hidden_size": 8, "depth": 1, "num_heads": 1}}
        spaces = {"pixel": {"encoder": {"kind": "identity"}}}
        return load({"run": "r", "data": described, "spaces": spaces, "models": models, "training": {"steps": 1}})

    (tmp_path / "images/ant").mkdir(parents=True)
    (tmp_path / "images/ant/a.png").write_bytes(b"1")
    with pytest.raises(ConfigError, match=r"config: .*images: one image in each of its 1 classes"):
        check_places(config())
    (tmp_path / "images/ant/b.png").write_bytes(b"2")
    check_places(config(background="#0a0B0c"))
    (tmp_path / "held_out").mkdir()
    with pytest.raises(ConfigError, match="held_out: no class folders; put the images into one folder per class"):
        check_places(config(held_out_path=str(tmp_path / "held_out")))
    with pytest.raises(ConfigError, match=r"data\.background"):
        config(background="paper")
