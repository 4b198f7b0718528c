"""Model files: round trips, published checkpoints in their forms, damaged and foreign files."""

import argparse
import pickle

import pytest
import torch
from safetensors.torch import save_file
from test_model_lightningdit import TINY, random_inputs, random_model

from twostage.model.__main__ import main
from twostage.model.checkpoints import export_published, import_published, load_model, read_header, save_model


def same_outputs(model, other):
    inputs = random_inputs(model)
    with torch.no_grad():
        return torch.equal(model(*inputs), other(*inputs))


def test_saved_model_comes_back_with_its_metadata(tmp_path):
    model = random_model().train()
    save_model(tmp_path / "m.safetensors", model, step=7, note={"lr": 0.1})
    loaded = load_model(tmp_path / "m.safetensors")
    assert not loaded.training
    assert loaded.metadata == {"step": 7, "note": {"lr": 0.1}}
    assert read_header(tmp_path / "m.safetensors") == (TINY, loaded.metadata)
    assert same_outputs(model.eval(), loaded)
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_model(tmp_path / name, random_model().state_dict(), TINY, step=1, kind="ema")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_truncated_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    save_model(path, random_model())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"m.safetensors: not a whole safetensors file"):
        load_model(path)
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"schema is None.*import_published"):
        load_model(path)
    with pytest.raises(OSError, match=r"nowhere"):
        load_model(tmp_path / "nowhere")


def write_lightningdit(path, model):
    other = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    torch.save(
        {"model": other, "ema": model.state_dict(), "opt": {"state": {}}, "config": {"train": {"lr": 2e-4}}}, path
    )


def write_prefixed(path, model):
    torch.save({"ema": {f"module.{name}": tensor for name, tensor in model.state_dict().items()}}, path)


def write_sit(path, model):
    torch.save({"model": {}, "ema": model.state_dict(), "opt": {}, "args": argparse.Namespace(lr=1e-4)}, path)


def write_bare(path, model):
    torch.save(model.state_dict(), path)


def write_safetensors(path, model):
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("lightningdit.pt", write_lightningdit),
        ("prefixed.pt", write_prefixed),
        ("sit.pt", write_sit),
        ("bare.pth", write_bare),
        ("plain.safetensors", write_safetensors),
        ("ours.safetensors", save_model),
    ],
)
def test_published_forms_are_imported(tmp_path, name, write):
    model = random_model(input_size=8)
    write(tmp_path / name, model)
    imported = import_published(tmp_path / name)
    assert imported.architecture == {**TINY, "input_size": 8}
    assert same_outputs(model, imported)


def test_export_is_imported_again_and_has_the_originals_entries(tmp_path):
    model = random_model()
    export_published(tmp_path / "out.pt", model, data={"image_size": 256})
    content = torch.load(tmp_path / "out.pt", weights_only=True)
    assert set(content) == {"model", "ema", "opt", "config"}
    assert content["config"] == {"data": {"image_size": 256}}
    assert same_outputs(model, import_published(tmp_path / "out.pt", weights="model"))


def test_command_line_exports(tmp_path, capsys):
    model = random_model()
    ours, theirs = str(tmp_path / "ours.safetensors"), str(tmp_path / "theirs.pt")
    save_model(ours, model, step=5)
    assert main([ours, theirs]) == 0
    assert same_outputs(model, import_published(theirs))
    assert torch.load(theirs, weights_only=True)["config"] == {"architecture": model.architecture, "step": 5}
    assert main([theirs, ours]) == 1
    assert "theirs.pt: not a whole safetensors file" in capsys.readouterr().err


def test_misfitting_keys_are_listed(tmp_path):
    state = random_model().state_dict()
    state["blocks.0.attn.q_norm.weight"] = state.pop("blocks.0.attn.proj.bias")
    state["blocks.1.mlp.w3.bias"] = torch.zeros(3)
    torch.save({"ema": state}, tmp_path / "odd.pt")
    with pytest.raises(ValueError, match=r"odd.pt") as caught:
        import_published(tmp_path / "odd.pt")
    message = str(caught.value)
    assert "missing: blocks.0.attn.proj.bias;" in message
    assert "unexpected: blocks.0.attn.q_norm.weight;" in message
    assert "misshapen: blocks.1.mlp.w3.bias (3,) instead of (24,)" in message


def test_other_networks_and_other_sizes_are_refused(tmp_path):
    torch.save({"ema": {"layer.weight": torch.zeros(2)}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"does not look like a LightningDiT.*layer.weight"):
        import_published(tmp_path / "other.pt")
    torch.save({"ema": random_model().state_dict()}, tmp_path / "small.pt")
    with pytest.raises(ValueError, match=r"input_size is 32.*positions are for 4"):
        import_published(tmp_path / "small.pt", input_size=32)
    with pytest.raises(ValueError, match=r"holds \['ema'\]; expected an entry 'model'"):
        import_published(tmp_path / "small.pt", weights="model")


class Harmful:
    def __reduce__(self):
        return (print, ("a pickle ran code",))


def test_pickles_that_would_run_code_are_refused(tmp_path, capsys):
    path = tmp_path / "harmful.pt"
    torch.save({"ema": Harmful()}, path)
    with pytest.raises(ValueError, match=r"not a PyTorch checkpoint that can be read safely"):
        import_published(path)
    path.write_bytes(pickle.dumps({"ema": Harmful()}, protocol=2))
    with pytest.raises(ValueError, match=r"cannot|safely"):
        import_published(path)
    assert capsys.readouterr().out == ""
