"""The latent store: exact statistics, reading in any order, and files that must be refused."""

import multiprocessing
import pickle
import shutil

import h5py
import numpy as np
import pytest
import torch
from data_examples import ATTRIBUTES, random_dataset, write_random_store
from hypothesis import given
from hypothesis import strategies as st

from twostage.data.encode import encode, join
from twostage.data.encoders import Encoder
from twostage.data.latents import ChannelMoments, LatentStore, write_store


@pytest.fixture
def store(tmp_path):
    plain, flips = write_random_store(tmp_path / "latents.h5", flips=True)
    return LatentStore.open(tmp_path / "latents.h5"), plain, flips


# ---------------------------------------------------------------------------------------------------------- statistics


@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any),
    shift=st.floats(-1e4, 1e4),
    seed=st.integers(0, 2**32 - 1),
)
def test_streamed_moments_are_those_of_the_whole(sizes, shift, seed):
    values = np.random.default_rng(seed).normal(shift, 2.0, (sum(sizes), 3, 2, 2))
    moments = ChannelMoments(3)
    for part in np.split(values, np.cumsum(sizes)[:-1]):
        moments.add(part)
    np.testing.assert_allclose(moments.mean, values.mean((0, 2, 3)), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(moments.std, values.std((0, 2, 3)), rtol=1e-9)


def test_statistics_of_a_store_cover_samples_positions_and_flips(store):
    store, plain, flips = store
    everything = np.concatenate([plain, flips]).astype(np.float64)
    np.testing.assert_allclose(store.mean, everything.mean((0, 2, 3)), rtol=1e-14)
    np.testing.assert_allclose(store.std, everything.std((0, 2, 3)), rtol=1e-13)


def test_normalised_data_has_zero_mean_and_unit_variance(store):
    data = store[0].class_data().double()
    assert data.mean((0, 2, 3)).abs().max() < 1e-6
    assert (data.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-6


def test_denormalise_undoes_normalise(store):
    store, plain, _ = store
    latents = torch.from_numpy(plain)
    kept = latents.clone()
    torch.testing.assert_close(store.denormalise(store.normalise(latents)), latents)
    assert torch.equal(latents, kept)  # the argument is left alone
    assert store.normalise(latents.double()).dtype == torch.float64


# ------------------------------------------------------------------------------------------------------------- reading


def test_classes_are_slices_and_gaps_are_allowed_until_asked_for(store):
    store = store[0]
    assert len(store) == 6
    assert store.shape == (6, 2, 3, 4)
    assert store.num_classes == 4
    assert [store.class_slice(label) for label in (0, 1, 3)] == [slice(0, 3), slice(3, 5), slice(5, 6)]
    assert store.labels.dtype == np.int64
    with pytest.raises(ValueError, match=r"class 2 has no samples in .*latents\.h5"):
        store.class_slice(2)
    for label in (-1, 4):
        with pytest.raises(ValueError, match=rf"label is {label}; expected 0 to 3"):
            store.class_slice(label)


@pytest.mark.parametrize(
    "index", [slice(None), slice(1, 4), slice(4, None, -2), [5, 0, 3], [2, 2, 1], np.array([4]), 3, []]
)
@pytest.mark.parametrize("flipped", [False, True])
def test_reading_follows_the_index(store, index, flipped):
    store, plain, flips = store
    expected = (flips if flipped else plain)[
        np.atleast_1d(np.arange(6)[index if isinstance(index, slice) else np.int64(index)])
    ]
    assert np.array_equal(store.read(index, normalised=False, flipped=flipped), expected)
    assert torch.equal(store.read(index, flipped=flipped), store.normalise(torch.from_numpy(expected.copy())))


def test_each_row_may_be_plain_or_mirrored(store):
    store, plain, flips = store
    read = store.read([4, 1, 1, 0], normalised=False, flipped=np.array([True, False, True, False]))
    assert np.array_equal(read, np.stack([flips[4], plain[1], flips[1], plain[0]]))


@pytest.mark.parametrize("index", [[6], [-1], [0, 100]])
def test_rows_outside_the_store_are_refused(store, index):
    with pytest.raises(IndexError, match="expected 0 to 5"):
        store[0].read(index)


@pytest.mark.parametrize(
    "index", [[0.0, 1.0], 1.5, [True, False], [[0, 1]], ["0"], [True] * 7, slice(0.5, 2), None, torch.tensor([0.0])]
)
def test_an_index_of_another_kind_is_refused(store, index):
    with pytest.raises(ValueError, match="expected whole numbers"):
        store[0].read(index)


def test_a_mask_of_all_rows_chooses_among_them(store):
    store, plain, flips = store
    mask = np.array([False, True, True, False, False, True])
    assert np.array_equal(store.read(mask, normalised=False), plain[mask])
    assert np.array_equal(store.read(torch.from_numpy(mask), normalised=False, flipped=True), flips[mask])
    assert len(store.read(np.zeros(6, bool))) == 0


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("index", [[], slice(0, 0), np.array([]), torch.empty(0)])
@pytest.mark.parametrize("flipped", [False, []])
def test_an_empty_selection_is_an_empty_tensor(tmp_path, flips, index, flipped):
    write_random_store(tmp_path / "x.h5", flips=flips)
    found = LatentStore.open(tmp_path / "x.h5").read(index, flipped=flipped)
    assert found.shape == (0, 2, 3, 4)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("flipped", [0, 1.0, [True], [1, 0], [0.0, 1.0], "yes", [[True, False]]])
def test_flips_of_another_kind_are_refused(store, flipped):
    with pytest.raises(ValueError, match=r"flipped is .*; expected True, False, or a boolean for each of the 2 rows"):
        store[0].read([0, 1], flipped=flipped)


@pytest.mark.parametrize("label", [1.0, True, "1", None, [0], np.bool_(True)])
def test_labels_of_another_kind_are_refused(store, label):
    with pytest.raises(ValueError, match=r"label is .*; expected 0 to 3"):
        store[0].class_slice(label)


@pytest.mark.parametrize("label", [np.int64(1), torch.tensor(1)])
def test_labels_may_be_numpys_and_torchs(store, label):
    assert store[0].class_slice(label) == slice(3, 5)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, None])
def test_batches_of_no_size_are_refused_at_once(store, batch_size):
    with pytest.raises(ValueError, match=r"batch_size is .*; expected a whole number, at least 1"):
        store[0].batches(batch_size)


def test_arrays_are_normalised_as_tensors_are(store):
    store, plain, _ = store
    assert torch.equal(store.normalise(plain), store.normalise(torch.from_numpy(plain)))
    torch.testing.assert_close(store.denormalise(store.normalise(plain).numpy()), torch.from_numpy(plain))


@pytest.mark.parametrize("label", [None, 0, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_batches_are_the_class_data_in_order(store, label, batch_size):
    store = store[0]
    batches = list(store.batches(batch_size, label))
    assert max(map(len, batches)) <= batch_size
    assert torch.equal(torch.cat(batches), store.class_data(label))


def test_what_is_read_may_go_into_memory_that_is_there(store):
    opened = store[0]
    filled = torch.zeros(5, *opened.shape[1:])
    assert torch.equal(
        opened.read([4, 1], flipped=[True, False], out=filled), opened.read([4, 1], flipped=[True, False])
    )
    assert not filled[2:].any()


def test_flips_follow_the_plain_samples_of_a_class(store):
    store, plain, flips = store
    expected = np.concatenate([plain[3:5], flips[3:5]])
    assert torch.equal(store.class_data(1), store.normalise(torch.from_numpy(expected)))


def test_flips_that_are_not_there_cannot_be_read(tmp_path):
    write_random_store(tmp_path / "plain.h5")
    store = LatentStore.open(tmp_path / "plain.h5")
    assert not store.has_flips
    assert store.class_data().shape == store.shape
    with pytest.raises(ValueError, match=r"plain\.h5 holds no latents of mirrored images"):
        store.read([0], flipped=True)


def _sum_of(store):
    return float(store.read([5, 0, 2]).sum())


def test_a_store_in_use_works_in_forked_and_in_spawned_workers(store):
    store = store[0]
    expected = _sum_of(store)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_sum_of, [store] * 4) == [expected] * 4
    copy = pickle.loads(pickle.dumps(store))
    assert _sum_of(copy) == expected
    assert copy.fingerprint == store.fingerprint


def test_the_file_is_plain_hdf5_for_anyone_else(store):
    store, plain, flips = store
    with h5py.File(store.path) as file:
        assert np.array_equal(file["latents"][:], plain)
        assert np.array_equal(file["latents_flip"][:], flips)
        assert list(file["class_offsets"]) == [0, 3, 5, 5, 6]


# ------------------------------------------------------------------------------------------------- writing and refusing


def test_fewer_rows_than_reserved_leave_a_store_of_those_rows(tmp_path):
    latents = np.random.default_rng(0).standard_normal((5, 1, 2, 2)).astype(np.float32)
    with write_store(tmp_path / "short.h5", 9, (1, 2, 2)) as writer:
        writer.write(0, latents)
        writer.finish([0, 0, 1, 1, 1], range(5), 2, ATTRIBUTES)
    store = LatentStore.open(tmp_path / "short.h5")
    assert np.array_equal(store.read(slice(None), normalised=False), latents)
    assert [path.name for path in tmp_path.iterdir()] == ["short.h5"]


def test_latents_that_are_not_finite_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="not finite"), write_store(tmp_path / "nan.h5", 1, (1, 1, 1)) as writer:
        writer.write(0, np.full((1, 1, 1, 1), np.nan, np.float32))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("labels", "classes"), [([1, 0], 2), ([0, 2], 2), ([-1, 0], 2), ([0], 2)])
def test_labels_that_are_unsorted_outside_or_too_few_are_refused(tmp_path, labels, classes):
    with pytest.raises(ValueError, match="labels"):
        _write_two(tmp_path / "bad.h5", labels, classes)
    assert not list(tmp_path.iterdir())


def _write_two(path, labels, classes):
    with write_store(path, 2, (1, 1, 1)) as writer:
        writer.write(0, np.ones((2, 1, 1, 1)))
        writer.finish(labels, range(2), classes, ATTRIBUTES)


def test_a_constant_channel_cannot_be_normalised(tmp_path):
    latents = np.random.default_rng(0).standard_normal((3, 2, 2, 2))
    latents[:, 1] = 7.0
    with write_store(tmp_path / "flat.h5", 3, (2, 2, 2)) as writer:
        writer.write(0, latents)
        writer.finish([0, 0, 0], range(3), 1, ATTRIBUTES)
    with pytest.raises(ValueError, match=r"flat\.h5: latent channel 1 is constant"):
        LatentStore.open(tmp_path / "flat.h5")


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def _set_attribute(name, value):
    def change(path):
        with h5py.File(path, "a") as file:
            file.attrs[name] = value

    return change


def _drop(name):
    def change(path):
        with h5py.File(path, "a") as file:
            del file[name]

    return change


def _relabel(path):
    with h5py.File(path, "a") as file:
        file["labels"][0] = 3


def _link(name, link):
    def change(path):
        shutil.copy(path, path.with_name("other.h5"))
        with h5py.File(path, "a") as file:
            del file[name]
            file[name] = link

    return change


def _outside(name):
    """Keep a data set's bytes in a file of their own."""

    def change(path):
        with h5py.File(path, "a") as file:
            values = file[name][:]
            del file[name]
            raw = path.with_name("raw")
            raw.write_bytes(values.tobytes())
            file.create_dataset(name, values.shape, values.dtype, external=[(str(raw), 0, values.nbytes)])

    return change


def _virtual(name):
    def change(path):
        shutil.copy(path, path.with_name("other.h5"))
        with h5py.File(path, "a") as file:
            layout = h5py.VirtualLayout(file[name].shape, file[name].dtype)
            layout[:] = h5py.VirtualSource("other.h5", name, file[name].shape)
            del file[name]
            file.create_virtual_dataset(name, layout)

    return change


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.unlink(), "no such file"),
        (_link("labels", h5py.ExternalLink("other.h5", "/labels")), "/labels is a link to another place"),
        (_link("latents", h5py.ExternalLink("other.h5", "/latents")), "/latents is a link to another place"),
        (_link("source", h5py.SoftLink("/labels")), "/source is a link to another place"),
        (_outside("labels"), "/labels is kept in another file"),
        (_outside("latents"), "/latents is kept in another file"),
        (_virtual("labels"), "/labels is kept in another file"),
        (_set_attribute("normalise_std", [1.0]), r"normalise_std of shape \(1,\); expected one for each of 2"),
        (_truncate, "not a whole HDF5 file"),
        (lambda path: path.write_text("not HDF5"), "not a whole HDF5 file"),
        (lambda path: path.write_bytes(b""), "not a whole HDF5 file"),
        (_set_attribute("schema", "another"), "no latent store"),
        (_set_attribute("schema_version", 99), "store version 99; expected 1"),
        (_drop("labels"), "not a latent store"),
        (_drop("latents"), "not a latent store"),
        (_relabel, "disagree"),
    ],
)
def test_damaged_and_foreign_files_are_refused_with_path_and_reason(tmp_path, damage, why):
    path = tmp_path / "latents.h5"
    write_random_store(path)
    damage(path)
    with pytest.raises(ValueError, match=rf"latents\.h5: .*{why}"):
        LatentStore.open(path)


# -------------------------------------------------------------------------------------------------------------- shards


@pytest.fixture
def joined(tmp_path):
    """A store joined from three shards in a subfolder."""
    dataset = random_dataset()
    shards = [tmp_path / "run" / "shards" / f"{number}.h5" for number in range(3)]
    for number, path in enumerate(shards):
        encode(dataset, Encoder(), path, shard=number, shards=3)
    join(shards, tmp_path / "run" / "latents.h5")
    return tmp_path / "run" / "latents.h5", shards


def test_a_joined_store_can_be_moved_with_its_shards(joined, tmp_path, monkeypatch):
    path, _ = joined
    before = LatentStore.open(path).class_data()
    shutil.move(path.parent, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert torch.equal(LatentStore.open("latents.h5").class_data(), before)


def _map(mapping):
    """Put the joined latents together in another way: the middle shard's rows by ``mapping``."""

    def change(path, shards):
        with h5py.File(path, "a") as file:
            layout, start = h5py.VirtualLayout(file["latents"].shape, "<f4"), 0
            for number, shard in enumerate(shards):
                with h5py.File(shard) as part:
                    size = part["latents"].shape
                rows = slice(start, start + size[0])
                source = h5py.VirtualSource(f"shards/{shard.name}", "latents", size)
                if number == 1:
                    mapping(layout, source, rows, shard, size)
                else:
                    layout[rows] = source
                start += size[0]
            del file["latents"]
            file.create_virtual_dataset("latents", layout)

    return change


def _channel_alone(layout, source, rows, shard, size):
    layout[rows, 0:1] = source[:, 0:1]


def _every_other(layout, source, rows, shard, size):
    for k in range(rows.start, rows.stop, 2):
        layout[k : k + 1] = source[0:1]


def _absolute(layout, source, rows, shard, size):
    layout[rows] = h5py.VirtualSource(str(shard), "latents", size)


@pytest.mark.parametrize("mapping", [_channel_alone, _every_other, _absolute])
def test_latents_put_together_of_parts_are_refused(joined, mapping):
    _map(mapping)(*joined)
    with pytest.raises(ValueError, match=r"/latents consists of parts of .*1\.h5; expected whole shards"):
        LatentStore.open(joined[0])


def test_a_shard_that_is_kept_elsewhere_is_refused(joined):
    _outside("latents")(joined[1][1])
    with pytest.raises(ValueError, match=r"1\.h5: /latents is kept in another file"):
        LatentStore.open(joined[0])


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.unlink(), r"1\.h5: no such file; it is a shard of .*latents\.h5"),
        (_truncate, r"1\.h5: a damaged shard of .*latents\.h5"),
        (_set_attribute("encoder_sha256", "f" * 64), r"1\.h5: not the shard that .*latents\.h5 was joined from"),
        (lambda path: shutil.copy(path.with_name("two.h5"), path), r"1\.h5: not the shard that"),
    ],
)
def test_missing_and_changed_shards_are_named(joined, damage, why):
    path, shards = joined
    encode(random_dataset(), Encoder(), shards[1].with_name("two.h5"), shard=0, shards=2)
    damage(shards[1])
    with pytest.raises(ValueError, match=why):
        LatentStore.open(path)
