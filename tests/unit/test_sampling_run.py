"""Sampling by plans: what depends on (seed, index) alone, what is retrieved, what the files say."""

import json

import h5py
import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from twostage.data.datasets import ArrayDataset
from twostage.data.encode import encode
from twostage.data.encoders import load_encoder
from twostage.data.latents import LatentStore
from twostage.evaluation.images import SampledImages
from twostage.flow import sample_noise
from twostage.model.checkpoints import load_model, save_model
from twostage.model.lightningdit import LightningDiT
from twostage.provenance import provenance_path, write_json
from twostage.sampling.context import Context
from twostage.sampling.run import sample_plans
from twostage.sampling.snapshots import SAMPLES, sample_snapshots
from twostage.sampling.trajectory import record_trajectories
from twostage.sampling.velocity import ModelVelocity

IDENTITY = {"kind": "identity"}
CLASSES, PER_CLASS = 3, 6
CLASS_NAMES = [b"a", b"b", b"c"]
MIXED = {"steps": 10, "follow": True, "parts": [{"field": "oracle", "stop": 0.5}, {"field": "B"}]}
ORACLE = {"steps": 10, "follow": True, "parts": [{"field": "oracle"}]}


def images_of(count, seed):
    """Blocky random images: values far apart, as real images are."""
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 1), dtype=np.uint8)


def write(path, seed, flips=False, per_class=PER_CLASS, statistics=None, split="train"):
    images = images_of(CLASSES * per_class, seed)
    labels = np.repeat(np.arange(CLASSES), per_class)
    dataset = ArrayDataset("blocks", split, images, labels, [name.decode() for name in CLASS_NAMES])
    encode(dataset, load_encoder(IDENTITY, None, "cpu"), path, flips=flips, statistics=statistics)
    return images


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sampling")
    images = write(folder / "latents.h5", 0)
    write(folder / "held_out.h5", 1, per_class=4, statistics=folder / "latents.h5", split="held_out")
    checkpoints = {}
    for name, width, seed in (("B", 16, 0), ("XL", 32, 1)):
        torch.manual_seed(seed)
        model = LightningDiT(4, 2, 1, width, 1, 2, CLASSES)
        for parameter in model.parameters():
            if parameter.requires_grad and not parameter.any():  # zero at initialisation: the field would be zero
                torch.nn.init.normal_(parameter, std=0.3)
        checkpoints[name] = folder / f"{name}.safetensors"
        save_model(checkpoints[name], model, step=5, ema=0.9)
    write_json(folder / "split.json", {"value": 0.4, "source": "measured", "low": 0.38, "high": 0.43})
    write_json(folder / "fixed.json", {"value": 0.7, "source": "fixed", "low": None, "high": None})
    return {"folder": folder, "images": images, "checkpoints": checkpoints}


def sample(world, plans, tag, **options):
    folder = world["folder"]
    outputs = {name: folder / tag / name / "shard.h5" for name in plans}
    options = {"held_out_path": folder / "held_out.h5", "samples": 12, "seeds": [3, 4], **options}
    split, asked = folder / options.pop("split", "split.json"), {}
    for name in ("samples", "seeds", "shard", "batch_size"):
        if name in options:
            asked[name] = options.pop(name)
    context = Context(folder / "latents.h5", IDENTITY, None, world["checkpoints"], plans, split_path=split, **options)
    sample_plans(context, outputs, **asked)
    return outputs


def read(path):
    with h5py.File(path) as file:
        return {name: file[name][:] for name in file}, dict(file.attrs)


def test_samples_are_the_same_whatever_shards_and_batches(world):
    plans = {"mixed": MIXED, "guided": {"steps": 5, "parts": [{"field": "B", "guidance": 2.0}]}}
    whole = {name: read(path)[0] for name, path in sample(world, plans, "whole").items()}
    shards = [sample(world, plans, f"shard{k}", shard=(k, 3), batch_size=5) for k in range(3)]
    for name in plans:
        parts = [read(shard[name])[0] for shard in shards]
        joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        order = np.lexsort((joined["index"], joined["seed"]))
        for key in ("seed", "index", "labels"):
            assert np.array_equal(joined[key][order], whole[name][key])
        differences = np.abs(joined["images"][order].astype(int) - whole[name]["images"].astype(int))
        assert differences.max() <= 1
        assert (differences > 0).mean() < 0.01
    assert whole["mixed"]["seed"].tolist() == [3] * 12 + [4] * 12
    assert whole["mixed"]["index"].tolist() == [*range(12)] * 2
    assert np.bincount(whole["mixed"]["labels"]).tolist() == [8, 8, 8]


def test_samples_say_what_they_cost(world):
    plans = {
        "mixed": MIXED,
        "guided": {"steps": 10, "parts": [{"field": "B", "stop": 0.5, "guidance": 2.0}, {"field": "XL"}]},
        "heun": {"steps": 10, "solver": "heun", "parts": [{"field": "B", "stop": 0.5}, {"field": "B"}]},
    }
    found = {name: read(path)[1] for name, path in sample(world, plans, "cost").items()}
    counts = {name: json.loads(attributes["evaluations"]) for name, attributes in found.items()}
    assert counts == {"mixed": {"oracle": 5, "B": 5}, "guided": {"B": 10, "XL": 5}, "heun": {"B": 19}}
    forward = {name: count_one_pass(path) for name, path in world["checkpoints"].items()}
    for name, attributes in found.items():
        expected = sum(count * forward.get(field, 0) for field, count in counts[name].items())
        assert attributes["network_flops"] == expected > 0


def count_one_pass(path):
    """Operations of a model's forward pass by torch's own counter, which does not know each version's kernels of
    attention."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        load_model(path, "cpu")(torch.zeros(1, 1, 4, 4), torch.zeros(1), torch.zeros(1, dtype=torch.int64))
    return counter.get_total_flops()


def test_noise_is_bit_identical_whatever_the_shards(world, monkeypatch):
    seen = {}

    def spy(seed, indices, shape):
        noise = sample_noise(seed, indices, shape)
        seen.update({(seed, index): row.numpy().tobytes() for index, row in zip(indices, noise)})
        return noise

    monkeypatch.setattr("twostage.sampling.starts.sample_noise", spy)
    plan = {"p": {"steps": 1, "parts": [{"field": "B"}]}}
    sample(world, plan, "noise", batch_size=7)
    whole = dict(seen)
    assert len(whole) == len(set(whole.values())) == 24
    seen.clear()
    for k in (1, 0):
        sample(world, plan, f"noise{k}", shard=(k, 2), batch_size=2)
    assert seen == whole


def test_plans_that_share_their_first_parts_are_solved_as_if_alone(world):
    parts = [("B", "B"), ("B", "XL"), ("XL", "B")]
    plans = {
        f"{one}-{two}": {"steps": 8, "parts": [{"field": one, "stop": "split"}, {"field": two}]} for one, two in parts
    }
    together = sample(world, plans, "together")
    for name, content in plans.items():
        alone = sample(world, {name: content}, f"alone-{name}")
        assert np.array_equal(read(together[name])[0]["images"], read(alone[name])[0]["images"])
    pictures = [read(path)[0]["images"] for path in together.values()]
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_guidance_where_the_data_say_is_guidance_at_those_times(world, tmp_path):
    ends = {"low": 0.25, "high": 0.6, "source": "law.csv"}
    write_json(tmp_path / "windows.json", {"transition": ends, "class": {"missing": "one class"}})
    part = {"field": "B", "guidance": 3.0}
    plans = {"named": [part | {"interval": "transition"}], "numbers": [part | {"interval": [0.25, 0.6]}]}
    plans = {name: {"steps": 8, "parts": parts} for name, parts in plans.items()} | {
        "everywhere": {"steps": 8, "parts": [part]}
    }
    outputs = sample(world, plans, "windows", windows_path=tmp_path / "windows.json")
    named, facts = read(outputs["named"])
    numbers, others = read(outputs["numbers"])
    assert np.array_equal(named["images"], numbers["images"])
    assert not np.array_equal(named["images"], read(outputs["everywhere"])[0]["images"])
    assert json.loads(facts["windows"]) == {"transition": ends}
    assert json.loads(facts["given"])["parts"][0]["interval"] == "transition"
    assert json.loads(facts["plan"])["parts"][0]["interval"] == [0.25, 0.6]
    assert "windows" not in others
    inputs = json.loads(provenance_path(outputs["named"]).read_text())["inputs"]
    assert any("windows.json" in str(entry) for entry in inputs)
    found = SampledImages.open("named", [outputs["named"]]).facts()
    assert (found["interval"], found["interval_low"], found["interval_high"]) == ("transition", 0.25, 0.6)
    lost = {"p": {"steps": 8, "parts": [part | {"interval": "class"}]}}
    with pytest.raises(ValueError, match="plan p: interval is 'class'; expected a window that is known: transition"):
        sample(world, lost, "no-window", windows_path=tmp_path / "windows.json")


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_the_oracle_to_the_end_retrieves_the_image_that_it_follows(world, solver):
    content, facts = read(sample(world, {"p": {**ORACLE, "solver": solver}}, f"oracle-{solver}")["p"])
    assert np.array_equal(content["images"], world["images"][content["followed"]])
    assert np.array_equal(content["followed"] // PER_CLASS, content["labels"])
    assert not content["followed_mirrored"].any()
    assert facts["nfe"] == (10 if solver == "euler" else 19)


def test_every_switch_time_follows_the_same_images(world):
    times = {"early": [{"field": "B"}], "late": [{"field": "oracle", "stop": 0.7}, {"field": "B"}]}
    plans = {name: {"steps": 10, "follow": True, "parts": parts} for name, parts in times.items()} | {"end": ORACLE}
    found = {name: read(path) for name, path in sample(world, plans, "follow").items()}
    followed = [content["followed"] for content, _ in found.values()]
    assert np.array_equal(followed[0], followed[1])
    assert np.array_equal(followed[0], followed[2])
    assert [facts["t_switch"] for _, facts in found.values()] == [0.0, 0.7, 1.0]


def test_a_batch_of_one_sample_follows_the_image_that_it_follows_among_others(world):
    together, alone = (
        read(sample(world, {"oracle": ORACLE}, f"batches of {size}", batch_size=size, samples=4)["oracle"])[0]
        for size in (8, 1)
    )
    assert np.array_equal(together["followed"], alone["followed"])


def test_mirrored_latents_are_followed_too(world, tmp_path):
    images = write(tmp_path / "latents.h5", 0, flips=True)
    world = {**world, "folder": tmp_path}
    write_json(tmp_path / "split.json", {"value": 0.4, "source": "fixed"})
    content, _ = read(sample(world, {"p": ORACLE}, "flips", held_out_path=None, samples=30)["p"])
    mirrored = content["followed_mirrored"]
    assert 0 < mirrored.sum() < len(mirrored)
    expected = np.where(
        mirrored[:, None, None, None], images[:, :, ::-1][content["followed"]], images[content["followed"]]
    )
    assert np.array_equal(content["images"], expected)


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_resuming_starts_from_an_image_of_the_samples_class(world, split):
    plan = {"start": {"resume": 0.9999, "split": split}, "parts": [{"field": "B", "steps": 1}]}
    content, facts = read(sample(world, {"p": plan}, f"resume-{split}")["p"])
    store = LatentStore.open(world["folder"] / ("latents.h5" if split == "train" else "held_out.h5"))
    assert np.array_equal(store.labels[content["followed"]], content["labels"])
    assert len(np.unique(content["followed"][:12])) == 12
    source = ((store.read(content["followed"], normalised=False).numpy() + 1) * 127.5).transpose(0, 2, 3, 1)
    assert np.abs(source - content["images"]).max() < 3
    assert (facts["t_resume"], facts["followed_split"]) == (0.9999, split)


def test_a_class_without_held_out_images_has_none_to_resume_from(world, tmp_path):
    images, labels = images_of(8, 2), np.repeat([0, 2], 4)  # the class between had one image, which is trained on
    dataset = ArrayDataset("blocks", "held_out", images, labels, ["a", "b", "c"])
    statistics = world["folder"] / "latents.h5"
    encode(dataset, load_encoder(IDENTITY, None, "cpu"), tmp_path / "held_out.h5", statistics=statistics)
    resumed = {"start": {"resume": 0.5, "split": "held_out"}, "parts": [{"field": "B", "steps": 1}]}
    plans = {"resumed": resumed, "prior": {"steps": 2, "parts": [{"field": "B"}]}}
    outputs = sample(world, plans, "lacking", held_out_path=tmp_path / "held_out.h5")
    found = {name: read(path)[0] for name, path in outputs.items()}
    assert found["prior"]["labels"].tolist() == [0, 1, 2] * 8
    assert found["resumed"]["labels"].tolist() == [0, 2] * 12
    store = LatentStore.open(tmp_path / "held_out.h5")
    assert np.array_equal(store.labels[found["resumed"]["followed"]], found["resumed"]["labels"])
    assert len(np.unique(found["resumed"]["followed"])) == 8


def test_a_start_at_the_gaussian_is_its_field_solved_without_the_evaluations(world):
    """By many Heun steps of the field; "split" stands for a time there too, and the steps after it are as on a grid."""
    later = {"field": "B", "steps": 6}
    plans = {
        "start": {"start": {"gaussian": "split"}, "steps": 10, "parts": [{"field": "B"}]},
        "field": {"solver": "heun", "parts": [{"field": "gaussian", "stop": 0.4, "steps": 60}, later]},
        "heun": {"solver": "heun", "start": {"gaussian": 0.4}, "parts": [later]},
        "prior": {"start": {"gaussian": 0}, "steps": 10, "parts": [{"field": "B"}]},
        "model": {"steps": 10, "parts": [{"field": "B"}]},
    }
    found = {name: read(path) for name, path in sample(world, plans, "gaussian").items()}
    contents, facts = ({name: each[k] for name, each in found.items()} for k in (0, 1))
    difference = np.abs(contents["field"]["images"].astype(int) - contents["heun"]["images"])
    assert difference.max() <= 1
    assert np.array_equal(contents["prior"]["images"], contents["model"]["images"])
    assert not np.array_equal(contents["start"]["images"], contents["model"]["images"])
    assert {name: each["nfe"] for name, each in facts.items()} == {
        "start": 6, "field": 131, "heun": 11, "prior": 10, "model": 10,
    }  # fmt: skip
    assert facts["start"]["step_starts"] == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert json.loads(facts["start"]["plan"])["start"] == {"gaussian": 0.4}
    assert json.loads(facts["start"]["given"])["start"] == {"gaussian": "split"}
    assert facts["start"]["split"] == 0.4
    assert np.isnan([each["t_resume"] for each in facts.values()]).all()
    assert "followed" not in contents["start"]
    assert list(json.loads(facts["field"]["weights"])) == ["B"]


def test_what_the_oracle_would_retrieve_is_followed_from_the_gaussians_state(world):
    plan = {"steps": 20, "follow": True, "start": {"gaussian": 0.5}, "parts": [{"field": "oracle"}]}
    content, facts = read(sample(world, {"p": plan}, "gaussian-follow")["p"])
    assert np.array_equal(content["images"], world["images"][content["followed"]])
    assert (facts["t_switch"], facts["followed_split"]) == (1.0, "train")


def test_gaussians_are_fitted_for_plans_that_use_them_alone(world, monkeypatch):
    def refuse(*_):
        raise AssertionError("a Gaussian is fitted")

    monkeypatch.setattr("twostage.oracle.gaussian._principal", refuse)
    sample(world, {"p": {"steps": 2, "parts": [{"field": "oracle", "stop": 0.5}, {"field": "B"}]}}, "no-gaussian")
    with pytest.raises(AssertionError, match="a Gaussian is fitted"):
        sample(world, {"p": {"steps": 2, "start": {"gaussian": 0.5}, "parts": [{"field": "B"}]}}, "a-gaussian")


def test_files_say_how_they_were_made(world):
    plan = {"steps": 10, "parts": [{"field": "B", "stop": "split"}, {"field": "XL", "guidance": 1.5}]}
    content, facts = read(sample(world, {"p": plan}, "facts", space="pixel")["p"])
    assert (facts["space"], facts["nfe"], facts["steps"], facts["solver"]) == ("pixel", 10, 10, "euler")
    assert content["class_names"].tolist() == CLASS_NAMES
    assert facts["split"] == 0.4
    assert facts["step_starts"] == pytest.approx(np.arange(10) / 10)
    resolved = json.loads(facts["plan"])
    assert [part["stop"] for part in resolved["parts"]] == [0.4, 1.0]
    weights = json.loads(facts["weights"])
    assert weights["XL"]["metadata"] == {"step": 5, "ema": 0.9}
    assert len(weights["B"]["sha256"]) == 64
    provenance = json.loads((world["folder"] / "facts/p/shard.h5.provenance.json").read_text())
    assert provenance["config"] == resolved
    assert {path.rsplit("/")[-1] for path in provenance["inputs"]} == {
        "B.safetensors",
        "XL.safetensors",
        "split.json",
    }


def test_samples_carry_the_split_where_their_plan_names_it(world):
    named = {"steps": 10, "parts": [{"field": "B", "stop": "split"}, {"field": "XL"}]}
    guided = {"steps": 10, "parts": [{"field": "B", "guidance": 2.0, "interval": [0.1, "split"]}]}
    plain = {"steps": 10, "parts": [{"field": "B"}]}
    plans = {"named": named, "guided": guided, "plain": plain}
    for file, split in (("split.json", (0.4, "measured", 0.38, 0.43)), ("fixed.json", (0.7, "fixed", np.nan, np.nan))):
        outputs = sample(world, plans, f"with-{file}", split=file)
        for name in ("named", "guided"):
            _, facts = read(outputs[name])
            assert (facts["split"], facts["split_source"]) == split[:2]
            np.testing.assert_array_equal([facts["split_low"], facts["split_high"]], split[2:])
        assert json.loads(facts["plan"])["parts"][0]["interval"] == [0.1, split[0]]
        columns = SampledImages.open("guided", [outputs["guided"]]).facts()
        assert columns["interval"] == "0.1-split"
        assert (columns["interval_low"], columns["interval_high"]) == (0.1, split[0])
        columns = SampledImages.open("named", [outputs["named"]]).facts()
        assert (columns["stage_1"], columns["stage_2"], columns["split_at"]) == ("B", "XL", split[0])
        assert "split" not in read(outputs["plain"])[1]
        made = json.loads(provenance_path(outputs["plain"]).read_text())
        assert not any("split.json" in path or "fixed.json" in path for path in made["inputs"])
    assert np.isnan(SampledImages.open("plain", [outputs["plain"]]).facts()["split"])
    with pytest.raises(ValueError, match="plan named: the split is None"):
        Context(world["folder"] / "latents.h5", IDENTITY, None, world["checkpoints"], {"named": named})


def test_bad_requests_are_refused(world, tmp_path):
    with pytest.raises(ValueError, match=r"part 1 \(C\): field is 'C'; expected one of B, XL, oracle"):
        sample(world, {"p": {"parts": [{"field": "C"}]}}, "bad")
    resumed = {"p": {"start": {"resume": 0.5, "split": "held_out"}, "parts": [{"field": "B"}]}}
    with pytest.raises(ValueError, match="plan p resumes from held-out images; expected held_out_path"):
        sample(world, resumed, "bad", held_out_path=None)
    write(tmp_path / "own.h5", 1, split="held_out")
    with pytest.raises(ValueError, match=r"own.h5 is not normalised by the statistics of"):
        sample(world, resumed, "bad", held_out_path=tmp_path / "own.h5")
    with pytest.raises(ValueError, match="shard is 2 of 2"):
        sample(world, {"p": MIXED}, "bad", shard=(2, 2))
    with pytest.raises(ValueError, match="at most 12 shards"):
        sample(world, {"p": MIXED}, "bad", shard=(0, 13))
    for content, message in (("{}", "has no key 'value'"), ('{"value": 1.5, "source": "fixed"}', "split is 1.5")):
        (world["folder"] / "broken.json").write_text(content)
        with pytest.raises(ValueError, match=rf"broken.json.*{message}"):
            sample(world, {"p": MIXED}, "bad", split="broken.json")
    assert not list((world["folder"] / "bad").rglob("*.h5"))


@pytest.mark.parametrize("late", [False, True])
def test_a_velocity_that_is_not_finite_makes_no_image(world, monkeypatch, late):
    forward = ModelVelocity.__call__

    def broken(self, x, t, y):
        velocity = forward(self, x, t, y)
        return velocity.masked_fill((y == 1)[:, None, None, None] & (t > 0.8 if late else True), torch.inf)

    monkeypatch.setattr(ModelVelocity, "__call__", broken)
    message = r"plan p, field B, t = 1, seed 3, sample 1: \d+ of \d+ values are not finite"
    with pytest.raises(ValueError, match=message):
        sample(world, {"p": {"steps": 10, "parts": [{"field": "oracle", "stop": 0.4}, {"field": "B"}]}}, "nan")
    assert not list((world["folder"] / "nan").rglob("*.h5"))


# -------------------------------------------------------------------------------------------------------- trajectories


def trajectories(world, plan, **options):
    folder = world["folder"]
    split = folder / "split.json"
    record_trajectories(
        Context(folder / "latents.h5", IDENTITY, None, world["checkpoints"], {"p": plan}, split_path=split),
        {"p": folder / "trajectory.h5"},
        folder / "trajectory.csv",
        **{"samples": 9, "shown": 5, "batch_size": 4, "seeds": [3], "times": (0, 0.25, 1), **options},
    )
    content, _ = read(folder / "trajectory.h5")
    return content, np.genfromtxt(folder / "trajectory.csv", delimiter=",", names=True, dtype=None, encoding=None)


def test_trajectory_of_the_oracle_runs_from_the_class_mean_to_a_training_image(world):
    content, table = trajectories(world, ORACLE)
    assert content["predictions"].shape == (5, 3, 4, 4, 1)
    assert content["class_names"].tolist() == CLASS_NAMES
    means = world["images"].reshape(CLASSES, PER_CLASS, 4, 4, 1).mean(1)
    assert np.abs(content["predictions"][:, 0] - means[content["labels"]]).max() <= 1
    sampled = read(sample(world, {"p": ORACLE}, "trajectory")["p"])[0]
    assert np.array_equal(content["predictions"][:, 2], sampled["images"][:5])
    assert table["t"].tolist() == pytest.approx([k / 10 for k in range(10)])
    assert table["to_class_mean"][0] < 1e-6
    assert table["to_end"][-1] < 1e-6 < table["to_end"][0]
    # The direct path's velocity is x_1 - x_0: with unit variances its mean square is near 2.
    assert table["norm"][-1] == pytest.approx(2**0.5, rel=0.2)


def test_trajectories_of_every_seed_are_measured_and_those_of_the_first_shown(world):
    plan = {"steps": 5, "parts": [{"field": "B"}]}
    (first, one), (_, other) = (trajectories(world, plan, seeds=[seed]) for seed in (3, 4))
    content, both = trajectories(world, plan, seeds=[3, 4])
    assert set(both["samples"]) == {18}
    assert set(both["field"]) == {"B"}
    np.testing.assert_allclose(both["norm"], (one["norm"] + other["norm"]) / 2, rtol=1e-6)
    assert np.array_equal(content["predictions"], first["predictions"])


def test_predictions_between_grid_times_are_made_at_their_own_time(world):
    between, _ = trajectories(world, {"steps": 10, "parts": [{"field": "B"}]})
    exact, _ = trajectories(world, {"parts": [{"field": "B", "stop": 0.2, "steps": 2}, {"field": "B", "steps": 8}]})
    assert np.array_equal(between["predictions"], exact["predictions"])
    on_grid, _ = trajectories(world, {"steps": 20, "parts": [{"field": "B"}]}, times=(0.25,))
    moved = np.abs(between["predictions"][:, 1].astype(int) - on_grid["predictions"][:, 0])
    assert moved.max() <= 8  # another grid, nearly the same state


def test_resumed_trajectories_show_the_times_after_their_start(world):
    plan = {"start": {"resume": 0.4, "split": "train"}, "parts": [{"field": "B"}]}
    content, table = trajectories(world, plan, times=(0, 0.2, 0.4, 0.8, 1))
    assert content["times"].tolist() == [0.4, 0.8, 1.0]
    assert table["t"][0] == pytest.approx(0.4)
    content, table = trajectories(world, {"start": {"gaussian": 0.4}, "parts": [{"field": "gaussian"}]}, times=(0, 0.8))
    assert content["times"].tolist() == [0.8]
    assert (table["t"][0], table["field"][0]) == (pytest.approx(0.4), "gaussian")


def test_snapshots_are_sampled_as_a_plan_samples_them(world):
    folder, checkpoints = world["folder"], world["checkpoints"]
    found = {("B", 5): checkpoints["B"], ("XL", 5): checkpoints["XL"]}
    settings = {"steps": 5, "solver": "euler", "seed": 3}
    sample_snapshots(folder / "latents.h5", IDENTITY, None, found, folder / "samples.h5", **settings)
    data, _ = read(folder / "samples.h5")
    assert [*zip(data["model"], data["step"])] == [(b"B", 5), (b"XL", 5)]
    plans = {name: {"steps": 5, "parts": [{"field": name}]} for name in ("B", "XL")}
    outputs = sample(world, plans, "snapshots", samples=SAMPLES, seeds=[3])
    for place, name in enumerate(plans):
        plain, _ = read(outputs[name])
        assert np.array_equal(data["labels"], plain["labels"])
        assert np.abs(data["images"][place].astype(int) - plain["images"]).max() <= 1
    assert not np.array_equal(data["images"][0], data["images"][1])
