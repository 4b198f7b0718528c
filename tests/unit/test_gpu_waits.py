"""Where the host waits for the GPU, held to the table in docs/scales.md: nowhere in a step of training or of guided
sampling, once in an oracle's velocity, three times in the targets of a block of steps on the oracle velocity.

Where nothing waits the failure prints the file, function and line that does.
"""

import re
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from training_examples import ARCHITECTURE, RECIPE, SIZES, write_latents

from twostage.data.chunks import MOST
from twostage.data.encoders import Autoencoder
from twostage.data.latents import LatentStore
from twostage.estimate.oracle_target import OF_CLASS, OPERATIONS
from twostage.evaluation.classifier import Classifier
from twostage.evaluation.features import FeatureExtractor
from twostage.evaluation.neighbours import QUERIES, NearestNeighbours
from twostage.flow import time_grid
from twostage.model.lightningdit import LightningDiT
from twostage.oracle import ClassOracle, Oracle, sweep
from twostage.oracle.gaussian import ClassGaussian
from twostage.oracle.samples import Samples
from twostage.sampling.solver import SOLVERS
from twostage.sampling.velocity import Guided, ModelVelocity, OracleVelocity, Staged
from twostage.testing.pretended_gpu import pretended_gpu
from twostage.training.ahead import AHEAD
from twostage.training.loop import Run, train
from twostage.training.oracle_target import OracleTarget
from twostage.training.processes import Processes
from twostage.training.recipe import Recipe

STEPS = 5
TABLE = (Path(__file__).parents[2] / "docs/scales.md").read_text(encoding="utf-8").partition("| in one |")[2]
WAITS = {name: int(most) for name, most in re.findall(r"^\| ([^|`]+?) \| `.* \| (\d+) \|$", TABLE, flags=re.MULTILINE)}
# What is made and read once, in whatever is called first, is not of a step.


def assert_waits(record, allowed, calls=1):
    """That the host waited in the allowed functions alone, {(file, function): times in each of ``calls``}."""
    found = {}
    for event, count in record.syncs.items():
        found.setdefault((event.file, event.function), []).append((count, event))
    for place, events in found.items():
        count = sum(count for count, _ in events)
        said = "\n".join(f"  {count} x {event}" for count, event in events)
        most = allowed.get(place, 0) * calls
        assert count <= most, f"waits for the GPU, {count} in {calls} calls; allowed are {most}:\n{said}"


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LightningDiT(4, 2, 2, 16, 1, 2, 3).eval()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_guided_sampling_step_waits_nowhere(model, solver, precision):
    with pretended_gpu() as record, torch.inference_mode():
        field = Guided(ModelVelocity(model.to("cuda"), precision), 2.0, interval=(0.2, 0.8), channels=1)
        field = Staged([(0.6, field), (1, ModelVelocity(field.field.model))])
        x, y = torch.zeros(3, 2, 4, 4, device="cuda"), torch.arange(3).to("cuda")
        record.clear()
        SOLVERS[solver](field, x, time_grid(STEPS), y)
        assert record.operations > 0
        assert_waits(record, {})
    assert WAITS["sampling step with networks, guided or not"] == 0


@pytest.mark.parametrize("time", [0.0, 0.3, 0.95, 1 - 1e-6])
def test_a_velocity_of_the_oracle_waits_once(time):
    data, x = torch.randn(40, 2, 4, 4), torch.randn(6, 2, 4, 4)
    with pretended_gpu() as record:
        field, x, t = OracleVelocity(Oracle(data.to("cuda"))), x.to("cuda"), torch.full((6,), time, device="cuda")
        field(x, 0.5, None)
        for each in (time, t):
            record.clear()
            field(x, each, None)
            assert sum(record.syncs.values()) <= WAITS["velocity of the oracle"] == 1, record


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_velocity_of_several_classes_waits_once_a_class(device):
    data, labels, y = torch.randn(40, 8), torch.arange(40) % 4, torch.tensor([0, 3, 0, 1])
    with pretended_gpu() as record:
        oracle, x = ClassOracle(data.to("cuda"), labels), torch.randn(4, 8).to("cuda")
        t = torch.tensor([0.2, 0.5, 0.95, 0.3]).to(device)
        oracle.velocity(x, t, y)
        record.clear()
        oracle.velocity(x, t, y)
        assert_waits(record, {("oracle/points.py", "read"): 3})


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_velocity_or_flow_of_gaussians_waits_for_the_labels_alone(device):
    with pretended_gpu() as record:
        gaussians = ClassGaussian(torch.randn(40, 8).to("cuda"), torch.arange(40) % 4)
        x, y = torch.randn(4, 8).to("cuda"), torch.tensor([0, 3, 0, 1]).to(device)
        gaussians.velocity(x, 0.5, y)
        for call in (lambda: gaussians.velocity(x, 0.5, y), lambda: gaussians.flow(x, 0.0, 0.5, y)):
            record.clear()
            call()
            assert sum(record.syncs.values()) == (1 if device == "cuda" else 0), record
    assert WAITS["velocity or flow of Gaussians that are fitted"] == 1


@pytest.mark.parametrize("budget_mb", [1024, 0.05])
def test_a_sweep_waits_thrice_for_a_time_of_a_chunk(budget_mb, monkeypatch):
    """Which pairs are still alive, whether their weights are many, and where the few are."""
    torch.manual_seed(0)
    times, chunks = torch.linspace(0.05, 0.95, 10), []
    with pretended_gpu() as record:
        samples = Samples(torch.randn(300, 32).to("cuda"))
        index, noise = torch.arange(6).to("cuda"), torch.randn(6, 32).to("cuda")
        assert samples.distinct == 300
        samples.budget, whole = int(budget_mb * 2**20), samples.chunks
        monkeypatch.setattr(samples, "chunks", lambda size: (chunks.append(each) or each for each in whole(size)))
        record.clear()
        found = sweep(samples, index, noise, times)
        assert len(chunks) == 1 if budget_mb == 1024 else len(chunks) > 5
        pairs = "oracle/pairs.py"
        each = {(pairs, "_add"): 10, (pairs, "_few"): 10, (pairs, "_sparse_product"): 10}
        each |= {(pairs, "_add_moved"): 10, (pairs, "__init__"): 3}
        once = {(pairs, "result"): 20, (pairs, "<dictcomp>"): 5, (pairs, "sweep"): 2, (pairs, "_check_pairs"): 1}
        once[("oracle/samples.py", "check_finite")] = 1
        assert_waits(record, {**{place: count * len(chunks) for place, count in each.items()}, **once})
        waits = sum(record.syncs.values()) - sum(once.values())
        assert waits <= WAITS["chunk of samples and time of a sweep"] * len(chunks) * len(times)
    assert (found.self_weight[:, 0] < 0.5).all()


def test_a_training_step_waits_nowhere(tmp_path):
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", flips=True), split="train")
    recipe = Recipe.parse({**RECIPE, "precision": "bf16", "compile": False, "max_grad_norm": 1.0, "accumulate": 2})
    with pretended_gpu(backward=True) as record:
        run = Run(store, SIZES, recipe, 0, Processes("cuda"))
        run.prepare()
        record.clear()
        for batch in run.stream(0, STEPS):
            run.step(*batch)
        assert record.bytes_in > 0
        assert_waits(record, {})
    assert WAITS["training step"] == 0


def test_a_chunk_of_images_waits_to_be_sent_checked_and_sent_back():
    torch.manual_seed(0)
    images, latents = np.zeros((3 * MOST - 1, 8, 8, 1), np.uint8), torch.randn(3 * MOST - 1, 2, 8, 8)
    network = AutoencoderKL(
        in_channels=1, out_channels=1, block_out_channels=(8,), norm_num_groups=4, latent_channels=2,
        down_block_types=("DownEncoderBlock2D",), up_block_types=("UpDecoderBlock2D",),
    )  # fmt: skip
    with pretended_gpu() as record:
        encoder = Autoencoder("kl", network, "", "sample", "cuda")
        extractor = FeatureExtractor("classifier", Classifier((8, 8, 1), 8, 10).eval().to("cuda").features, "", "cuda")
        for what, call in {
            "that is encoded": lambda: encoder.encode(torch.from_numpy(images), latents),
            "that is decoded": lambda: encoder.decode(latents),
            "whose features are taken": lambda: extractor(images),
        }.items():
            record.clear()
            call()
            assert sum(record.syncs.values()) == 3 * WAITS[f"chunk of 64 images {what}"], record


def test_a_block_of_training_images_waits_for_the_pairs_in_doubt():
    with pretended_gpu() as record:
        search = NearestNeighbours(torch.randn(QUERIES + 1, 16).to("cuda"), 3)
        references = torch.randn(100, 16).to("cuda")
        record.clear()
        search.add(references)
        assert search.distances.isfinite().all().item()
        waits = WAITS["block of training images that a block of samples is compared with"]
        assert sum(record.syncs.values()) - 1 <= 2 * waits, record


def test_steps_on_the_oracle_velocity_wait_three_times_in_a_block(tmp_path):
    """To know who is asked, and once in each of its two answers: to points with a class and to those without."""
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", flips=True), split="train")
    recipe = {**RECIPE, "target": "oracle", "class_drop": 0.3, "batch_size": 16, "precision": "bf16", "compile": False}
    blocks = 3
    with pretended_gpu(backward=True) as record:
        run = Run(store, SIZES, Recipe.parse({**recipe, "steps": 100}), 0, Processes("cuda"))
        run.prepare()
        batches = run.stream(0, (blocks + 1) * AHEAD)
        *_, batch = islice(batches, AHEAD)  # the first block asks for the longest sample, once
        run.step(*batch)
        record.clear()
        run.step(*next(batches))
        assert len([*batches]) == blocks * AHEAD - 1
        allowed = {("training/oracle_target.py", "__call__"): 1, ("oracle/points.py", "read"): 2}
        assert_waits(record, allowed, calls=blocks)
        most = WAITS["block of 16 training steps on the oracle velocity"]
        assert AHEAD == 16
        assert sum(record.syncs.values()) == most * blocks  # the points did need an oracle of either kind


@pytest.mark.parametrize("classes", [2, 20])
def test_a_target_takes_no_more_operations_than_the_estimate_reckons_with(tmp_path, classes):
    """Of those counted for each class, all but two look at tensors, and are reckoned as a quarter of one."""
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", counts=(9,) * classes), split="train")
    x, y, rows = torch.randn(60, 2, 4, 4), torch.arange(60) % (classes + 1), torch.arange(60) % len(store)
    with pretended_gpu() as record:
        target = OracleTarget(store, Processes("cuda"), class_drop=0.1)
        asked = x.to("cuda"), x.to("cuda"), torch.full((60,), 0.05, device="cuda"), y.to("cuda"), rows.to("cuda")
        target(*asked)
        record.clear()
        target(*asked)
    assert 0.5 < record.operations / (OPERATIONS + (2 + 4 * (OF_CLASS - 2)) * classes) <= 1, record


def test_a_training_waits_only_for_numbers_of_the_line_before_and_to_save(tmp_path, monkeypatch):
    latents = write_latents(tmp_path / "latents.h5", flips=True)
    recipe = {**RECIPE, "precision": "float32", "compile": False, "steps": 24, "snapshots": [], "log_every": 3}
    steps, ages = [], []  # steps begun; of each wait, how many since its numbers were sent

    with pretended_gpu(backward=True) as record, monkeypatch.context() as patched:

        class Mark(torch.cuda.Event):
            def record(self):
                self.steps = len(steps)

            def synchronize(self):
                ages.append(len(steps) - self.steps)

        step = Run.step
        patched.setattr(torch.cuda, "Event", Mark)
        patched.setattr(Run, "step", lambda run, *batch: steps.append(batch) or step(run, *batch))
        train(latents, ARCHITECTURE, {**recipe, "checkpoint_every": 100}, tmp_path / "out", device="cuda")
        made_and_saved = {("training/loop.py", "__init__"): 100}  # the model's way there
        for event in record.syncs:
            if event.file == "model/checkpoints.py":  # the snapshot at the end
                made_and_saved[event.file, event.function] = 100
        assert_waits(record, made_and_saved)
    assert ages == [3] * 7 + [0]
