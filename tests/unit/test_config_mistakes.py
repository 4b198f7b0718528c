"""What is known when a configuration is read is said then: one line a mistake, with key, value and expectation."""

import datetime
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from taesd import make_taesd
from test_config import DEFAULT, with_value

from twostage.config import ConfigError, check_files, check_places, load
from twostage.data.published import latent_of
from twostage.data.structure import structure_of
from twostage.data.tiny import one_file

SIZE = {"hidden_size": 32, "depth": 2, "num_heads": 2}
FOLDERS = {"name": "image_folder", "image_size": 8}


def own_plan(part=None, **rest):
    return {"plans": {"a": {"parts": [{"field": "B", **(part or {})}], **rest}}}


def lines_of(check, *arguments, **options):
    with pytest.raises(ConfigError) as caught:
        check(*arguments, **options)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("config: ") for line in lines)
    return [line.removeprefix("config: ") for line in lines]


PART = "experiments.tab_plans.plans.a.parts.0"
TWINS = "experiments.fig_oracle_supervised.models"
MISTAKES = [
    # Sizes that do not fit each other.
    ("spaces.pixel.patch_size", 3, "spaces.pixel.patch_size is 3; expected a divisor of .* side 8 .*: 1, 2, 4, 8"),
    ("data.image_size", 16, "data.image_size is 16, data.name digits; expected 8, the side of its images"),
    (
        "spaces.f16",
        {"encoder": {"kind": "va-vae", "weights": "x"}},
        r"spaces.f16.encoder \(va-vae\) takes images of 3 channels; digits has 1: expected another encoder, such as kl",
    ),
    ("spaces.vae.encoder.channels", [8], r"spaces.vae.encoder: channels is \[8\] with downsample 2; expected 2"),
    ("spaces.vae.encoder.downsample", 4, r"spaces.vae.encoder: channels is \[16, 32\] with downsample 4; expected 3"),
    ("experiments.tab3.from_data", ["clas"], "experiments.tab3.from_data.0 is \"clas\"; .*; did you mean 'class'"),
    ("experiments.tab3.beside", [{"model": "XXL"}], "experiments.tab3.beside is 'XXL'; expected a model of `models`"),
    ("experiments.tab3.channels", 4, "experiments.tab3.channels is 4; expected 'all', or at most 1, the ch"),
    ("experiments.tab_plans", own_plan({"channels": 5}), f"{PART}.channels is 5; expected 'all', or at most 1"),
    ("jobs", {"training": {"gpu": 3}}, "training.batch_size is 64; expected a multiple of jobs.training.gpu 3 x"),
    ("oracle_loss", {"pairs": 1}, "oracle_loss.pairs is 1; expected a number greater than or equal to 2"),
    ("experiments.tab_halves.samples", 1, "experiments.tab_halves.samples is 1; expected 2 or more: tab_halves"),
    ("sampling.shards", 500, "sampling.shards is 500; expected at most 100, which is experiments.fig_samples.samples"),
    ("flux", {"model": "config", "height": 1000}, "flux: height is 1000; expected a multiple of 16, .*: 992"),
    ("flux", {"model": "config", "width": 7}, "flux: width is 7; expected a multiple of 16, .*: 16"),
    ("training.snapshots", [10, 1401, 9999], "training.snapshots has 1401, 9999; expected steps up to 1400, where the"),
    # One of several ways to write a value, of which pydantic has names of its own.
    (
        "experiments.tab1.stage_steps",
        "equl",
        "experiments.tab1.stage_steps is \"equl\"; expected 'proportional' or 'equal' or a list; did you mean 'equal'",
    ),
    ("experiments.tab1.stage_steps", [1, "x"], 'experiments.tab1.stage_steps.1 is "x"; expected a whole number'),
    ("experiments.tab_plans", {"plans": {"a": ["B"]}}, "experiments.tab_plans.plans.a is .*; expected a mapping with"),
    # Numbers.
    ("training.betas", [0.9, 1.0], "training.betas.1 is 1.0; expected a number less than 1"),
    ("training.betas", [0.9], r"training.betas is \[0.9\]; expected 2 items"),
    ("training.lr", float("inf"), "training.lr is Infinity; expected a finite number"),
    ("training.lr", float("nan"), "training.lr is NaN; expected a finite number"),
    ("training.lr", 1e35, r"training.lr is 1e\+35; expected a number up to 1e\+30"),
    ("training.max_grad_norm", float("inf"), "training.max_grad_norm is Infinity; expected a finite number"),
    ("training.steps", 1.5, "training.steps is 1.5; expected a whole number"),
    ("training.steps", True, "training.steps is true; expected a whole number"),
    ("training.steps", "1e99999999", 'training.steps is "1e99999999"; expected a whole number below 2\\^63'),
    ("seed", 2**64, "seed is 18446744073709551616; expected a whole number below 2\\^63"),
    ("seed", 2**63, "seed is 9223372036854775808; expected a whole number below 2\\^63"),
    ("seed", -1, "seed is -1; expected a number greater than or equal to 0"),
    ("seed", None, "seed is null; expected a whole number: leave the key out for its default"),
    ("sampling.seeds", [0, 2**64], "sampling.seeds.1 is 18446744073709551616; expected a whole number below 2"),
    ("jobs", {"data": {"mem_mb": "64X"}}, 'jobs.data.mem_mb is "64X"; expected a number, or one with a unit: 64G'),
    ("jobs", {"data": {"runtime": "1-00:00"}}, 'jobs.data.runtime is "1-00:00"; expected .* a unit: 2d, 12h, 90m'),
    ("jobs", {"data": {"mem": "64G"}}, 'unknown key jobs.data.mem: "64G"; .*; did you mean \'mem_mb\''),
    ("jobs", {"data": {"gpu": "a100"}}, "jobs.data: gpu is 'a100'; expected a number, or a kind and a number: a100:1"),
    ("jobs", {"data": {"gpu": None}}, "jobs.data.gpu is null; expected a whole number: leave the key out"),
    ("jobs", {"data": {"gpu": True}}, "jobs.data.gpu is true; expected a whole number"),
    # Lists.
    ("synthetic.dims", [], r"synthetic.dims is \[\]; expected at least one item"),
    ("spaces.vae.encoder.channels", [], r"spaces.vae.encoder.channels is \[\]; expected at least one item"),
    ("experiments.tab1.spaces", [], r"experiments.tab1.spaces is \[\]; expected at least one item"),
    ("flux", {"model": "config", "prompts": []}, r"flux.prompts is \[\]; expected at least one item"),
    ("sampling.seeds", [0, 0], r"sampling.seeds is \[0, 0\]; expected values that differ; 0 stands twice"),
    ("sampling.seeds", 0, r"sampling.seeds is 0; expected a list: \[0\]"),
    ("evaluation.features", "classifier", r'evaluation.features is "classifier"; expected a list: \[classifier\]'),
    # Models that an experiment compares.
    ("experiments.tab1.models", ["XL"], r'experiments.tab1.models is \["XL"\]; expected at least 2 items'),
    ("experiments.tab1.models", ["B", "B"], "experiments.tab1.models is .*; expected values that differ; B stan"),
    (TWINS, ["S_oracle", "S"], rf"{TWINS} are S_oracle \(target oracle\) and S \(target cfm\); expected a model with"),
    (TWINS, ["B", "S_oracle"], f"{TWINS} are B and S_oracle with hidden_size 64 and 32, .*; expected twins"),
    ("models.S_oracle.steps", 5, f"{TWINS} are S and S_oracle with steps 1000 and 5; expected twins"),
    ("models.S_oracle.checkpoint", "S.pt", f"{TWINS} has S_oracle, which is imported in latent space pixel"),
    # Plans of one's own.
    ("experiments.tab_plans", own_plan({"guidance": "two"}), f'{PART}.guidance is "two"; expected a number'),
    ("experiments.tab_plans", own_plan({"guidance": [2]}), rf"{PART}.guidance is \[2\]; expected a number"),
    ("experiments.tab_plans", own_plan({"guidance": True}), f"{PART}.guidance is true; expected a number"),
    ("experiments.tab_plans", own_plan({"interval": 0.5}), f"{PART}.interval is 0.5; expected 'transition' or"),
    ("experiments.tab_plans", own_plan({"interval": [0, "b"]}), f"{PART}.interval.1 is \"b\"; expected 'split' or a"),
    ("experiments.tab_plans", own_plan({"stpo": 1}), f"unknown key {PART}.stpo: 1; .*; did you mean 'stop'"),
    ("experiments.tab_plans", own_plan(start="post"), "experiments.tab_plans.plans.a.start is .*'prior' or a mapping"),
    (
        "experiments.tab_plans",
        own_plan(start={"resume": "x", "split": "train"}),
        "experiments.tab_plans.plans.a.start.resume is \"x\"; expected 'split' or a number",
    ),
    ("experiments.tab_plans", own_plan(start={"gausian": 0.3}), "unknown key .*gausian.*; did you mean 'gaussian'"),
    (
        "experiments.tab_plans",
        own_plan(start={"gaussian": 1.5}),
        "experiments.tab_plans.plans.a.start.gaussian is 1.5; expected 'split' or a number less than or equal to 1",
    ),
    ("experiments.tab_plans", {"plans": {"a": ["B"]}}, r'experiments.tab_plans.plans.a is \["B"\]; expected a mapping'),
    # Names.
    ("models.oracle", SIZE, r"models has 'oracle', a reserved name \(the exact field\); expected another, such as"),
    ("models.Split", SIZE, r"models has 'Split', a reserved name \(the stage split\)"),
    ("models.gaussian", SIZE, "models has 'gaussian', a reserved name"),
    ("spaces.inception", {"encoder": {"kind": "identity"}}, "spaces has 'inception', a reserved name"),
    ("models.s", SIZE, "models has 'S' and 's'; expected names that differ in more than upper and lower case"),
    ("models.S-big", SIZE, "models has the name \"S-big\"; expected a name of letters, digits and _,.*'S_big'"),
    ("spaces.sd vae", {"encoder": {"kind": "identity"}}, "spaces has the name \"sd vae\"; .*: write 'sd_vae'"),
    ("models", {1: SIZE}, 'models has the name 1; expected text: put it in quotes, "1"'),
    ("run", "v1.0", "run is \"v1.0\"; expected a name of letters, digits, _ and -, .*: write 'v1_0'"),
    ("run", "a" * 101, "run is \"a.*; expected at most 100 characters, not 101: it is part of file names"),
    ("run", datetime.date(2024, 1, 1), 'run is "2024-01-01"; .* a date: put it in quotes, "2024-01-01"'),
    ("run", 7, 'run is 7; expected text: put it in quotes, "7"'),
    ("run", False, "run is false; expected text; YAML reads yes, no, on and off as true and false: put it in quotes"),
    ("data.background", "#fff", 'data.background is "#fff"; expected white, black, grey or "#rrggbb", six hex digits'),
    ("data.background", None, "data.background is null; expected white, .* in quotes .# alone begins a comment"),
    # Blocks.
    ("models.M", None, r"models.M lacks keys; expected hidden_size \(width of the tokens\), depth \(.*\), num_heads"),
    ("spaces.pixel.encoder", "identity", 'spaces.pixel.encoder is "identity"; expected a mapping with kind'),
    ("models", ["S", "B"], r'models is \["S", "B"\]; expected a mapping, {name: settings}'),
    ("sampling.seeds", "0-4", r'sampling.seeds is "0-4"; expected a list, each item written out: \[0, 1, 2\]'),
    ("spaces.pixel", "identity", 'spaces.pixel is "identity"; expected a mapping with encoder'),
    ("experiments.tab1", True, "experiments.tab1 is true; expected a mapping such as {} or one with spaces"),
    ("spaces.vae.encoder.kind", "KL", "spaces.vae.encoder.kind is \"KL\"; expected one of .*; did you mean 'kl'"),
    ("experiments.tab3", {"short": [], "wide": []}, "experiments.tab3: short and wide are both empty"),
    ("experiments.tab_capacity.small", "BB", "experiments.tab_capacity.small is 'BB'; expected a model of .*'B'"),
    ("experiments.tab_capacity.small", "XL", "experiments.tab_capacity: large and small are both XL; expected two mod"),
    ("experiments.tab_halves.models", ["XL", "C"], "experiments.tab_halves.models is 'C'; expected a model of `mode"),
    ("experiments.tab_halves.snapshot", 0, "experiments.tab_halves.snapshot is 0; expected a number .*1"),
    ("experiments.tab_capacity.late", 1, "experiments.tab_capacity.late is 1; expected a number between 0 and 1, bo"),
    ("experiments.fig5.model", "XL@500", "experiments.fig5.model is 'XL@500'; expected a model of `models`: S, S_or"),
    ("spaces.kl", {"encoder": {"kind": "kl", "stps": 1}}, "unknown key spaces.kl.encoder.stps: 1; .*'steps'"),
    # Paths and files.
    ("models.B.checkpoint", {"path": "x", "sha256": "abc"}, r'models.B.checkpoint.pixel.sha256 is "abc"; expected 6'),
    ("models.B.checkpoint", {"url": "ftp://x/y"}, r'models.B.checkpoint.pixel.url is "ftp://x/y"; expected an address'),
    ("data", {**FOLDERS, "path": "a{b}"}, 'data.path is "a{b}"; expected a path without braces, which Snakemake reads'),
    ("data", {**FOLDERS, "path": "$NOT_SET/x"}, "data.path is .*; the environment variable NOT_SET is not set"),
    ("data", {**FOLDERS, "path": "~nobody_/x"}, "data.path is .*; there is no such user's home folder"),
    ("data", {**FOLDERS, "path": 2012}, 'data.path is 2012; expected text: put it in quotes, "2012"'),
    ("models.B.checkpoint", {"vae": "{x}.pt"}, "models.B.checkpoint.vae.path is .* expected a path without braces"),
    ("spaces.vae.encoder", {"kind": "tiny", "weights": "x", "posterior": "sample"}, "spaces.vae.encoder: posterior is"),
    ("spaces.vae.encoder", {}, "spaces.vae.encoder.kind is missing; expected a kind of encoder"),
    ("spaces.vae.encoder", {"kind": "sd-vae", "weights": None}, "spaces.vae.encoder.weights is null; expected a path"),
    (
        "evaluation",
        {"features": ["inception"], "inception_weights": {"url": "https://example.org/x/"}},
        "evaluation.inception_weights: its name at its source, 'weights/', is no file name here; expected `path`",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_a_mistake_is_one_line(path, value, message):
    (line,) = lines_of(load, with_value(path, value))
    assert re.match(message, line), line


def test_a_snapshot_of_a_model_where_it_is_imported():
    raw = with_value("models.B.checkpoint", {"vae": "B.pt"})
    raw["experiments"]["tab_plans"] = own_plan({"field": "B@125"})
    (line,) = lines_of(load, raw)
    assert line.startswith("experiments.tab_plans.plans.a names B@125, but B is imported in latent space vae")
    assert line.endswith("expected B, or `spaces` without vae")
    for found in ({"spaces": ["pixel"]}, own_plan({"field": "B@1000"})):  # its only one, at its last step
        load({**raw, "experiments": {"tab_plans": raw["experiments"]["tab_plans"] | found}})


def test_a_navigating_snapshot_of_a_model_where_it_is_imported():
    raw = with_value("models.B.checkpoint", {"vae": "B.pt"})
    raw["experiments"]["tab_halves"] = {"models": ["B"], "snapshot": 125}
    (line,) = lines_of(load, raw)
    assert line.startswith("experiments.tab_halves.snapshot is 125, but B is imported in latent space vae (models.B")
    assert line.endswith("expected no snapshot, or `spaces` without vae")
    for found in ({"spaces": ["pixel"]}, {"snapshot": None}):
        load({**raw, "experiments": {"tab_halves": raw["experiments"]["tab_halves"] | found}})


def test_one_sample_is_enough_where_no_distance_is_taken_and_too_few_elsewhere():
    raw = with_value("sampling.samples", 1)
    one = {name: {**raw["experiments"].get(name, {}), "samples": 1} for name in ("fig5", "fig6", "fig8", "fig_samples")}
    load(raw | {"experiments": one})
    (line,) = lines_of(load, raw | {"experiments": {"tab1": {}, "tab2": {}, "tab_gain": {"samples": 2}}})
    assert line.startswith("sampling.samples is 1; expected 2 or more: tab1 measures distances")
    plans = {"a": {"parts": [{"field": "B"}], "samples": 2}, "b": {"parts": [{"field": "B"}], "samples": 1}}
    (line,) = lines_of(load, raw | {"experiments": {"tab_plans": {"plans": plans}}})
    assert line.startswith("experiments.tab_plans.plans.b.samples is 1; expected 2 or more")


def test_samples_of_one_plan_that_are_fewer_than_the_shards():
    raw = with_value("sampling.shards", 5)
    raw["experiments"]["tab_plans"] = own_plan(samples=4)
    (line,) = lines_of(load, raw)
    assert line.startswith("sampling.shards is 5; expected at most 4, which is experiments.tab_plans.plans.a.samples")


def test_two_files_at_one_place():
    raw = with_value("models.B.checkpoint", {"vae": {"url": "https://example.org/b/x.pt"}})
    raw["models"]["XL"]["checkpoint"] = {"vae": {"url": "https://example.org/xl/x.pt"}}
    (line,) = lines_of(load, raw)
    assert line.startswith(
        "models.XL.checkpoint.vae and models.B.checkpoint.vae are different files, both at weights/x.pt"
    )


def test_folders_without_classes_and_with_other_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("flat/.hidden", "train/cat", "train/emu", "val/dog", "val/emu"):
        Path(folder).mkdir(parents=True)
    Path("flat/1.png").touch()
    check = lambda **data: lines_of(check_places, load(with_value("data", FOLDERS | data)))  # noqa: E731
    (line,) = check(path="flat")
    assert line.startswith("data.path: flat: 1 images, but no class folders; put the images into one folder per class")
    (line,) = check(path="train", held_out_path="val")
    assert line.startswith("data.held_out_path is 'val'; expected the classes of data.path: the class folder 'cat' is")
    check_places(load(with_value("data", FOLDERS | {"path": "train"})))


def test_held_out_images_that_are_the_training_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train/cat").mkdir(parents=True)
    Path("train/emu").mkdir()
    paths = {"path": "train", "held_out_path": "./train/"}
    (line,) = lines_of(check_places, load(with_value("data", FOLDERS | paths)))
    assert line.startswith("data.held_out_path is './train/', the folder of data.path; expected other images, or no")


def test_one_class_decides_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train/cat").mkdir(parents=True)
    raw = with_value("data", FOLDERS | {"path": "train"})
    raw["experiments"]["tab_plans"] = own_plan({"interval": "class"})
    assert [line.partition(" names 'class'")[0] for line in lines_of(check_places, load(raw))] == [
        "experiments.tab3.from_data",
        f"{PART}.interval",
    ]
    del raw["experiments"]["tab_plans"], raw["experiments"]["tab3"]["from_data"]
    check_places(load(raw))


def test_every_name_that_is_not_there_has_a_line():
    lines = lines_of(load, with_value("spaces.pixel", None))
    named = [
        name for name, found in load(with_value("seed", 0)).experiments if found and "pixel" in (found.spaces or ())
    ]
    assert {"tab2", "tab3", "fig5", "fig_oracle_supervised"} <= {*named}
    assert lines == [
        f"experiments.{name}.spaces is 'pixel'; expected a latent space of `spaces`: vae" for name in named
    ]


def test_weights_that_are_not_there_and_come_from_nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = with_value("spaces.vae.encoder", {"kind": "autoencoder-kl", "weights": "no.pt"})
    raw["models"]["XL"]["checkpoint"] = {"vae": "xl.pt"}
    lines = lines_of(check_places, load(raw))
    assert lines == [
        f"{key} is {path!r}; no such file, and no place to fetch it from; expected a file that exists, or `url`, or "
        "`repo`, `revision` and `file`"
        for key, path in (("spaces.vae.encoder.weights", "no.pt"), ("models.XL.checkpoint.vae", "xl.pt"))
    ]
    check_places(load(raw), estimating=True)
    Path("no.pt").write_bytes(b"weights")
    Path("xl.pt").mkdir()  # a diffusers folder
    check_places(load(raw))
    Path("no.pt").write_text("<!DOCTYPE html><html>Sign in</html>")
    (line,) = lines_of(check_places, load(raw))
    assert line.startswith("spaces.vae.encoder.weights: no.pt: this is a web page")


def test_what_no_job_would_find_with_a_storage(tmp_path):
    (tmp_path / "images/cat").mkdir(parents=True)
    raw = with_value("spaces.vae.encoder", {"kind": "autoencoder-kl", "weights": "/mnt/vae.pt"})
    raw["flux"] = {"model": "org/flux", "revision": "a" * 40, "prompts": ["a cat"]}
    raw["data"] = {**FOLDERS, "path": str(tmp_path / "images"), "held_out_path": "held_out"}
    raw["training"]["state_folder"] = "state"
    named = [line.partition("; with a storage, expected ") for line in lines_of(check_places, load(raw), stored=True)]
    volume = "the absolute path of a folder on a volume that every job mounts"
    assert [(first, last) for first, _, last in named] == [
        ("data.held_out_path is 'held_out'", f"{volume}, or a .zip archive in the storage"),
        ("spaces.vae.encoder.weights is '/mnt/vae.pt'", "a path in it, such as weights/vae.pt"),
        ("flux.model is 'org/flux'", volume),
        ("training.state_folder is 'state'", volume),
    ]
    raw["spaces"]["vae"]["encoder"]["weights"], raw["flux"]["model"] = "weights/vae.pt", str(tmp_path)
    raw["training"]["state_folder"] = "/mnt/state"
    raw["data"] |= {"path": "images.zip", "held_out_path": "held_out.zip"}
    check_places(load(raw), stored=True)  # what lies in the storage is not looked at
    raw["data"] |= {"path": str(tmp_path / "no"), "held_out_path": None}
    (line,) = lines_of(check_places, load(raw), stored=True)
    assert line == f"data.path is '{tmp_path}/no'; expected a folder that exists"


def sizes_of(encoder, size, **space):
    """Lines on images of a folder whose side is ``size`` against a latent space with this encoder."""
    raw = with_value("spaces", {"vae": {"encoder": encoder, **space}})
    raw["data"], raw["experiments"] = {**FOLDERS, "path": "train", "image_size": size}, {}
    try:
        check_places(load(raw))
    except ConfigError as error:
        return str(error).splitlines()
    return []


def test_the_side_of_images_against_what_an_encoders_file_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train/cat").mkdir(parents=True)
    Path("flux").mkdir()
    Path("flux/config.json").write_text(json.dumps({"in_channels": 3, "block_out_channels": [1, 1, 1, 1]}))
    kl = {"kind": "autoencoder-kl", "weights": "flux"}
    assert sizes_of(kl, 64) == []
    (line,) = sizes_of(kl, 60)
    assert line.startswith("config: data.image_size is 60; expected a multiple of 8, by which spaces.vae.encoder (auto")
    (line,) = sizes_of(kl, 64, patch_size=3)
    assert line.startswith("config: spaces.vae.patch_size is 3; expected a divisor of the latents' side 8")
    encoder, _ = make_taesd(f32=True)
    save_file(encoder.state_dict(), "taesana.safetensors")
    tiny = {"kind": "tiny", "weights": "taesana.safetensors"}
    assert sizes_of(tiny, 64) == []
    (line,) = sizes_of(tiny, 72)
    assert line.startswith(
        "config: data.image_size is 72; expected a multiple of 32, by which spaces.vae.encoder (tiny"
    )
    (line,) = sizes_of({"kind": "va-vae", "weights": "flux"}, 72)
    assert line.startswith(
        "config: data.image_size is 72; expected a multiple of 16, by which spaces.vae.encoder (va-vae"
    )


def test_grey_encoders_and_colour_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train/cat").mkdir(parents=True)
    save_file(AutoencoderKL(in_channels=1).state_dict(), "grey.safetensors")
    (line,) = sizes_of({"kind": "autoencoder-kl", "weights": "grey.safetensors"}, 64)
    assert line.startswith("config: spaces.vae.encoder (autoencoder-kl) takes images of 1 channels; image_folder has 3")


def test_what_no_header_tells_is_left_to_the_job(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 40)
    (tmp_path / "config.json").write_text("[]")
    for path in (tmp_path / "absent.pt", tmp_path / "x.safetensors", tmp_path):
        assert structure_of(path) == (None, None)


@pytest.mark.parametrize(
    ("options", "reduction"), [({}, 8), ({"pooled": True}, 8), ({"f32": True}, 32)], ids=["taesd", "flux2", "sana"]
)
def test_a_header_tells_what_the_network_does(tmp_path, options, reduction):
    encoder, decoder = (network.state_dict() for network in make_taesd(**options))
    save_file({name: value.clone() for name, value in one_file(encoder, decoder).items()}, tmp_path / "x.safetensors")
    assert structure_of(tmp_path / "x.safetensors") == (3, reduction)
    assert latent_of("tiny", [tmp_path / "x.safetensors"])[1] == reduction


def test_plain_latents_need_their_labels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = with_value("spaces.vae.encoder", {"kind": "none", "latents": {"format": "npy", "path": "z.npy"}})
    raw["experiments"] = {}
    assert lines_of(check_places, load(raw)) == [
        "spaces.vae.encoder.latents.path is 'z.npy'; expected a file that exists"
    ]
    Path("z.npy").write_bytes(b"latents")
    (line,) = lines_of(check_places, load(raw))
    assert line.startswith("spaces.vae.encoder.latents.labels is 'labels.npy'; expected a file that exists")
    Path("labels.npy").write_bytes(b"labels")
    check_places(load(raw))
    np.save("z.npy", np.zeros((5, 4, 4, 32), np.float32))
    (line,) = lines_of(check_places, load(raw))
    assert line.endswith(
        "of shape (5, 4, 4, 32); expected (N, C, H, W), H and W alike: where the channels stand last, move them; where "
        "images are not square, data.image_size says so"
    )
    np.save("z.npy", np.zeros((5, 32, 4, 4), np.float32))
    check_places(load(raw))
    raw["spaces"]["vae"]["patch_size"] = 3
    (line,) = lines_of(check_places, load(raw))
    assert line.startswith("spaces.vae.patch_size is 3; expected a divisor of the latents' side 4 (z.npy, of shape")


def test_latents_of_another_format(tmp_path):
    latents = {"format": "repa", "path": str(tmp_path)}
    raw = with_value("spaces.vae.encoder", {"kind": "va-vae", "weights": str(tmp_path), "latents": latents})
    raw["data"] = {**FOLDERS, "image_size": 16, "path": str(tmp_path)}
    for name in ("class", "other"):
        (tmp_path / name).mkdir()
    assert lines_of(check_places, load(raw)) == [
        f"spaces.vae.encoder.latents.path is '{tmp_path}'; expected dataset.json in it, format repa"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "run: a\nseed: 1\ndata:\n  name: digits\nseed: 2\n",
            r"line 5: the key seed stands twice, first in line 2; exp",
        ),
        ("data:\n  name: digits\n  name: cifar10\n", r"line 3: the key data.name stands twice, first in line 2"),
        ('{"run": "a",\n "run": "b"}', r"line 2: the key run stands twice"),
        ("jobs: {data: {runtime: 12:00:00}}", "line 1: jobs.data.runtime is 12:00:00, which YAML reads in base 60"),
        ("run: 0042\n", "line 1: run is 0042, which YAML reads in base 8"),
    ],
)
def test_what_yaml_would_read_otherwise_than_people(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    (line,) = lines_of(check_files, [path])
    assert re.match(f"{re.escape(str(path))}, {message}", line), line


def test_aliases_merges_and_templates_are_no_mistakes(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("a: &one {b: 1, c: 0}\nd: {<<: *one, b: 2}\ne: *one\nf: '0042'\n")
    check_files([path, "config/config.yaml", tmp_path / "absent.yaml"])


def test_a_key_that_holds_what_anchors_share_is_not_read():
    assert load({**DEFAULT, "x-sizes": {"hidden_size": 8}}) == load(DEFAULT)
    (line,) = lines_of(load, {**DEFAULT, "sizes": {}})
    assert line.startswith("unknown key sizes: {}")


# ------------------------------------------------------------------------------------------- as people write it


@pytest.mark.parametrize(
    ("path", "value", "read"),
    [
        ("training.steps", "1e5", 100_000),
        ("training.steps", 1e5, 100_000),
        ("training.steps", "100_000", 100_000),
        ("seed", 2**63 - 1, 2**63 - 1),
        ("training.lr", "1e-4", 1e-4),
        ("training.max_grad_norm", "null", None),
        ("training.memory_mb", "16G", 15259),
        ("training.minutes", "2h", 120.0),
        ("jobs", {"data": {"mem_mb": "64G"}}, {"mem_mb": 64_000}),
        ("jobs", {"data": {"mem_mb": "64GiB"}}, {"mem_mb": 68_720}),
        ("jobs", {"data": {"runtime": "2d"}}, {"runtime": 2880}),
        ("jobs", {"data": {"runtime": "1d 12h"}}, {"runtime": 2160}),
        ("jobs", {"data": {"runtime": "90"}}, {"runtime": 90}),
        ("run", "2024-01-01", "2024-01-01"),
        ("data.background", "#FF00aa", "#ff00aa"),
        ("data.background", "Gray", "grey"),
    ],
)
def test_values_as_people_write_them(path, value, read):
    found = load(with_value(path, value))
    for key in path.split("."):
        found = getattr(found, key)
    if isinstance(read, dict):
        found = {key: getattr(found.data, key) for key in read}
    assert found == read
    assert type(found) is type(read)


def test_units_are_snakemakes():
    from snakemake.resources import Resource

    for key, texts in (
        ("mem_mb", ["64G", "64 GB", "64GiB", "512M", "1.5g", "100K", "64000"]),
        ("runtime", ["2d", "12h", "90m", "1.5h", "30s", "1w", "30"]),
    ):
        for text in texts:
            ours = getattr(load(with_value("jobs", {"data": {key: text}})).jobs.data, key)
            assert ours == Resource.parse_human_friendly(key.removesuffix("_mb"), text), text


def test_home_and_variables_in_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", "/data")
    paths = {"path": "~/train", "held_out_path": "${DATA}/val"}
    data = load(with_value("data", FOLDERS | paths)).data
    assert (data.path, data.held_out_path) == (f"{tmp_path}/train", "/data/val")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "$DATA").mkdir()
    assert load(with_value("data", FOLDERS | {"path": "$DATA"})).data.path == "$DATA"  # as it is called


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ({"url": "https://example.org/a/B.pt?download=true"}, "weights/B.pt"),
        ("$STORE//B.pt", "/store/B.pt"),
    ],
)
def test_where_a_file_lies(file, place, monkeypatch):
    monkeypatch.setenv("STORE", "/store/")
    assert load(with_value("models.B.checkpoint", {"vae": file})).models["B"].checkpoint["vae"].place == place


@pytest.mark.parametrize("null", [None, "null"])
def test_null_switches_off_what_can_be_and_is_the_default_of_a_block(null):
    raw = with_value("experiments.tab1", null)
    raw["flux"] = raw["oracle"] = null
    raw["jobs"] = {"data": null}
    config = load(raw)
    assert (config.experiments.tab1, config.flux) == (None, None)
    assert config.experiments.tab2 is not None
    assert config.oracle.pairs_per_class == 128
    assert config.jobs.data.threads == 1


@pytest.mark.parametrize("null", [None, "null", "~", ""])
def test_null_leaves_out_a_space_and_an_experiment_however_it_is_written(null):
    raw = with_value("spaces.vae", null)
    raw["experiments"]["tab1"] = null
    config = load(raw)
    assert (list(config.spaces), config.experiments.tab1) == (["pixel"], None)


def test_numbers_of_own_plans_are_kept_as_written_and_read_from_text():
    def plan(part):
        return load(with_value("experiments.tab_plans", own_plan(part))).model_dump(mode="json")

    dumped = plan({"guidance": 2, "stop": 1, "interval": [0.25, "1"], "channels": "1", "steps": "1e1"})
    (part,) = dumped["experiments"]["tab_plans"]["plans"]["a"]["parts"]
    assert part == {"field": "B", "guidance": 2, "stop": 1, "interval": [0.25, 1], "channels": 1, "steps": 10}
    assert type(part["guidance"]) is int
    assert plan({"guidance": "2.5"})["experiments"]["tab_plans"]["plans"]["a"]["parts"][0]["guidance"] == 2.5


def test_a_configuration_is_read_without_torch():
    code = "import sys, twostage.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_configuration_that_is_written_out_is_read_again():
    raw = with_value("experiments.tab_plans", own_plan({"stop": 0.5}, start={"resume": 0.2, "split": "train"}))
    raw["experiments"]["tab_plans"]["plans"]["a"]["parts"].append({"field": "XL"})
    config = load(raw)
    assert load(config.model_dump(mode="json")) == config
    assert load(load(DEFAULT).model_dump(mode="json")) == load(DEFAULT)
