"""Batches: permutations, functions of (seed, step) alone, the same however the store is read."""

import os

import h5py
import numpy as np
import pytest
import torch
from training_examples import write_latents

from twostage.data.latents import LatentStore
from twostage.read_ahead import read_ahead
from twostage.training.batches import Batches, EpochOrder, pieces, takers

ROW_BYTES = 4 * 2 * 4 * 4


def resident(store, batch_size=8, seed=0, process=0, processes=1):
    return Batches(store, batch_size, seed, 64, process, processes)


def windowed(store, batch_size=8, seed=0, process=0, processes=1, window_rows=8):
    """Batches that may hold two windows of 8 rows in memory, in blocks of 2 rows."""
    batches = Batches(store, batch_size, seed, 0, process, processes, block_bytes=2 * ROW_BYTES)
    batches.order.window_rows = window_rows
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
@pytest.mark.parametrize("kind", [resident, windowed])
def test_batches_hold_the_rows_they_name(tmp_path, flips, kind):
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", flips=flips))
    batches = kind(store)
    everything = store.class_data()
    seen = []
    for step in range(12):
        rows = batches.indices(step)
        latents, labels, places, of_these = batches.load(step)
        assert np.array_equal(of_these, rows)
        assert places.tolist() == list(range(8))
        assert torch.equal(latents, everything[torch.from_numpy(rows)])
        assert np.array_equal(labels, store.labels[rows % len(store)])
        seen.extend(rows)
    epoch = len(everything)
    assert sorted(seen[:epoch]) == list(range(epoch))
    assert sorted(seen[epoch : 2 * epoch]) == list(range(epoch))
    resumed = kind(store)
    assert torch.equal(resumed.load(7)[0], everything[torch.from_numpy(batches.indices(7))])


@pytest.mark.parametrize("kind", [resident, windowed])
@pytest.mark.parametrize("processes", [2, 8])
def test_shares_of_the_processes_make_up_the_batch(tmp_path, kind, processes):
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", flips=True))
    whole = kind(store, 16, 1)
    shares = [kind(store, 16, 1, process, processes) for process in range(processes)]
    for step in range(8):
        latents, labels, *_ = whole.load(step)
        found, named, taken = torch.full_like(latents, torch.nan), torch.full_like(labels, -1), []
        for share in shares:
            part, part_labels, places, _ = share.load(step)
            assert len(part) == len(part_labels) == 16 // processes
            found[places], named[places] = part, part_labels
            taken += places.tolist()
        assert sorted(taken) == list(range(16))
        assert torch.equal(found, latents)
        assert torch.equal(named, labels)


def test_rows_go_to_the_process_that_is_at_home_as_far_as_its_share_goes():
    random = np.random.default_rng(0)
    for processes, size in ((1, 5), (2, 1), (3, 8), (8, 16)):
        homes = random.integers(0, processes, processes * size)
        taken = takers(homes, processes)
        assert (np.bincount(taken, minlength=processes) == size).all()
        kept = np.bincount(homes[taken == homes], minlength=processes)
        assert np.array_equal(kept, np.minimum(np.bincount(homes, minlength=processes), size))


@pytest.mark.parametrize("window", [None, 8, 12, 40])
def test_homes_are_equal_stretches_of_the_file(window):
    order = EpochOrder(40, 0, block_rows=2, window_rows=window)
    rows, homes = order.rows(0), order.homes(0, 4)
    for start in range(0, 40, window or 40):
        part, home = rows[start : start + (window or 40)], homes[start : start + (window or 40)]
        assert (np.diff(home[np.argsort(part)]) >= 0).all()
        assert set(np.bincount(home, minlength=4)) <= {len(part) // 4, -(-len(part) // 4)}


@pytest.mark.parametrize(("processes", "batch_size"), [(1, 8), (2, 2), (2, 32), (8, 8), (8, 64)])
def test_a_process_reads_little_more_than_its_share(tmp_path, monkeypatch, processes, batch_size):
    """Rows read in vain are at most a quarter of those used; a process that reads whole windows reads 2 or 8 times."""
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", counts=(300, 212), flips=True))
    read, count = os.preadv, [0]

    def counted(*arguments):
        found = read(*arguments)
        count[0] += found
        return found

    monkeypatch.setattr(os, "preadv", counted)
    batches = windowed(store, batch_size, 0, process=processes - 1, processes=processes, window_rows=128)
    steps, held = 1024 // batch_size, 0
    for step in range(steps):
        batches.load(step)
        held = max(held, sum(len(window.positions) for window in batches._rows.windows.values()))
    batches.close()
    used, ahead = 1024 / processes, len(batches.positions(1024, 1024 + 128))
    assert count[0] / ROW_BYTES <= 1.25 * (used + ahead)
    assert held <= 2 * 128 / processes + batch_size


def test_reads_cover_what_is_asked_for_and_little_else():
    assert pieces(np.array([], dtype=np.int64), 10, 4, 8) == []
    assert pieces(np.array([3, 1, 2, 0]), 10, 4, 8) == [(0, 4)]
    assert pieces(np.array([0, 1, 2, 3, 5, 9]), 20, 4, 8) == [(0, 6), (9, 10)]  # one in vain of five, not four of six
    assert pieces(np.array([0, 1, 2, 3, 5]), 20, 0, 8) == [(0, 4), (5, 6)]
    assert pieces(np.arange(8, 12), 10, 4, 8) == [(8, 10), (10, 12)]  # plain and mirrored rows lie apart
    assert pieces(np.arange(5), 10, 4, 2) == [(0, 2), (2, 4), (4, 5)]


def test_latents_that_are_no_numbers_are_told_by_file_and_row(tmp_path):
    path = write_latents(tmp_path / "latents.h5", flips=True)
    with h5py.File(path, "r+") as file:
        file["latents_flip"][4, 1, 0, 0] = np.nan
    batches, store = windowed(LatentStore.open(path)), LatentStore.open(path)
    bad = next(step for step in range(6) if len(store) + 4 in batches.indices(step))
    with pytest.raises(ValueError, match=r"latents.h5: /latents_flip.*in row 4"):
        batches.load(bad)
    with pytest.raises(ValueError, match=r"latents.h5: /latents_flip.*in row 4"):
        resident(store)


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
