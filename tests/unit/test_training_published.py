"""A published checkpoint in place of a training: what is written, and what is refused."""

import hashlib
import json
import re

import pytest
import torch
from training_examples import ARCHITECTURE, SIZES, write_latents

from twostage.model.checkpoints import export_published, load_model
from twostage.model.lightningdit import LightningDiT
from twostage.training.published import main


@pytest.fixture
def published(tmp_path):
    """(path of a checkpoint in LightningDiT's form, its model)."""
    torch.manual_seed(0)
    model = LightningDiT(**SIZES).eval()
    export_published(tmp_path / "published.pt", model)
    return tmp_path / "published.pt", model


def run(checkpoint, latents, output, architecture=ARCHITECTURE, **options):
    words = {"checkpoint": checkpoint, "latents": latents, "architecture": json.dumps(architecture), "output": output}
    return main([word for key, value in {**words, "step": 9, **options}.items() for word in (f"--{key}", str(value))])


def test_the_ema_weights_become_a_snapshot(published, tmp_path):
    path, model = published
    latents = write_latents(tmp_path / "latents.h5")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert run(path, latents, tmp_path / "step.safetensors", sha256=digest) == 0
    loaded = load_model(tmp_path / "step.safetensors")
    assert loaded.metadata["step"] == 9
    assert loaded.metadata["published"] == {"source": "published.pt", "weights": "ema", "sha256": digest}
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_the_entry_is_chosen_and_the_lack_of_averages_is_one_line(published, tmp_path, capsys):
    latents, output = write_latents(tmp_path / "latents.h5"), tmp_path / "step.safetensors"
    plain = {"model": published[1].state_dict(), "opt": {"state": {}}}
    torch.save(plain, tmp_path / "plain.pt")
    assert run(tmp_path / "plain.pt", latents, output) == 0
    error = capsys.readouterr().err
    assert re.fullmatch(r"warning: .*plain.pt: holds no EMA weights, only model; .*\n", error), error
    assert run(tmp_path / "plain.pt", latents, output, weights="model") == 0
    assert capsys.readouterr().err == ""
    assert load_model(output).metadata["published"]["weights"] == "model"
    assert run(tmp_path / "plain.pt", latents, output, weights="best") == 1
    assert "holds ['model', 'opt']; expected an entry 'best'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("architecture", "counts", "options", "message"),
    [
        ({**ARCHITECTURE, "depth": 3}, (9, 7, 5), {}, "published.pt: a LightningDiT of depth 2; expected depth 3"),
        (ARCHITECTURE, (9, 7), {}, "published.pt: a LightningDiT of num_classes 3; expected num_classes 2"),
        (ARCHITECTURE, (9, 7, 5), {"sha256": "0" * 64}, f"published.pt: sha256 is .*; expected {'0' * 64}"),
        (ARCHITECTURE, (9, 7, 5), {"checkpoint": "absent.pt"}, "No such file or directory: 'absent.pt'"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_one_line(
    published, tmp_path, capsys, architecture, counts, options, message
):
    latents = write_latents(tmp_path / "latents.h5", counts=counts)
    words = {"checkpoint": published[0], "architecture": architecture, **options}
    assert run(latents=latents, output=tmp_path / "step.safetensors", **words) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(message, error), error
    assert not (tmp_path / "step.safetensors").exists()
