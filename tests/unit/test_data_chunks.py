"""Chunks of one size: memory bounded by a budget, the last bit of an image independent of its company."""

import numpy as np
import pytest
import torch
from data_examples import random_dataset
from ldm import make_ldm
from safetensors.torch import save_file

from twostage.data.chunks import CPU_MB, GPU_MB, MOST, VARIABLE, budget_mb, chunk_size, in_chunks
from twostage.data.encoders import item_bytes, load_encoder
from twostage.data.published import to_diffusers
from twostage.evaluation.classifier import Classifier
from twostage.evaluation.features import FeatureExtractor


@pytest.mark.parametrize(
    ("item_mib", "budget", "size"), [(1, 16384, MOST), (240, 16384, 64), (240, 8192, 32), (65, 256, 2), (257, 256, 1)]
)
def test_a_chunk_is_the_largest_power_of_two_that_fits(item_mib, budget, size):
    assert chunk_size(item_mib << 20, budget) == size


def test_the_budget_is_the_devices_and_the_configurations(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert (budget_mb("cpu"), budget_mb("cuda:1")) == (CPU_MB, GPU_MB)
    monkeypatch.setenv(VARIABLE, "8192")
    assert (budget_mb("cpu"), budget_mb("cuda")) == (CPU_MB, 8192)


def test_every_pass_has_one_size_and_every_row_its_own_result():
    seen = []

    def network(x, y):
        seen.append((len(x), len(y)))
        return x + y

    x, y = torch.arange(7.0), 10 * torch.arange(7.0)
    found = dict(in_chunks(network, 4, x, y))
    assert seen == [(4, 4), (4, 4)]
    assert list(found) == [0, 4]
    assert torch.equal(torch.cat(list(found.values())), 11 * torch.arange(7.0))
    assert torch.equal(next(in_chunks(lambda x, y: x, 4, x, None))[1], x[:4])


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "sd.safetensors"
    save_file(to_diffusers(make_ldm("sd-vae").state_dict()), path)
    return load_encoder({"kind": "sd-vae", "posterior": "sample"}, path)


def test_an_images_last_bit_does_not_depend_on_how_many_go_with_it(encoder):
    images = torch.from_numpy(random_dataset(MOST + 3, shape=(32, 32, 3)).pixels)
    noise = torch.randn(len(images), 4, 4, 4, generator=torch.Generator().manual_seed(0))
    latents = encoder.encode(images, noise)
    shown = encoder.network.decode  # what is compared has not been rounded to grey levels yet
    size = chunk_size(item_bytes(encoder.network.config.block_out_channels, 32, 32), CPU_MB)
    assert size == MOST
    whole = torch.cat([x.detach() for _, x in in_chunks(lambda z: shown(z).sample, size, latents)])
    for rows in (slice(5, 6), slice(60, 67)):
        assert torch.equal(encoder.encode(images[rows], noise[rows]), latents[rows])
        part = torch.cat([x.detach() for _, x in in_chunks(lambda z: shown(z).sample, size, latents[rows])])
        assert torch.equal(part, whole[rows])
        assert torch.equal(encoder.decode(latents[rows]), encoder.decode(latents)[rows])


def test_features_last_bit_does_not_depend_on_the_batch():
    torch.manual_seed(0)
    model = Classifier((8, 8, 1), 8, 10).eval()
    extractor = FeatureExtractor("classifier", model.features, "", "cpu", lambda shape: 1 << 20)
    images = random_dataset(MOST + 9, shape=(8, 8, 1)).pixels
    whole = extractor(images)
    for size in (1, 5, 50):
        parts = [images[start : start + size] for start in range(0, len(images), size)]
        assert np.array_equal(extractor.of_batches(parts), whole)


def test_a_bad_image_is_told_by_its_number_among_all(encoder):
    latents = torch.zeros(MOST + 2, 4, 4, 4)
    latents[MOST + 1] = torch.nan
    with pytest.raises(ValueError, match=rf"images that the sd-vae encoder decoded: .* in row {MOST + 1};"):
        encoder.decode(latents)
