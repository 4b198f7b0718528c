"""Batches: permutations, functions of (seed, step) alone, the same however the store is read."""

import numpy as np
import pytest
import torch
from training_examples import write_latents

from twostage.data.latents import LatentStore
from twostage.training.batches import Batches, EpochOrder, read_ahead

ROW_BYTES = 4 * 2 * 4 * 4


def windowed(store, batch_size=8, seed=0, share=None):
    """Batches that may hold two windows of 8 rows in memory, in blocks of 2 rows."""
    batches = Batches(store, batch_size, seed, memory_mb=0, share=share, block_bytes=2 * ROW_BYTES)
    batches.order.window_rows = 8
    return batches


@pytest.mark.parametrize("window", [None, 4, 8, 40])
@pytest.mark.parametrize("count", [1, 21, 32])
def test_epoch_visits_every_row_once_and_depends_on_seed_and_epoch(count, window):
    order = EpochOrder(count, 3, block_rows=2, window_rows=window)
    assert sorted(order.rows(5)) == list(range(count))
    again = EpochOrder(count, 3, block_rows=2, window_rows=window)
    again.rows(4)
    assert np.array_equal(order.rows(5), again.rows(5))
    if count > 1:
        assert not np.array_equal(order.rows(5), order.rows(6))
        assert not np.array_equal(order.rows(5), EpochOrder(count, 4, 2, window).rows(5))


def test_windows_are_made_of_whole_blocks():
    rows = EpochOrder(32, 0, block_rows=4, window_rows=8).rows(0)
    for start in range(0, 32, 8):
        blocks, counts = np.unique(rows[start : start + 8] // 4, return_counts=True)
        assert len(blocks) == 2
        assert (counts == 4).all()


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("kind", [lambda store: Batches(store, 8, 0, 64), windowed])
def test_batches_hold_the_rows_they_name(tmp_path, flips, kind):
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", flips=flips))
    batches = kind(store)
    everything = store.class_data()
    seen = []
    for step in range(12):
        rows = batches.indices(step)
        latents, labels = batches.load(step)
        assert torch.equal(latents, everything[torch.from_numpy(rows)])
        assert np.array_equal(labels, store.labels[rows % len(store)])
        seen.extend(rows)
    epoch = len(everything)
    assert sorted(seen[:epoch]) == list(range(epoch))
    assert sorted(seen[epoch : 2 * epoch]) == list(range(epoch))
    resumed = kind(store)
    assert torch.equal(resumed.load(7)[0], everything[torch.from_numpy(batches.indices(7))])


def test_shares_of_the_processes_make_up_the_batch(tmp_path):
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", flips=True))
    for kind in (lambda share: Batches(store, 8, 1, 64, share), lambda share: windowed(store, 8, 1, share)):
        whole, first, second = kind(None), kind(slice(0, 4)), kind(slice(4, 8))
        for step in range(8):
            parts = torch.cat([first.load(step)[0], second.load(step)[0]])
            assert torch.equal(whole.load(step)[0], parts)


def test_windows_hold_no_more_than_two_at_a_time(tmp_path):
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", counts=(40, 40)))
    batches = windowed(store)
    for step in range(20):
        batches.load(step)
        assert len(batches._rows.windows) <= 2


def test_reading_ahead_keeps_the_order_and_passes_errors_on():
    assert list(read_ahead(lambda item: item * item, range(20))) == [item * item for item in range(20)]

    def fail(item):
        if item == 3:
            raise OSError("the disk is gone")
        return item

    found = []
    with pytest.raises(OSError, match="the disk is gone"):
        found.extend(read_ahead(fail, range(10)))
    assert found == [0, 1, 2]
