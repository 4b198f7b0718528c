"""Without a shared file system: every file travels through a storage, and nothing else is read or written."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import Checkout
from PIL import Image
from stored import needs_plugin, results, stored_in, verified

NODES = Path(__file__).with_name("nodes.py")
CONFIG = {
    "run": "stored",
    "data": {"name": "image_folder", "path": "images.zip", "image_size": 8, "held_out": 0.25, "shards": 2},
    "spaces": {
        "vae": {"encoder": {"kind": "kl", "latent_channels": 2, "downsample": 2, "channels": [8, 8], "steps": 3}}
    },
    "models": {"S": {"hidden_size": 8, "depth": 1, "num_heads": 1}},
    "training": {"steps": 300, "snapshots": [150], "batch_size": 8, "ema": 0.9, "checkpoint_every": 10},
}
TARGET = "results/stored/training/vae/S/step-0000300.safetensors"


def write_archive(path):
    """Two classes of different images, packed."""
    folder = path.with_suffix("")
    for number in range(24):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        (folder / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number % 2}" / f"{number}.png")
    shutil.make_archive(folder, "zip", folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A checkout under git, since that is how Snakemake knows which sources a job needs."""
    folder = tmp_path_factory.mktemp("source")
    Checkout(folder)
    config = CONFIG | {"training": CONFIG["training"] | {"state_folder": str(folder.parent / "nodes/volume")}}
    (folder / "stored.yaml").write_text(yaml.safe_dump(config))
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


@needs_plugin
def test_jobs_on_nodes_without_a_shared_file_system_make_the_same_results(source, tmp_path):
    """Several shards, images in an archive, a trained encoder, and a training that is killed and goes on elsewhere."""
    checkout = object.__new__(Checkout)
    checkout.folder = source
    prefix, nodes = tmp_path / "storage", source.parent / "nodes"
    for folder in (prefix, nodes):
        folder.mkdir()
    write_archive(prefix / "images.zip")
    executor = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd"]
    executor += [f"{sys.executable} {NODES} {nodes} submit", "--cluster-generic-status-cmd", "cat"]
    executor += ["--seconds-between-status-checks", "1"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where a node finds its Python
    done = checkout.snakemake(
        *executor, *stored_in(prefix), "--job-deploy-sources", "--retries", "1", "--", TARGET,
        configfile="stored.yaml", where=("--jobs", "2"), environment={**os.environ, "PATH": path},
    )  # fmt: skip
    assert sorted(path.name for path in source.iterdir() if path.name in ("results", "images.zip")) == []
    assert (nodes / "killed").exists(), done.stdout + done.stderr
    (events,) = nodes.rglob("events.jsonl")
    starts = [event["step"] for event in map(json.loads, events.read_text().splitlines()) if event["event"] == "start"]
    assert starts[0] == 0
    assert len(starts) == 2
    assert starts[1] > 0

    shutil.copy(prefix / "images.zip", source)
    shutil.rmtree(nodes / "volume")
    checkout.snakemake("--", TARGET, configfile="stored.yaml")
    plain, travelled = (results(folder / "results/stored") for folder in (source, prefix))
    assert sorted(travelled) == sorted(plain)
    assert [name for name in plain if travelled[name] != plain[name]] == []
    assert verified(source / "results/stored")
    assert verified(prefix / "results/stored")


@needs_plugin
def test_a_prefix_that_cannot_be_written_ends_the_run_before_any_job(checkout, tmp_path):
    (tmp_path / "file").touch()
    done = checkout.snakemake(*stored_in(f"{tmp_path}/file/below"), "--", "fig3", check=False)
    assert done.returncode == 1
    said = [line for line in (done.stdout + done.stderr).splitlines() if "cannot be written" in line]
    assert len(said) == 1
    assert said[0].startswith(f"--default-storage-prefix is '{tmp_path}/file/below/', which cannot be written (")
    assert "Select jobs to execute" not in done.stdout + done.stderr


@needs_plugin
def test_what_cannot_travel_is_said_before_any_job(checkout, tmp_path):
    (checkout.folder / "images/ant").mkdir(parents=True)
    config = CONFIG | {"data": CONFIG["data"] | {"path": "images"}}
    config["training"] = CONFIG["training"] | {"state_folder": "state"}
    (checkout.folder / "stored.yaml").write_text(yaml.safe_dump(config))
    done = checkout.snakemake(*stored_in(tmp_path / "storage"), configfile="stored.yaml", check=False)
    lines = re.findall(r"^config: .*$", done.stdout + done.stderr, flags=re.MULTILINE)
    volume = "with a storage, expected the absolute path of a folder on a volume that every job mounts"
    assert lines == [
        f"config: data.path is 'images'; {volume}, or a .zip archive in the storage",
        f"config: training.state_folder is 'state'; {volume}",
    ]
