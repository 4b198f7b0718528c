"""Model files: round trips, published checkpoints in their forms, damaged and foreign files."""

import argparse
import pickle
import re
import warnings

import pytest
import torch
from safetensors.torch import save_file
from test_model_lightningdit import TINY, random_inputs, random_model

from twostage.model.__main__ import main
from twostage.model.checkpoints import export_published, import_published, load_model, read_header, save_model
from twostage.weights_file import NoEMA


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


@pytest.mark.parametrize("size", [[4, 8], [8, 4], [2, 8], [2, 32], [16, 2], 8])
def test_height_and_width_are_read_from_the_positions(tmp_path, size):
    model = random_model(input_size=size)
    torch.save({"ema": model.bfloat16().state_dict()}, tmp_path / "wide.pt")
    imported = import_published(tmp_path / "wide.pt", input_size=size)
    assert imported.architecture == model.architecture == {**TINY, "input_size": size}
    save_model(tmp_path / "wide.safetensors", imported)
    assert same_outputs(imported, load_model(tmp_path / "wide.safetensors"))
    with pytest.raises(ValueError, match=r"positions are for"):
        import_published(tmp_path / "wide.pt", input_size=[4, 4])


def test_other_positions_are_those_of_a_square(tmp_path):
    model = random_model(input_size=8)
    model.pos_embed.data.zero_()
    torch.save({"ema": model.state_dict()}, tmp_path / "plain.pt")
    assert import_published(tmp_path / "plain.pt").architecture == model.architecture


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


@pytest.mark.parametrize("protocol", [None, 2, 4])
def test_pickles_that_would_run_code_are_refused_by_the_name_of_their_class(tmp_path, capsys, protocol):
    path = tmp_path / "harmful.pt"
    if protocol:
        path.write_bytes(pickle.dumps({"ema": Harmful()}, protocol=protocol))
    else:
        torch.save({"ema": Harmful()}, path)
    with pytest.raises(
        ValueError, match=r"not a PyTorch checkpoint that can be read safely: it names [\w.]*print,"
    ) as caught:
        import_published(path)
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_what_is_no_file_of_weights_is_called_what_it_is(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 334643276\n"
    contents = {
        pointer: "this is a Git LFS pointer, not the 334,643,276 bytes that it stands for; run `git lfs pull`",
        "\n <!DOCTYPE html><html><body>Sign in</body></html>": "this is a web page",
        "": "the file is empty",
    }
    for name in ("w.pt", "w.safetensors"):
        for content, why in contents.items():
            (tmp_path / name).write_text(content)
            with pytest.raises(ValueError, match=rf"{name}: {re.escape(why)}"):
                import_published(tmp_path / name)


# ------------------------------------------------------------------------------------------- entries, prefixes, shapes


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"module._orig_mod.{name}",
        lambda name: f"_orig_mod.module.{name}",
        lambda name: f"ema_model.module.{name}",
        lambda name: re.sub(r"^(blocks\.\d+)\.", r"\1._orig_mod.", f"{name}"),
        lambda name: f"model.{name}",
        lambda name: f"_orig_mod.model.module.{name}",
        lambda name: f"module.model.model.{name}",
    ],
)
def test_prefixes_are_dropped_in_any_order_and_place(tmp_path, rename):
    model = random_model()
    torch.save({"ema": {rename(name): value for name, value in model.state_dict().items()}}, tmp_path / "m.pt")
    assert same_outputs(model, import_published(tmp_path / "m.pt"))


def test_a_prefix_of_some_names_alone_is_part_of_them(tmp_path):
    state = random_model().state_dict()
    names = {f"model.{name}" if name.startswith("blocks") else name: value for name, value in state.items()}
    torch.save({"ema": names}, tmp_path / "some.pt")
    with pytest.raises(ValueError, match=r"some.pt: .*model\.blocks"):
        import_published(tmp_path / "some.pt")


def test_averages_among_other_weights_are_the_ones_taken(tmp_path):
    model, state = random_model(), random_model().state_dict()
    both = {f"online_model.{name}": value + 1 for name, value in state.items()}
    both |= {f"ema_model.{name}": value for name, value in state.items()}
    torch.save({**both, "initted": torch.tensor(1.0), "step": torch.tensor(7.0)}, tmp_path / "ema_pytorch.pt")
    imported = import_published(tmp_path / "ema_pytorch.pt")
    assert same_outputs(model, imported)
    assert imported.metadata["weights"] == "ema"
    online = import_published(tmp_path / "ema_pytorch.pt", weights="model").state_dict()
    assert all(torch.equal(online[name], value + 1) for name, value in state.items())


def test_one_name_twice_is_refused(tmp_path):
    state = random_model().state_dict()
    torch.save({**state, "module.pos_embed": state["pos_embed"]}, tmp_path / "twice.pt")
    with pytest.raises(ValueError, match=r"twice.pt: pos_embed and module.pos_embed are one name"):
        import_published(tmp_path / "twice.pt")


def test_a_checkpoint_without_averages_says_so_unless_it_is_asked_for(tmp_path):
    model, path = random_model(), tmp_path / "plain.pt"
    torch.save({"model": model.state_dict(), "opt": {"state": {}}}, path)
    with pytest.warns(NoEMA, match=r"plain.pt: holds no EMA weights, only model; 'model' is taken") as caught:
        imported = import_published(path)
    assert len(caught) == 1
    assert same_outputs(model, imported)
    assert imported.metadata["weights"] == "model"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same_outputs(model, import_published(path, weights="model"))
    with pytest.raises(ValueError, match=r"holds \['model', 'opt'\]; expected an entry 'ema'"):
        import_published(path, weights="ema")


@pytest.mark.parametrize("ema", [None, {}])
def test_an_empty_average_is_none(tmp_path, ema):
    model = random_model()
    torch.save({"model": model.state_dict(), "ema": ema}, tmp_path / "empty.pt")
    with pytest.warns(NoEMA, match="holds no EMA weights, only model"):
        assert same_outputs(model, import_published(tmp_path / "empty.pt"))
    with pytest.raises(ValueError, match="expected an entry 'ema' with weights by name"):
        import_published(tmp_path / "empty.pt", weights="ema")


@pytest.mark.parametrize(
    ("name", "shape"),
    [("x_embedder.proj.weight", (24, 4, 1)), ("feat_rope.freqs_cos", ()), ("pos_embed", (1, 0, 24))],
)
def test_shapes_that_tell_no_sizes_are_named(tmp_path, name, shape):
    torch.save({**random_model().state_dict(), name: torch.ones(shape)}, tmp_path / "odd.pt")
    with pytest.raises(
        ValueError, match=rf"does not look like a LightningDiT: {name} has the shape {re.escape(str(shape))}"
    ):
        import_published(tmp_path / "odd.pt")


def test_any_entry_can_be_named(tmp_path):
    model = random_model()
    torch.save({"ema": {}, "ema_0.999": model.state_dict()}, tmp_path / "several.pt")
    assert same_outputs(model, import_published(tmp_path / "several.pt", weights="ema_0.999"))


def test_block_numbers_are_checked_before_blocks_are_made(tmp_path):
    state = random_model().state_dict()
    state["blocks.99999.norm1.weight"] = torch.ones(1)
    torch.save({"ema": state}, tmp_path / "far.pt")
    with pytest.raises(ValueError, match=r"far.pt: blocks.99999 among 3 of blocks.*; expected them numbered from 0 on"):
        import_published(tmp_path / "far.pt")
    del state["blocks.99999.norm1.weight"]
    torch.save({"ema": state | {"blocks.last.norm1.weight": torch.ones(1)}}, tmp_path / "word.pt")
    with pytest.raises(ValueError, match=r"word.pt: blocks.last among 3"):
        import_published(tmp_path / "word.pt")


def test_shapes_that_the_file_does_not_hold_are_refused_before_memory_is_taken(tmp_path):
    state = random_model().state_dict()
    huge = torch.ones(1).expand(4 * 10**9, 24)  # 384 GB from four bytes, of a shape that fits
    torch.save({"ema": {**state, "y_embedder.embedding_table.weight": huge}}, tmp_path / "huge.pt")
    with pytest.raises(ValueError, match=r"claims the shape \(4000000000, 24\), more than the file holds"):
        import_published(tmp_path / "huge.pt")
    for claim in ({"hidden_size": 280_000}, {"depth": 10**9}, {"depth": "many"}, {"heads": 2}):
        save_model(tmp_path / "claims.safetensors", random_model(), {**TINY, **claim})
        with pytest.raises(ValueError, match=rf"claims.safetensors: its header says {next(iter(claim))}"):
            load_model(tmp_path / "claims.safetensors")


def test_numbers_that_are_no_weights_are_refused(tmp_path):
    state = random_model().state_dict()
    torch.save({"ema": {**state, "pos_embed": state["pos_embed"].to(torch.int8)}}, tmp_path / "int.pt")
    with pytest.raises(ValueError, match=r"int.pt: pos_embed is of torch.int8; expected dense numbers"):
        import_published(tmp_path / "int.pt")
