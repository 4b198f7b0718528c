"""The dress rehearsal of config/imagenet256.yaml: its every target, on ten classes of awkward JPEGs, at reduced widths.

What is small here: images, widths, steps and counts. What is not: the rules, the formats, VA-VAE's and SD-VAE's
classes, an external checkpoint in LightningDiT's own form. What that hides has two runs of its own: images of 256
pixels through both autoencoders at their true widths, and the oracle over 1,000 classes on joined shards. What every
job took is printed beside the estimate, and written to results/jobs.md.
"""

import ast
import json

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, Checkout
from ldm import LDM, ldm_checkpoint, make_ldm
from PIL import Image
from safetensors.torch import save_file

from twostage.data.published import to_diffusers
from twostage.estimate.limits import APART
from twostage.estimate.networks import PUBLISHED
from twostage.model.checkpoints import export_published, read_header
from twostage.model.lightningdit import LightningDiT

CLASSES, SIDE = 10, 32
# (width, height, mode, EXIF orientation): ImageNet's odd ones, and what is smaller, longer and thinner than any.
TRAIN = [(48, 40, "RGB", 1), (33, 65, "L", 1), (32, 32, "CMYK", 1), (91, 31, "RGB", 6), (1, 37, "RGB", 1)]
TRAIN += [(150, 113, "RGB", 1)]
HELD_OUT = [(40, 40, "RGB", 1), (21, 29, "L", 8)]
SIZES = {"hidden_size": 8, "depth": 1, "num_heads": 1}
# At true widths an image takes 0.4 TFLOP (VA-VAE) and 0.9 (SD-VAE): three are encoded, two sampled and decoded.
WIDE, WIDE_TRAIN, WIDE_HELD_OUT = 256, [(400, 300, "RGB", 1), (256, 333, "L", 1)], [(300, 256, "RGB", 1)]
MANY = 1000  # classes, of two images each
STAGES = ("data", "oracle", "synthetic", "training", "sampling", "evaluation")
AUTO = {stage: {"runtime": "auto"} for stage in STAGES}  # so that the jobs' hours are estimated


def write_images(folder, kinds, rng):
    folder.mkdir(parents=True)
    for number, (width, height, mode, orientation) in enumerate(kinds):
        low = rng.integers(0, 256, (max(1, height // 8), max(1, width // 8), 3), dtype=np.uint8)
        image = Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(folder / f"{folder.name}_{number}.JPEG", exif=exif)


def write_data(folder):
    rng = np.random.default_rng(0)
    for split, kinds in (("train", TRAIN), ("val", HELD_OUT)):
        for label in range(CLASSES):
            write_images(folder / split / f"n{label:08d}", kinds, rng)


def write_weights(folder):
    torch.manual_seed(0)
    folder.mkdir()
    torch.save(ldm_checkpoint(make_ldm("va-vae")), folder / "vavae.pt")
    save_file(to_diffusers(make_ldm("sd-vae").state_dict()), folder / "diffusion_pytorch_model.safetensors")
    side = SIDE // 16
    model = LightningDiT(input_size=side, patch_size=1, in_channels=32, num_classes=CLASSES, **SIZES)
    export_published(folder / "lightningdit-xl.pt", model, train={"global_batch_size": 1024})
    for kind, published in PUBLISHED.items():
        widths = tuple(published["block_out_channels"])
        torch.save(LDM(widths, published["latent_channels"], kind == "va-vae").state_dict(), folder / f"wide-{kind}.pt")


def configure(folder):
    """config/imagenet256.yaml with everything small."""
    config = yaml.safe_load((ROOT / "config/imagenet256.yaml").read_text())
    config |= {"run": "rehearsal", "jobs": AUTO, "classifier": {"steps": 5, "width": 4}}
    config["data"] |= {"path": "images/train", "held_out_path": "images/val", "image_size": SIDE, "shards": 1}
    config["data"] |= {"images": None, "held_out_images": None}
    config["spaces"]["vavae"]["encoder"]["weights"] = "weights/vavae.pt"
    config["spaces"]["sdvae"]["encoder"]["weights"] = {
        "url": (folder / "weights/diffusion_pytorch_model.safetensors").as_uri(),
        "path": "weights/fetched.safetensors",
    }
    models = config["models"]
    config["models"] = {name: {**(models[name] or {}), **SIZES} for name in models}
    config["models"]["XL"] |= {"steps": 8, "checkpoint": {"vavae": "weights/lightningdit-xl.pt"}}
    config["training"] |= {"steps": 4, "snapshots": [2, 4], "batch_size": 16, "compile": False, "checkpoint_every": 4}
    config["oracle"] = {"time_steps": 20, "pairs_per_class": 4, "pairs_unconditional": 16, "bootstrap": 20}
    config["oracle_loss"] = {"time_steps": 10, "pairs": 20}
    config["nsweep"] = {"sizes": [2, 5, 20], "pairs": 8, "repeats": 1}
    small = {"size": 100, "dims": [16, 64, 256], "dim": 32, "sizes": [10, 100, 1000], "trials": 20}
    config["synthetic"] = {**small, "law_dims": [16, 64], "law_sizes": [10, 100], "law_trials": 20}
    config["sampling"] = {"samples": 20, "steps": 10, "batch_size": 64}
    for settings in config["experiments"].values():
        settings.pop("samples", None)
        settings["spaces"] = ["vavae"]  # starting a job costs seconds
    config["experiments"]["tab3"] |= {"short": [[0, 0.1], [0.1, 0.2]], "wide": [[0, 1], [0.1, 0.6]]}
    config["evaluation"] = {"features": ["classifier"], "reconstruction_images": 40}
    (folder / "rehearsal.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    configure_wide(folder, config)
    configure_many(folder, config)


def configure_wide(folder, config):
    """The autoencoders as they are published, on images of 256 pixels; the oracle, which needs no training, samples."""
    config = {key: config[key] for key in ("data", "spaces", "models", "training", "sampling", "jobs")} | {
        "run": "wide"
    }
    config["data"] = config["data"] | {
        "path": "wide/train",
        "held_out_path": "wide/val",
        "image_size": WIDE,
        "shards": 1,
    }
    config["spaces"] = {
        space: {
            **settings,
            "encoder": settings["encoder"] | {"weights": f"weights/wide-{settings['encoder']['kind']}.pt"},
        }
        for space, settings in config["spaces"].items()
    }
    config["models"] = {"S": SIZES}
    config["experiments"] = {
        "tab_plans": {"samples": 2, "plans": {"oracle": {"parts": [{"field": "oracle"}], "steps": 2}}}
    }
    (folder / "wide.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    rng = np.random.default_rng(1)
    write_images(folder / "wide/train/n00000000", WIDE_TRAIN, rng)
    write_images(folder / "wide/val/n00000000", WIDE_HELD_OUT, rng)


def configure_many(folder, config):
    """The oracle as a velocity of as many classes as ImageNet has, over joined shards; a sample of each.

    The posterior of 1,000 classes takes 100 s of CPU however small they are: 190 times each.
    """
    config = {key: config[key] for key in ("data", "models", "training", "jobs")} | {"run": "many"}
    config["data"] = config["data"] | {"path": "many/train", "held_out_path": "many/val", "image_size": 16, "shards": 2}
    config["spaces"] = {"pixel": {"encoder": {"kind": "identity"}, "patch_size": 4}}
    config["models"] = {"S": SIZES}
    plans = {"oracle": {"parts": [{"field": "oracle"}], "steps": 2}}
    config["experiments"] = {"tab_plans": {"samples": MANY, "plans": plans}}
    (folder / "many.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    rng = np.random.default_rng(2)
    for label in range(MANY):
        for split, count in (("train", 2), ("val", 1)):
            write_images(folder / f"many/{split}/n{label:08d}", [(16, 16, "RGB", 1)] * count, rng)


TARGETS = {
    "rehearsal": ("all", "tab_reconstruction"),
    "wide": tuple(f"results/wide/samples/{space}/tab_plans-oracle/shard-0.h5" for space in ("vavae", "sdvae")),
    "many": ("results/many/samples/pixel/tab_plans-oracle/shard-0.h5",),
}


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    """A checkout in which every target of the ImageNet configuration has been made, small."""
    checkout = Checkout(tmp_path_factory.mktemp("rehearsal"))
    write_data(checkout.folder / "images")
    write_weights(checkout.folder / "weights")
    configure(checkout.folder)
    for run, targets in TARGETS.items():
        checkout.snakemake("--benchmark-extended", "--", *targets, configfile=f"{run}.yaml")
    return checkout


def jobs_of(checkout, run):
    """What each job of a run took: rule, what of, seconds by the clock, of CPUs and as estimated, memory (MB)."""
    kept = json.loads((checkout.folder / f".snakemake/twostage/hours-{run}.json").read_text())
    for path in sorted((checkout.folder / f"results/{run}/benchmarks").rglob("*.tsv")):
        (line,) = pd.read_csv(path, sep="\t").to_dict("records")
        wildcards = ast.literal_eval(line["wildcards"])
        of = ", ".join(wildcards[name] for name in APART if name in wildcards)
        hours = kept["hours"].get(line["rule_name"], {}).get(of)
        yield run, line["rule_name"], of, line["s"], line["cpu_time"], hours and 3600 * hours, line["max_rss"]


def results(checkout):
    return checkout.folder / "results/rehearsal"


def test_every_target_is_made_and_nothing_is_left_to_do(rehearsal):
    config = yaml.safe_load((rehearsal.folder / "rehearsal.yaml").read_text())
    made = {path.stem for path in (results(rehearsal) / "report").glob("*.png")}
    wanted = {"fig2", "fig3", "fig7", "fig9", "law", "nsweep", "fig_training", "fig_shift", "fig_memorization"}
    assert wanted | {"tab_reconstruction"} | set(config["experiments"]) <= made
    done = rehearsal.snakemake("--", "all", "tab_reconstruction", configfile="rehearsal.yaml")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_latents_of_both_spaces_are_whole(rehearsal):
    for space, shape in (("vavae", (32, 2, 2)), ("sdvae", (4, 4, 4))):
        for name, count in (("latents", CLASSES * len(TRAIN)), ("held_out", CLASSES * len(HELD_OUT))):
            with h5py.File(results(rehearsal) / f"data/{space}/{name}.h5") as file:
                assert file["latents"].shape == (count, *shape)
                assert file.attrs["posterior"] == "sample, seed 0"
                assert "left_out" not in file


def test_the_external_checkpoint_is_imported_where_it_is_given_and_trained_elsewhere(rehearsal):
    training = results(rehearsal) / "training"
    assert [path.name for path in (training / "vavae/XL").glob("*.safetensors")] == ["step-0000008.safetensors"]
    _, metadata = read_header(training / "vavae/XL/step-0000008.safetensors")
    assert metadata["published"]["source"] == "lightningdit-xl.pt"
    assert (training / "sdvae/XL/stats.jsonl").is_file()
    losses = pd.read_csv(training / "vavae/oracle_loss.csv")
    assert set(losses.loc[losses["model"] == "XL", "step"]) == {8}
    drawn = pd.read_csv(results(rehearsal) / "report/fig_training.csv").query("kind == 'curve'")
    assert "XL" in set(drawn.loc[drawn["space"] == "sdvae", "model"])
    assert "XL" not in set(drawn.loc[drawn["space"] == "vavae", "model"])


def test_reconstruction_is_a_row_a_space_and_split(rehearsal):
    table = pd.read_csv(results(rehearsal) / "report/tab_reconstruction.csv")
    assert list(zip(table["space"], table["split"], table["images"])) == [
        (space, split, images) for space in ("vavae", "sdvae") for split, images in (("train", 40), ("held_out", 20))
    ]
    assert np.isfinite(table[["psnr", "distance"]]).all(axis=None)


def test_images_go_through_the_autoencoders_at_their_true_widths(rehearsal):
    folder = rehearsal.folder / "results/wide"
    for space, shape in (("vavae", (32, 16, 16)), ("sdvae", (4, 32, 32))):
        for name, images in (("latents", WIDE_TRAIN), ("held_out", WIDE_HELD_OUT)):
            with h5py.File(folder / f"data/{space}/{name}.h5") as file:
                assert file["latents"].shape == (len(images), *shape)
                assert np.isfinite(file["latents"][:]).all()
        with h5py.File(folder / f"samples/{space}/tab_plans-oracle/shard-0.h5") as file:
            assert file["images"].shape == (2, WIDE, WIDE, 3)


def test_the_oracle_ends_among_the_images_of_each_of_a_thousand_classes(rehearsal):
    """Euler's last step ends in a posterior mean: between the two images of the sample's class."""
    folder = rehearsal.folder / "results/many"
    with h5py.File(folder / "data/pixel/latents.h5") as file:
        assert file["latents"].is_virtual
        kept = (file["latents"][:] * 127.5 + 127.5).round()
        labels = file["labels"][:]
    with h5py.File(folder / "samples/pixel/tab_plans-oracle/shard-0.h5") as file:
        images, asked = file["images"][:].transpose(0, 3, 1, 2), file["labels"][:]
    assert sorted(asked) == list(range(MANY))
    for image, label in zip(images, asked):
        least, most = kept[labels == label].min(axis=0), kept[labels == label].max(axis=0)
        assert (least - 1 <= image).all()
        assert (image <= most + 1).all()


def test_what_every_job_took_is_written_beside_the_estimate(rehearsal, capsys):
    jobs = [job for run in TARGETS for job in jobs_of(rehearsal, run)]
    head = ("run", "rule", "of", "seconds", "of CPUs", "estimated", "memory, MB")
    lines = ["| " + " | ".join(words) + " |" for words in (head, ["---"] * len(head))]
    for run, rule, of, seconds, busy, estimated, memory in jobs:
        about = "" if not estimated else f"{estimated:.2g}"
        lines.append(f"| {run} | {rule} | {of} | {seconds:.1f} | {busy:.1f} | {about} | {memory:.0f} |")
    (rehearsal.folder / "results/jobs.md").write_text("\n".join(lines) + "\n")
    with capsys.disabled():
        print("", *lines, sep="\n")
    assert {rule for _, rule, *_ in jobs} >= {"encode", "encode_shard", "train_XL", "sample_tab1", "memorization"}
    assert all(seconds > 0 for _, _, _, seconds, *_ in jobs)
    wide = {(rule, of): about for run, rule, of, _, _, about, _ in jobs if run == "wide"}
    for job, about in wide.items():
        if job[0] in ("encode", "sample_tab_plans"):
            assert about, job
