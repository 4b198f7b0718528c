"""Every kind of job on a pretended GPU: the CPU's results bit for bit in float32, and the host's waits, counted.

Results that the package computes there are also refused where a CPU tensor or generator is mixed in: the pretended GPU
refuses what a GPU would (the first tests).
"""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from test_evaluation_samples import write_samples
from training_examples import ARCHITECTURE, RECIPE, write_latents

from twostage.data.datasets import ArrayDataset
from twostage.data.encode import encode
from twostage.data.encoders import load_encoder
from twostage.data.latents import LatentStore
from twostage.evaluation.classifier import train_classifier, write_features
from twostage.evaluation.evaluate import evaluate_samples
from twostage.evaluation.images import load_split
from twostage.evaluation.memorization import measure_memorization
from twostage.evaluation.neighbours import NearestNeighbours
from twostage.evaluation.prdc import precision_recall_density_coverage
from twostage.evaluation.reference import compute_references
from twostage.model.checkpoints import save_model
from twostage.model.lightningdit import LightningDiT
from twostage.oracle import ClassOracle, Oracle, sweep
from twostage.oracle.law import scale_variance, spectrum
from twostage.provenance import write_json
from twostage.sampling.context import Context
from twostage.sampling.references import measure_references
from twostage.sampling.run import sample_plans
from twostage.sampling.snapshots import sample_snapshots
from twostage.sampling.trajectory import record_trajectories
from twostage.testing.pretended_gpu import pretended_gpu
from twostage.training.loop import train
from twostage.training.oracle_loss import measure_oracle_loss

IDENTITY = {"kind": "identity"}
DIGITS = {"name": "digits"}
PLANS = {
    "followed": {"steps": 4, "follow": True, "parts": [{"field": "oracle", "stop": 0.5}, {"field": "B"}]},
    "guided": {"steps": 4, "parts": [{"field": "B", "guidance": 2.0, "interval": [0.3, 0.8]}]},
    "resumed": {
        "steps": 3,
        "solver": "heun",
        "start": {"resume": 0.4, "split": "held_out"},
        "parts": [{"field": "oracle"}],
    },
    "split": {"steps": 4, "parts": [{"field": "B", "stop": "split", "guidance": 1.5, "channels": 1}, {"field": "B"}]},
}


# ----------------------------------------------------------------------------------------------------- the GPU itself


def test_two_devices_in_one_operation_and_generators_of_the_other_are_refused():
    here = torch.arange(6.0).reshape(3, 2)
    with pretended_gpu():
        there = here.to("cuda")
        assert there.device == torch.device("cuda", 0)
        for mixed in (
            lambda: there + here,
            lambda: here @ there.T,
            lambda: torch.cat([there, here]),
            lambda: here[there[:, 0].long()],
            lambda: torch.nn.functional.mse_loss(there, here),
            lambda: torch.stack([there.sum(), here.sum()]),
        ):
            with pytest.raises(RuntimeError, match=r"same device"):
                mixed()
        for other, device in (("cpu", "cuda"), ("cuda", "cpu")):
            with pytest.raises(RuntimeError, match=f"'{device}' generator"):
                torch.randn(3, device=device, generator=torch.Generator(other))
        with pytest.raises(TypeError, match=r"Tensor.cpu\(\)"):
            there.numpy()
        assert torch.equal((there * torch.tensor(2.0)).cpu(), here * 2)  # a number on the CPU is no second device
        assert torch.equal(there[torch.tensor([2, 0])].cpu(), here[[2, 0]])  # indices are copied there
        with pytest.raises(RuntimeError, match="pretended already"), pretended_gpu():
            pass
    assert not torch.cuda.is_available() or torch.cuda.get_device_name() != "pretended GPU"


def test_what_the_host_waits_for_is_recorded_and_nothing_else():
    with pretended_gpu() as record:
        x = torch.arange(4.0).to("cuda", non_blocking=True)
        torch.where(x > 1, x, 0).cumsum(0).addcmul_(x, x)
        assert (record.bytes_in, len(record.syncs)) == (16, 0)
        waits = {
            "_local_scalar_dense": lambda: bool((x > 1).any()),
            "nonzero": lambda: (x > 1).nonzero(),
            "boolean mask": lambda: x[x > 1],
            "copy to the CPU": lambda: x.cpu(),
            "copy to the GPU": lambda: torch.tensor([1.0], device="cuda"),
            "tolist": lambda: x.tolist(),
            "synchronize": torch.cuda.synchronize,
        }
        for kind, wait in waits.items():
            record.clear()
            wait()
            assert [event.kind for event in record.syncs] == [kind]


@pytest.mark.parametrize("backward", [False, True])
def test_a_step_of_an_optimiser_is_the_cpus(backward):
    def step(device):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.SiLU(), torch.nn.Linear(4, 1)).to(device)
        x = torch.ones(2, 3, device=device)
        if not backward:
            with torch.no_grad():
                return network(x).cpu()
        optimizer = torch.optim.AdamW(network.parameters(), fused=True)
        network(x).square().sum().backward()
        optimizer.step()
        return torch.cat([weight.detach().flatten().cpu() for weight in network.parameters()])

    with pretended_gpu(backward):
        found = step("cuda")
    assert torch.equal(found, step("cpu"))


# ------------------------------------------------------------------------------------------------ the jobs, bit by bit


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Latent stores of both splits, two models, a split, digits' classifier: what the jobs read."""
    folder = tmp_path_factory.mktemp("gpu")
    for split, count, seed, statistics in (("train", 6, 0, None), ("held_out", 4, 1, folder / "train.h5")):
        images = np.random.default_rng(seed).integers(0, 256, (3 * count, 4, 4, 1), dtype=np.uint8)
        dataset = ArrayDataset("blocks", split, images, np.repeat(np.arange(3), count), ["a", "b", "c"])
        encode(dataset, load_encoder(IDENTITY), folder / f"{split}.h5", flips=True, statistics=statistics)
    torch.manual_seed(0)
    model = LightningDiT(4, 2, 1, 16, 1, 2, 3)
    for parameter in model.parameters():
        if parameter.requires_grad and not parameter.any():  # zero at initialisation: the field would be zero
            torch.nn.init.normal_(parameter, std=0.3)
    save_model(folder / "B.safetensors", model, step=5, ema=0.9)
    write_json(folder / "split.json", {"value": 0.4, "source": "measured", "low": 0.38, "high": 0.43})
    write_json(folder / "transition.json", {"split": 0.5, "split_interval": [0.4, 0.6]})
    train_classifier(DIGITS, folder, steps=20, width=8)
    return folder


def write_digits(path):
    """A file of samples, as the sampler writes it, that are digits with noise."""
    data, generator = load_split(DIGITS, "train"), np.random.default_rng(0)
    images = data.images(np.arange(80))
    noisy = np.clip(images + generator.integers(-40, 41, images.shape), 0, 255).astype(np.uint8)
    seeds, index = np.repeat([0, 7], 40), np.tile(np.arange(40), 2)
    write_samples(path, noisy, data.labels[:80], seeds, index, total=40)


def on_both(work, folder, backward=False):
    """Run ``work(device, folder)`` on the CPU and on the pretended GPU; both results, and the record."""
    (folder / "cpu").mkdir(), (folder / "cuda").mkdir()
    expected = work("cpu", folder / "cpu")
    with pretended_gpu(backward) as record:
        found = work("cuda", folder / "cuda")
    return found, expected, record


def assert_same_files(folder, minimum):
    """That every table and array under folder/cuda is, value for value, that of folder/cpu; and none is missing."""
    kinds = (".csv", ".h5", ".npz", ".safetensors")
    names = [path.relative_to(folder / "cpu") for path in (folder / "cpu").rglob("*") if path.suffix in kinds]
    assert len(names) >= minimum
    for name in names:
        expected, found = folder / "cpu" / name, folder / "cuda" / name
        if name.suffix == ".csv":
            pd.testing.assert_frame_equal(pd.read_csv(found), pd.read_csv(expected), check_exact=True)
        elif name.suffix == ".h5":
            with h5py.File(found) as a, h5py.File(expected) as b:
                assert set(a) == set(b)
                for key in a:
                    assert np.array_equal(a[key][:], b[key][:]), (name, key)
        elif name.suffix == ".safetensors":
            a, b = load_file(found), load_file(expected)
            assert set(a) == set(b)
            assert all(torch.equal(a[key], b[key]) for key in a), name
        elif name.name == "features.npz":
            assert np.array_equal(np.load(found), np.load(expected))
        elif name.suffix == ".npz":
            with np.load(found) as a, np.load(expected) as b:
                assert all(np.array_equal(a[key], b[key], equal_nan=a[key].dtype.kind == "f") for key in b), name


def test_the_oracle(tmp_path):
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(40, 2, 3, 3, generator=generator)
    data[30:] = data[:10] + 1e-4 * torch.randn(10, 2, 3, 3, generator=generator)  # near-duplicates take other ways
    x_0, labels = torch.randn(9, 2, 3, 3, generator=generator), torch.arange(40) % 3

    def work(device, _):
        whole, classes = Oracle(data.to(device)), ClassOracle(data.to(device), labels.to(device))
        y, t = labels[:9].to(device), torch.linspace(0, 0.999, 9, device=device)
        points = t.reshape(-1, 1, 1, 1) * data[:9].to(device) + (1 - t).reshape(-1, 1, 1, 1) * x_0.to(device)
        found = [whole.velocity(points, time) for time in (0.0, 0.3, 0.95, 1 - 1e-6)]
        found += [whole.velocity(points, t), whole.log_weights(points, 0.9), whole.log_weights(points, 1.0)]
        found += [
            classes.velocity(points, t, y),
            classes.velocity(points, t, 1),
            classes.posterior_mean(points, 0.5, y),
        ]
        return [answer.cpu() for answer in found if answer.device.type == device]

    found, expected, _ = on_both(work, tmp_path)
    assert len(found) == len(expected) == 10
    for a, b in zip(found, expected):
        if a.dtype == torch.float64:  # log-weights: a GPU sums |x_t|^2 in another order
            torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)
        else:
            assert torch.equal(a, b)


def test_the_oracle_and_the_sweep_of_a_store(world, tmp_path):
    def work(device, folder):
        store = LatentStore.open(world / "train.h5")
        points = torch.randn(5, *store.shape[1:], generator=torch.Generator().manual_seed(0)).to(device)
        streamed = Oracle(store, device=device, budget_mb=0.001)
        assert not streamed.samples.in_memory
        answers = [streamed.velocity(points, 0.4), ClassOracle(store, device=device).velocity(points, 0.6, 2)]
        found = sweep(store, [0, 2], points[:2], [0.2, 0.6], label=1, device=device)
        return [*(answer.cpu() for answer in answers), *map(torch.from_numpy, (found.mse, found.top1))]

    found, expected, _ = on_both(work, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(found, expected))


def test_the_sweep_and_the_law(tmp_path):
    generator = torch.Generator().manual_seed(1)
    data = torch.randn(50, 12, generator=generator)
    data[40:] = data[:10]
    data[35:40] = data[:5] + 1e-4 * torch.randn(5, 12, generator=generator)
    noise, times = torch.randn(7, 12, generator=generator), torch.linspace(0, 1, 9)

    def work(device, _):
        on = data.to(device)
        found = sweep(on, torch.arange(7, device=device), noise.to(device), times, offset=0.05)
        values = {name: value for name, value in vars(found).items() if isinstance(value, np.ndarray)}
        law = scale_variance(on)
        return {**values, "spectrum": spectrum(on), "wide": spectrum(on[:8]), "scale": np.asarray(law, dtype=float)}

    found, expected, _ = on_both(work, tmp_path)
    for name in expected:
        assert np.array_equal(found[name], expected[name], equal_nan=True), name


def context_of(world, device, **options):
    return Context(
        world / "train.h5", IDENTITY, None, {"B": world / "B.safetensors"}, PLANS,
        held_out_path=world / "held_out.h5", split_path=world / "split.json", device=device, **options,
    )  # fmt: skip


def sampled(world, device, folder, **options):
    context = context_of(world, device, **options)
    sample_plans(context, {name: folder / f"{name}.h5" for name in PLANS}, samples=12, seeds=[3])


def test_sampling(world, tmp_path):
    on_both(lambda device, folder: sampled(world, device, folder), tmp_path, backward=True)
    assert_same_files(tmp_path, len(PLANS))


def test_trajectories_and_snapshots(world, tmp_path):
    def work(device, folder):
        pictures = {name: folder / f"{name}.h5" for name in PLANS}
        record_trajectories(context_of(world, device), pictures, folder / "table.csv", samples=6)
        sample_snapshots(
            world / "train.h5", IDENTITY, None, {("B", 5): world / "B.safetensors"}, folder / "snapshots.h5",
            steps=3, solver="heun", seed=0, device=device,
        )  # fmt: skip

    on_both(work, tmp_path, backward=True)
    assert_same_files(tmp_path, len(PLANS) + 2)


def test_models_against_the_oracle(world, tmp_path):
    def work(device, folder):
        measure_oracle_loss(
            world / "train.h5", {("B", 5): world / "B.safetensors"}, folder / "loss.csv", folder / "loss.h5",
            transition_path=world / "transition.json", time_steps=4, pairs=6, seed=0, device=device,
        )  # fmt: skip
        measure_references(
            world / "train.h5", {("B", 5): world / "B.safetensors"}, folder / "references.h5",
            held_out_path=world / "held_out.h5", samples=6, seeds=[0], times=2, steps=3, solver="euler", device=device,
        )  # fmt: skip

    on_both(work, tmp_path, backward=True)
    assert_same_files(tmp_path, 3)


@pytest.mark.parametrize("target", ["cfm", "oracle"])
def test_training(tmp_path, target):
    latents = write_latents(tmp_path / "latents.h5", flips=True)
    recipe = {**RECIPE, "target": target, "precision": "float32", "compile": False, "max_grad_norm": 1.0}

    def work(device, folder):
        train(latents, ARCHITECTURE, recipe, folder, device=device)
        lines = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
        return [(line["step"], line["loss"], line["grad_norm"]) for line in lines]

    found, expected, _ = on_both(work, tmp_path, backward=True)
    assert found == expected
    assert_same_files(tmp_path, 3)


def test_evaluation(world, tmp_path):
    def work(device, folder):
        write_digits(folder / "samples.h5")
        named = {"classifier": world / "classifier.safetensors", "device": device}
        write_features(DIGITS, named["classifier"], folder / "features.npz", device=device)
        compute_references(DIGITS, {"classifier": folder / "reference.npz"}, **named)
        evaluate_samples(
            DIGITS, {"p": [folder / "samples.h5"]}, folder / "table.csv",
            references={"classifier": folder / "reference.npz"}, **named,
        )  # fmt: skip

    on_both(work, tmp_path)
    assert_same_files(tmp_path, 4)


def test_neighbours(tmp_path):
    generator = torch.Generator().manual_seed(2)
    queries, references = (torch.randint(0, 9, (20, 6), generator=generator).float() for _ in range(2))

    def work(device, _):
        groups = (torch.arange(20) % 2).to(device)
        search = NearestNeighbours(queries.to(device), 3, groups)
        search.add(references, groups)
        assert search.distances.device.type == device
        numbers = precision_recall_density_coverage(queries.to(device), references.to(device), 3)
        return search.distances.cpu(), search.positions.cpu(), torch.tensor(list(numbers.values()))

    found, expected, _ = on_both(work, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(found, expected))


def test_memorization(world, tmp_path):
    def work(device, folder):
        sampled(world, device, folder)
        for within_class in (False, True):
            measure_memorization(
                {name: [folder / f"{name}.h5"] for name in PLANS}, folder / f"{within_class}.csv",
                folder / f"samples-{within_class}.csv", store_path=world / "train.h5", encoder_spec=IDENTITY,
                held_out_path=world / "held_out.h5", features=(), within_class=within_class, device=device,
            )  # fmt: skip

    on_both(work, tmp_path, backward=True)
    assert_same_files(tmp_path, len(PLANS) + 4)
