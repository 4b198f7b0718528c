"""Whatever the documentation says to type works: every command and Python block runs in a small run, or stands on a
short list with a reason; every block of a configuration is one that is accepted."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module

import edm_denoiser
import matplotlib.image
import numpy as np
import pandas
import pytest
import torch
import yaml
from conftest import ROOT, snakemakes
from documented import (
    CONFIGURATION,
    OTHER,
    PAGES,
    PYTHON,
    SHELL,
    commands,
    configurations,
    fences,
    files,
    overlooked,
    python_blocks,
    read,
)
from PIL import Image
from test_estimate_targets import put_empty_class_folders, put_weights
from unit.data_examples import write_random_store
from unit.foreign_models import Denoiser

from twostage.config import load
from twostage.data.interchange import export_lightningdit, export_repa
from twostage.model.checkpoints import export_published
from twostage.model.lightningdit import LightningDiT
from twostage.report.figures import style

NOT_RUN = {
    r"hf download .*": "fetches gigabytes from the network",
    r"pip install .*": "changes the environment that the tests run in",
    r"apptainer build .*": "takes the network and half an hour; test_environment.py compares the versions",
    r"snakemake .*--executor kubernetes .*": "needs a cluster, a bucket and their plugins",
    r"snakemake .*fig_effective": "of the patch above it: test_contributing.py applies it and runs this",
}

# What readers put in place of a word, and what a small run has in place of a large one.
FILLED = {
    r"results/\{run\}": "results/smoke",
    r"\bFILE\b": "config/your.yaml",
    r"/data/photos": "photos",
    r"(lightningdit) --input FOLDER": r"\1 --input latents/",
    r"(repa) --input FOLDER": r"\1 --input repa/",
    r"--output FOLDER": "--output exported",
    r"stored/results/digits": "results/digits",
    r"(import .*)--output latents.h5": r"\1--output imported.h5",
    r'"hidden_size": \d+, "depth": \d+': '"hidden_size": 24, "depth": 1',
    r'"steps": \d+': '"steps": 2',
    r"(fig_flux)": r"\1 --configfile config/flux.yaml",
    r"(edm_denoiser\.py .*)": r"\1 --steps 2",
}
# Snakemake is run for real where the smoke run has what is asked for, else it says what it would do. (`estimate` of the
# large configurations runs in test_estimate_targets.py.)
PLANNED = (
    r"config/(imagenet256|cifar10|cifar10_cpu|short|photos|flux)\.yaml|--profile|--executor|--directory"
    r"|--default-storage|replicate| -R |estimate --configfile"
)
FOR_A_SHELL = set("|&;<>$`*?~#")  # what a shell makes something of that shlex does not


def test_nothing_to_type_is_overlooked():
    assert overlooked() == []


@pytest.mark.parametrize("file", files(PAGES))
def test_fences_name_a_language_that_these_tests_know(file):
    assert {language for language, _ in fences(file)} <= SHELL | PYTHON | CONFIGURATION | OTHER


@pytest.mark.parametrize("listed", NOT_RUN)
def test_what_is_not_run_is_still_documented(listed):
    assert any(re.fullmatch(listed, command.text) for command in commands())


@pytest.fixture(scope="module")
def place(smoke_run, tmp_path_factory):
    """A finished checkout in which what the documentation names is there, small."""
    folder = tmp_path_factory.mktemp("documentation") / "checkout"
    shutil.copytree(smoke_run, folder, symlinks=True)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "twostage").symlink_to(".")  # the checkout, as seen from beside it
    (folder / "results/digits").symlink_to("smoke")
    put_configurations(folder)
    put_images(folder)
    put_latents(folder)
    export_published(folder / "lightningdit-xl-imagenet256-800ep.pt", tiny_model())
    shutil.copytree(ROOT / "docs/examples", folder / "docs/examples")
    torch.save(edm_denoiser.build().state_dict(), folder / "edm.pt")
    return folder


def tiny_model():
    return LightningDiT(input_size=4, in_channels=2, patch_size=1, hidden_size=128, depth=1, num_heads=2, num_classes=4)


def put_configurations(folder):
    """The default is the configuration that has run; those that readers write are made of it as they are told to."""
    smoke = (folder / "tests/workflow/smoke.yaml").read_text()
    photos = next(content for _, content in fences("docs/your-data.md") if "name: image_folder" in content)
    flux = next(content for _, content in fences("docs/evaluation.md") if content.startswith("flux:"))
    flux = re.sub(r"<a commit of .*>", "a" * 40, flux)
    written = {
        "config": {},
        "your": {},
        "short": {"run": "short"},
        "photos": yaml.safe_load(photos.replace("/data/photos", "photos")),
        "flux": yaml.safe_load(flux),
    }
    for name, changes in written.items():
        text = smoke if not changes else yaml.safe_dump(yaml.safe_load(smoke) | changes)
        (folder / f"config/{name}.yaml").write_text(text)
    # The profile of docs/slurm.md, which stands in a list there.
    profile = re.search(r"^ {8}default-resources:\n(?: {8}.*\n)+", read("docs/slurm.md"), flags=re.MULTILINE)[0]
    (folder / "profiles/mysite").mkdir(parents=True)
    (folder / "profiles/mysite/config.yaml").write_text(re.sub(r"^ {8}", "", profile, flags=re.MULTILINE))


def put_images(folder):
    """Class folders: empty ones where a run is only planned, a few images where they are read."""
    put_empty_class_folders(folder)
    put_weights(folder)
    for name in ("train", "test"):
        for label in ("cat", "dog"):
            (folder / name / label).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, sides in (("photos", (70, 80, 3)), ("cifar10/train", (32, 32, 3))):
        for number in range(12):
            path = folder / name / ("cat", "dog")[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, sides).astype(np.uint8)).save(path)


def put_latents(folder):
    """A store with flips, and the same as other projects keep it."""
    write_random_store(folder / "latents.h5", labels=[0] * 8 + [1] * 8, shape=(2, 4, 4), classes=2, flips=True)
    export_lightningdit(folder / "latents.h5", folder / "latents")
    export_repa(folder / "latents.h5", folder / "repa")
    (folder / "mine").mkdir()
    np.save(folder / "mine/latents.npy", np.random.default_rng(0).normal(size=(16, 2, 4, 4)).astype(np.float32))
    np.save(folder / "mine/labels.npy", np.arange(16) % 2)


@pytest.mark.parametrize("command", commands(), ids=lambda command: f"{command.file}: {command.text[:60]}")
def test_a_command_does_what_it_says(place, command):
    if any(re.fullmatch(listed, command.text) for listed in NOT_RUN):
        pytest.skip("on the list of what is not run")
    text = command.text
    for pattern, replacement in FILLED.items():
        text = re.sub(pattern, replacement, text)
    if found := re.search(r"python (benchmarks/\w+\.py)(.*)", text):
        return options_are_there(found[1], found[2])
    if text.startswith("make "):
        text = text.replace("make ", "make --dry-run ", 1)
    if text.startswith("snakemake "):
        text = planned(text)
    environment = os.environ | {"PATH": f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"}
    if text.startswith("snakemake ") and not FOR_A_SHELL & {*text}:
        done = snakemakes().run(shlex.split(text)[1:], place, environment)
    else:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-ec", text], cwd=place, env=environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    assert done.returncode == 0, f"{command.file}: {text}\n{done.stdout}{done.stderr}"


def planned(text):
    """A Snakemake command as it is run here: a dry run where the real one would take more than this test."""
    words = shlex.split(text)
    runs = not {"-n", "--dry-run", "--rulegraph", "--unlock"} & set(words)
    assert not runs or {"--cores", "--profile", "--executor"} & set(words), (
        "--cores is missing, which -n would not miss"
    )
    if runs and re.search(PLANNED, text):
        text = text.replace("snakemake ", "snakemake --dry-run ", 1)
    return text if shutil.which("dot") else text.replace("| dot -Tsvg", "")


def options_are_there(program, rest):
    """Benchmarks take minutes to hours: that the program is there and knows the options named is what is tested."""
    source = read(program)
    for option in re.findall(r"--[\w-]+", rest):
        assert f'"{option}"' in source, f"{program} has no {option}"


@pytest.mark.parametrize("block", configurations(), ids=lambda block: f"{block.file}: {block.text.splitlines()[0]}")
def test_a_configuration_is_accepted(block):
    smoke = yaml.safe_load(read("tests/workflow/smoke.yaml"))
    del smoke["experiments"]  # they name latent spaces, which a block may replace
    load(smoke | yaml.safe_load(re.sub(r"<a commit of .*>", "a" * 40, block.text)))


# Names that a block takes from what its page says before.
GIVEN = {
    "data": torch.randn(20, 2, 4, 4),
    "x_t": torch.randn(3, 2, 4, 4),
    "t": 0.3,
    "index": torch.tensor([0, 7]),
    "x_0": torch.randn(2, 2, 4, 4),
    "times": torch.linspace(0, 0.9, 5),
    "model": tiny_model(),
    "denoiser": Denoiser(channels=3),
}


@pytest.mark.parametrize("block", python_blocks(), ids=lambda block: f"{block.file}: {block.text.splitlines()[0]}")
def test_a_python_block_runs(place, block, monkeypatch):
    monkeypatch.chdir(place)
    exec(compile(block.text, block.file, "exec"), dict(GIVEN))


def test_every_picture_is_made_again_from_its_csv_alone(place, tmp_path):
    """As docs/one-figure.md has it for Fig. 2. Pixels are compared, and with them colours and sampled images."""
    style.colour_by()  # as in an interpreter that knows nothing of the run
    pictures = sorted((place / "results/smoke/report").glob("*.png"))
    assert len(pictures) >= 19
    for path in pictures:
        picture = import_module(f"twostage.report.figures.{path.stem}").figure(
            pandas.read_csv(path.with_suffix(".csv"))
        )
        with style.look():
            picture.savefig(tmp_path / path.name, dpi=150)
        again, first = map(matplotlib.image.imread, (tmp_path / path.name, path))
        assert again.shape == first.shape, path.name
        assert (np.abs(again - first).max(-1) > 0.1).mean() < 1e-5, f"{path.name} is not what its CSV alone gives"
