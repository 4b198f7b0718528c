"""A model that the user's own code builds, in the workflow: from the function to the file that stands for it."""

import shutil
from pathlib import Path

import pytest
import yaml

from twostage.model.checkpoints import read_header

FILE = "results/own/training/pixel/Mine/step-0000000.safetensors"


@pytest.fixture
def own(checkout):
    """A checkout whose user has a file with models beside it."""
    shutil.copy(Path(__file__).parents[1] / "unit/foreign_models.py", checkout.folder / "mine.py")
    model = {"factory": "mine:denoiser", "path": "edm", "dropped_label": 10, "options": {"channels": 1, "classes": 10}}
    config = {
        "run": "own",
        "data": {"name": "digits", "image_size": 8, "held_out": 0.5},
        "spaces": {"pixel": {"encoder": {"kind": "identity"}, "patch_size": 4}},
        "models": {"Mine": model},
        "training": {"steps": 1},
        "experiments": {"tab_halves": {"models": ["Mine"]}, "tab3": {"model": "Mine"}},
    }
    checkout.own = config
    write(checkout)
    return checkout


def write(own, **changes):
    own.own["models"]["Mine"] |= changes
    (own.folder / "own.yaml").write_text(yaml.safe_dump(own.own))


def test_the_function_is_called_once_looked_at_and_called_again_when_its_code_changes(own):
    own.snakemake("--", FILE, configfile="own.yaml")
    architecture, metadata = read_header(own.folder / FILE)
    assert architecture["factory"] == "mine:denoiser"
    assert architecture["num_classes"] == 10
    assert "at other times at the nearest" in metadata["foreign"]["clamped"]
    planned = own.snakemake("--dry-run", "--quiet", "rules", configfile="own.yaml").stdout
    assert "sample_tab_halves" in planned
    assert "oracle_loss" in planned
    assert "build_Mine" not in planned
    assert "train_" not in planned
    own.edit("mine.py", "width=8", "width=4")
    assert "build_Mine" in own.snakemake("--dry-run", "--quiet", "rules", "--", FILE, configfile="own.yaml").stdout
    write(own, factory="mine:wrong_shape", options={})
    done = own.snakemake("--", FILE, configfile="own.yaml", check=False, forked=False)
    assert "the foreign model returned torch.float32 of shape (2, 2, 8, 8) for x of shape (2, 1, 8, 8)" in (
        done.stdout + done.stderr
    )


def test_a_function_that_is_not_there_ends_the_run_before_any_job(own):
    write(own, factory="mine:denoise")
    done = own.snakemake("--dry-run", configfile="own.yaml", check=False, forked=False)
    assert done.returncode == 1
    line = "mine.py has no denoise; did you mean 'denoiser'?; expected package.module:function"
    (said,) = [text for text in (done.stdout + done.stderr).splitlines() if line in text]
    assert said.startswith("config: models.Mine.factory is 'mine:denoise': ")
    assert not (own.folder / "results").exists()
