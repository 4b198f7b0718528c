"""Compiled trainings: one graph for all blocks, whatever the recipe; plain where there is no compiler."""

import pytest
import torch
import torch._dynamo
import torch._inductor.config
import torch.distributed as dist
from safetensors.torch import load_file
from training_examples import ARCHITECTURE, RECIPE, SIZES, write_latents

from twostage.data.latents import LatentStore
from twostage.model.checkpoints import load_model
from twostage.training.loop import Run, train
from twostage.training.processes import Processes
from twostage.training.recipe import Recipe

LAST = "step-0000012.safetensors"


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    return write_latents(tmp_path_factory.mktemp("data") / "latents.h5", flips=True)


@pytest.fixture
def graphs(monkeypatch):
    """Graphs that are traced meanwhile, as for the compiler, and run operation by operation; a second trace of the same
    code is an error."""
    found, real = [], torch.compile

    def backend(graph, inputs):
        found.append(graph)
        return torch._dynamo.lookup_backend("aot_eager")(graph, inputs)

    monkeypatch.setattr(torch, "compile", lambda model, **options: real(model, backend=backend, **options))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    with torch._dynamo.config.patch(error_on_recompile=True, optimize_ddp=True):  # the second is torch's default
        yield found
    torch._dynamo.reset()


def assert_one_graph(graphs):
    assert len(graphs) == 1
    assert not torch._dynamo.utils.counters["graph_break"]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize("changes", [{"precision": "bf16", "accumulate": 2}, {"activation_checkpointing": True}])
def test_a_training_traces_one_graph(latents, tmp_path, capsys, graphs, changes):
    """Over the end of an epoch, snapshots, checkpoints, a restart, and evaluation of the averaged weights beside it."""
    recipe = {**RECIPE, **changes}
    assert train(latents, ARCHITECTURE, {**recipe, "compile": True}, tmp_path / "compiled")
    model = load_model(tmp_path / "compiled" / LAST)
    with torch.no_grad():
        model(torch.zeros(3, 2, 4, 4), torch.zeros(3), torch.zeros(3, dtype=torch.int64))
    assert_one_graph(graphs)
    assert "not compiled" not in capsys.readouterr().err
    assert train(latents, ARCHITECTURE, recipe, tmp_path / "plain")
    ours, theirs = (load_file(tmp_path / name / LAST) for name in ("compiled", "plain"))
    bf16 = recipe.get("precision") == "bf16"
    for name, weight in ours.items():
        torch.testing.assert_close(weight, theirs[name], rtol=0.1 if bf16 else 1e-3, atol=5e-2 if bf16 else 1e-4)


def test_blocks_larger_than_a_bucket_of_gradients_stay_whole(latents, tmp_path, monkeypatch, graphs):
    """Of several processes too, and without sending the constant buffers at each step."""
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    try:
        processes = Processes("cpu")
        recipe = Recipe.parse({**RECIPE, "compile": True}).resolved("cpu")
        run = Run(LatentStore.open(latents), {**SIZES, "hidden_size": 768}, recipe, 0, processes)  # 42 MB per block
        processes.count = 2  # wrapped as for two, of which the other takes no part
        run.prepare()
        with monkeypatch.context() as patched:
            patched.setattr(run.network, "_sync_buffers", lambda: pytest.fail("buffers were sent"))
            run.step(*next(run.stream(0, 1)))
        assert run.compiled
    finally:
        dist.destroy_process_group()
    assert_one_graph(graphs)


def test_a_training_goes_on_uncompiled_where_there_is_no_compiler(latents, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    torch._dynamo.reset()
    recipe = {**RECIPE, "steps": 4, "ema": 0.5}
    with torch._inductor.config.patch({"cpp.cxx": (None, "/nowhere/g++")}):
        train(latents, ARCHITECTURE, {**recipe, "compile": True}, tmp_path / "out")
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith(
        "warning: the model is not compiled, and so slower: InvalidCxxCompiler: No working C++ compiler"
    )
    train(latents, ARCHITECTURE, recipe, tmp_path / "plain")
    ours, theirs = (tmp_path / name / "step-0000004.safetensors" for name in ("out", "plain"))
    assert ours.read_bytes() == theirs.read_bytes()
