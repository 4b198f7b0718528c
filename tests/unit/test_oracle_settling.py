"""When pairs of single images settle: exact against the sweep and by hand, copies and mirrored twins together."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from data_examples import write_random_store

from twostage.data.latents import LatentStore
from twostage.oracle import sweep
from twostage.oracle.law import transition_time
from twostage.oracle.samples import Samples
from twostage.oracle.settling import settling
from twostage.oracle.single_images import measure_settling
from twostage.provenance import provenance_path

LABELS = (0,) * 20 + (1,) * 15 + (3,) * 1


def random_data(count=40, dim=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dim, generator=generator), torch.randn(count, 3, dim, generator=generator)


def own_weight(data, k, noise, t, own):
    """Posterior weight of the samples ``own`` along the path of sample k and this noise, at times t, by hand."""
    data, noise = data.double(), noise.double()
    x_t = t[:, None] * data[k] + (1 - t[:, None]) * noise
    squares = (x_t[:, None] - t[:, None, None] * data).square().sum(2)
    return torch.softmax(-squares / (2 * (1 - t[:, None]) ** 2), 1)[:, own].sum(1).numpy()


def last_below(weight, t):
    """The last of the times at which a weight is below one half, and the one after it."""
    below = np.flatnonzero(weight < 0.5)
    return (t[below[-1]], t[below[-1] + 1]) if len(below) else (0.0, 0.0)


def test_the_weight_of_the_sweep_is_one_half_at_the_times_found():
    data, noise = random_data()
    found = settling(Samples(data), torch.arange(40), noise)
    for k in range(3):
        weight = sweep(data, torch.arange(40), noise[:, k], np.unique(found.time[:, k])).self_weight
        at = np.searchsorted(np.unique(found.time[:, k]), found.time[:, k])
        np.testing.assert_allclose(weight[np.arange(40), at], 0.5, atol=1e-6)


@pytest.mark.parametrize("copies", [2, 30], ids=["few copies", "copies are the majority"])
def test_copies_count_as_the_image_and_the_last_crossing_is_the_time(copies):
    data, noise = random_data(seed=1)
    data[1:copies] = data[0]
    data[-1] = data[-2]  # others' copies weigh twice
    found, t = settling(Samples(data), torch.tensor([0]), noise[:1]), torch.linspace(0, 0.9999, 20_001).double()
    assert found.nearest[0] >= copies
    for k in range(3):
        low, high = last_below(own_weight(data, 0, noise[0, k], t, slice(copies)), t.numpy())
        assert low - 1e-6 <= found.time[0, k] <= high + 1e-6


def test_the_mirrored_twin_counts_as_the_image():
    data, noise = random_data(seed=2)
    data[20:] = data[:20] + 0.1 * data[20:]  # each twin the nearest of all
    samples, t = Samples(data), torch.linspace(0, 0.9999, 20_001).double()
    found = settling(samples, torch.arange(4), noise[:4], torch.arange(4) + 20)
    alone = settling(samples, torch.arange(4), noise[:4])
    assert alone.nearest.tolist() == [20, 21, 22, 23]
    assert (found.distance > alone.distance).all()
    for k in range(4):
        low, high = last_below(own_weight(data, k, noise[k, 0], t, [k, k + 20]), t.numpy())
        assert low - 1e-6 <= found.time[k, 0] <= high + 1e-6


def test_of_two_images_by_hand():
    """r = s a - s^2 q / 2 is zero at s = 2 a / q, and nowhere above 0 where a is below 0."""
    data = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    found = settling(Samples(data), torch.tensor([0]), torch.tensor([[[3.0, 1.0], [-3.0, 1.0]]]))
    np.testing.assert_allclose(found.time, [[3 / 4, 0]])
    assert (found.nearest[0], found.distance[0], found.law[0]) == (1, 2.0, 0.0)


def test_the_laws_of_images_that_are_all_as_far_apart():
    """(N - 1) exp(-s^2 d^2 / 4) = 1; an isotropic Gaussian of that typical distance has variance d^2 / 2D."""
    count, dim, distance = 30, 30, 3.0
    samples = Samples(torch.eye(count) * distance / 2**0.5)
    found = settling(samples, torch.arange(count), torch.zeros(count, 1, dim))
    s = 2 * np.sqrt(np.log(count - 1)) / distance
    np.testing.assert_allclose(found.distance, distance, rtol=1e-6)
    np.testing.assert_allclose(found.law, s / (1 + s), rtol=1e-6)
    np.testing.assert_allclose(found.law_nearest, transition_time([distance**2 / (2 * dim)] * dim, count), rtol=1e-6)


def test_the_law_of_a_simplex_is_the_median_of_its_times():
    generator = torch.Generator().manual_seed(0)
    samples = Samples(torch.eye(400) * 4)
    found = settling(samples, torch.arange(50), torch.randn(50, 8, 400, generator=generator))
    assert np.median(found.time) == pytest.approx(found.law[0], rel=0.05)


def test_one_image_has_always_settled():
    found = settling(Samples(torch.ones(3, 2)), torch.arange(3), torch.randn(3, 2, 2))
    assert not found.time.any()
    assert not found.law.any()
    assert not found.law_nearest.any()
    assert np.isinf(found.distance).all()


def test_bad_arguments_are_refused():
    samples = Samples(random_data()[0])
    with pytest.raises(ValueError, match=r"index lies in \[0, 40\]; expected rows below 40"):
        settling(samples, torch.tensor([0, 40]), torch.zeros(2, 1, 6))
    with pytest.raises(ValueError, match=r"x_0 has shape \(2, 6\); expected \(2, M, 6\)"):
        settling(samples, torch.tensor([0, 1]), torch.zeros(2, 6))
    with pytest.raises(ValueError, match=r"index has dtype torch\.float32"):
        settling(samples, torch.zeros(2), torch.zeros(2, 1, 6))


@pytest.fixture(params=[False, True], ids=["plain", "with flips"])
def store(request, tmp_path):
    path = tmp_path / "latents.h5"
    write_random_store(path, labels=LABELS, shape=(2, 2, 4), flips=request.param)
    return LatentStore.open(path)


def measured(store, folder, **changed):
    settings = {"images": 5, "noises": 4, "seed": 3, "encoder_spec": {"kind": "identity"}, **changed}
    return measure_settling(store.path, folder / "settling.csv", folder / "settling.h5", **settings)


def test_the_stage_measures_drawn_and_followed_images(store, tmp_path):
    followed = tmp_path / "followed.csv"
    pd.DataFrame({"followed": [7, 7, 30, -1]}).to_csv(followed, index=False)
    table = measured(store, tmp_path, followed=followed)
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "settling.csv").astype({"class": str}), table, check_dtype=False
    )
    assert table.groupby("label")["drawn"].sum().to_dict() == {0: 5, 1: 5, 3: 1}
    assert {7, 30} <= set(table["row"])
    assert set(table.loc[~table["drawn"], "row"]) <= {7, 30}
    assert table["n"].groupby(table["label"]).first().tolist() == [len(store.class_data(label)) for label in (0, 1, 3)]
    row = table[table["row"] == 7].iloc[0]
    other = store.read([row["nearest"]], flipped=bool(row["nearest_mirrored"]))
    assert row["distance"] == pytest.approx(float((store.read([7]) - other).norm()), rel=1e-5)
    for name in ("settling.csv", "settling.h5"):
        assert provenance_path(tmp_path / name).is_file()


def test_an_image_s_numbers_depend_on_no_other_image_and_not_on_memory(store, tmp_path):
    few, every = measured(store, tmp_path), measured(store, tmp_path, images=50, budget_mb=0.01)
    again = every[every["row"].isin(few["row"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, few, rtol=1e-6)


def test_the_pictures_are_those_that_settle_first_and_last(store, tmp_path):
    table = measured(store, tmp_path, images=8).sort_values("time", kind="stable").reset_index(drop=True)
    with h5py.File(tmp_path / "settling.h5") as file:
        assert file["row"][()].tolist() == [*table["row"][:6], *table["row"][-6:]]
        assert file["images"].shape == file["nearest"].shape == (12, 2, 4, 2)
        pixels = 127.5 * store.read([table["row"][0]], normalised=False) + 128
        np.testing.assert_array_equal(file["images"][0], pixels.clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0))
    measured(store, tmp_path, encoder_spec=None)
    with h5py.File(tmp_path / "settling.h5") as file:
        assert list(file) == ["row"]
