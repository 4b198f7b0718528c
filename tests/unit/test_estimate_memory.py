"""Memory of every job: GPUs and hosts of the shipped configurations, and its bounds against what is really taken."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from data_examples import ATTRIBUTES

from twostage.config import load
from twostage.data.chunks import MOST
from twostage.data.encoders import item_bytes
from twostage.data.latents import LatentStore, write_store
from twostage.estimate import peaks
from twostage.estimate.costs import Costs
from twostage.estimate.gaussian import gaussian_bytes
from twostage.estimate.memory import GIB, MIB, gpu_bytes, host_bytes
from twostage.estimate.networks import PUBLISHED
from twostage.estimate.oracle import oracle_bytes, spectrum_bytes
from twostage.evaluation.features import dinov2_bytes, inception_bytes
from twostage.oracle import Oracle
from twostage.oracle.gaussian import ClassGaussian
from twostage.oracle.law import spectrum
from twostage.oracle.pairs import sweep
from twostage.sampling.experiments import plans_for
from twostage.testing.peak_memory import Peak
from twostage.training.loop import train

ROOT = Path(__file__).parents[2]
IMAGE, LATENTS = (256, 256, 3), {"sd-vae": (4, 32, 32), "va-vae": (32, 16, 16)}
# docs/scales.md: what cards of 40 GB take.
SMALLER = {"networks": {"memory_mb": 8192}, "oracle": {"memory_mb": 8192}, "training": {"accumulate": 2}}


@cache
def costs(name):
    config = configuration(name)
    plans = {}
    for experiment, settings in config.experiments:
        if settings is not None and experiment != "fig_references":  # which has no plans
            said = settings.model_dump(mode="json", exclude={"spaces", "samples", "seeds"})
            if experiment == "fig_oracle_supervised":
                said["snapshots"] = config.snapshots("S")
            plans[experiment] = plans_for(experiment, said)
    return Costs(config, plans)


def configuration(name, **blocks):
    raw = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8"))
    return load(raw | {block: {**raw.get(block, {}), **settings} for block, settings in blocks.items()})


def test_every_gpu_job_of_imagenet_fits_on_its_card():
    found = costs("imagenet256")
    peak = {(row.rule, row.where): gpu_bytes(found.config, row) / GIB for row in found.rows}
    assert {name: most for name, most in peak.items() if most >= 70} == {}
    # The settings for 40 GB make nothing larger: only what takes more has to be counted again.
    larger = {name for name, most in peak.items() if most >= 35}
    assert ("train_XL", "vavae") in larger
    smaller = Costs(configuration("imagenet256", **SMALLER), found.setting.plans)
    again = {row: gpu_bytes(smaller.config, row) / GIB for row in smaller.rows if (row.rule, row.where) in larger}
    assert len(again) == len(larger)
    assert {row.rule: most for row, most in again.items() if most >= 35} == {}


@pytest.mark.parametrize("name", ["imagenet256", "cifar10", "cifar10_cpu"])
def test_every_job_has_the_host_memory_that_it_asks_for(name):
    found = costs(name)
    asked = {row: getattr(found.config.jobs, row.stage).mem_mb for row in found.rows}
    taken = {row: host_bytes(found.config, row) / 1e6 for row in found.rows}
    assert min(taken.values()) > 100
    assert {row.rule: taken[row] for row in found.rows if taken[row] > asked[row]} == {}


@pytest.mark.parametrize("kind", LATENTS)
def test_an_image_in_an_autoencoder_takes_what_its_bound_says(kind):
    bound = item_bytes(PUBLISHED[kind]["block_out_channels"], *IMAGE[:2])
    weights = 336 * MIB
    for peak in peaks.autoencoder_peaks(kind, IMAGE, LATENTS[kind], (), MOST):
        assert 0.6 * bound < (peak - weights) / MOST < bound


@pytest.mark.parametrize(
    ("peak", "bound"), [(peaks.inception_peak, inception_bytes(IMAGE)), (peaks.dinov2_peak, dinov2_bytes(IMAGE))]
)
def test_an_image_in_a_feature_network_takes_what_its_bound_says(peak, bound):
    one, many = peak(IMAGE, 2), peak(IMAGE, MOST)
    assert 0.5 * bound < (many - one) / (MOST - 2) < bound


def write_normal(path, count, shape):
    latents = np.random.default_rng(0).standard_normal((count, *shape)).astype(np.float32)
    with write_store(path, count, shape) as writer:
        writer.write(0, latents)
        writer.finish(np.arange(count) * 3 // count, np.arange(count), 3, ATTRIBUTES)
    return torch.from_numpy(latents)


def test_a_training_takes_what_is_counted_on_fake_tensors(tmp_path):
    write_normal(tmp_path / "l.h5", 64, (2, 16, 16))
    sizes = {"patch_size": 2, "hidden_size": 64, "depth": 4, "num_heads": 4}
    recipe = {"steps": 3, "batch_size": 64, "precision": "float32", "compile": False}
    with Peak() as peak:
        assert train(tmp_path / "l.h5", sizes, recipe, tmp_path / "out")
    counted = peaks.training_peak((2, 16, 16), *sizes.values(), 3, batch=64, bf16=False)
    assert peak.bytes == pytest.approx(counted, rel=0.05)


@pytest.mark.parametrize("budget_mb", [1, 8])
@pytest.mark.parametrize("mean", [0, 5])  # far from zero the rows are centred as well
def test_the_oracle_stays_within_its_budget(budget_mb, mean):
    count, dim, pairs, times = 1500, 96, 20, torch.linspace(0, 1, 11)
    data = torch.randn(count, dim, generator=torch.Generator().manual_seed(0)) + mean
    noise, index = torch.randn(pairs, dim, generator=torch.Generator().manual_seed(1)), torch.arange(pairs)
    bound = oracle_bytes(count, dim, budget_mb * MIB, pairs, len(times)) + data.nbytes  # held though larger than half

    def taken(work):
        with Peak() as peak:
            peak.hold(data)
            work()
        return peak.bytes

    assert taken(lambda: sweep(data, index, noise, times, budget_mb=budget_mb)) < bound
    for t in (0.1, 0.5, 0.95):
        x_t = t * data[:pairs] + (1 - t) * noise
        assert taken(lambda x_t=x_t, t=t: Oracle(data, budget_mb=budget_mb).velocity(x_t, t)) < bound
    assert taken(lambda: spectrum(data, budget_mb=budget_mb)) < bound + spectrum_bytes(count, dim)


@pytest.mark.parametrize("budget_mb", [0.5, 8])
@pytest.mark.parametrize(("count", "dim"), [(300, 500), (2000, 120)])
def test_gaussians_stay_within_what_their_bound_says(tmp_path, budget_mb, count, dim):
    write_normal(tmp_path / "l.h5", 3 * count, (1, 1, dim))
    store, x, y = LatentStore.open(tmp_path / "l.h5"), torch.ones(20, 1, 1, dim), torch.arange(20) % 3
    bound = gaussian_bytes(count, dim, 3, int(budget_mb * MIB), len(x))
    with Peak() as peak:
        gaussians = ClassGaussian(store, budget_mb=budget_mb)
        for _ in range(2):
            gaussians.velocity(gaussians.flow(x, 0.0, 0.5, y), 0.5, y)
    assert 0.2 * (bound - 24 * MIB) < peak.bytes < bound  # blocks of rows are smaller here
