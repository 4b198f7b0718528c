"""Latents staged to local disk: the same numbers, one copy for all who ask, nothing left behind."""

import shutil

import torch
from training_examples import write_latents

from twostage.data.latents import LatentStore
from twostage.data.staging import staged


def test_a_staged_store_reads_the_same_and_leaves_nothing(tmp_path):
    store = LatentStore.open(write_latents(tmp_path / "latents.h5", flips=True))
    scratch = tmp_path / "scratch"
    with staged(store, scratch) as first, staged(store, scratch) as second:
        (copies,) = scratch.iterdir()
        assert sorted(path.name for path in copies.iterdir()) == ["0-latents.h5", "lock"]
        (tmp_path / "latents.h5").rename(tmp_path / "gone.h5")
        for local in (first, second):
            assert (local.fingerprint, local.path) == (store.fingerprint, store.path)
            assert torch.equal(local.class_data(), LatentStore.open(tmp_path / "gone.h5").class_data())
    assert list(scratch.iterdir()) == []


def test_latents_that_do_not_fit_are_read_in_place(tmp_path, monkeypatch, capsys):
    store = LatentStore.open(write_latents(tmp_path / "latents.h5"))
    full = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with staged(store, tmp_path / "scratch") as same:
        assert same is store
    assert "10 free; reading" in capsys.readouterr().err
