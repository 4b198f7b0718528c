"""Flux study on a tiny random pipeline of the true classes."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from tiny_flux import save_tiny_flux

from twostage.flow import time_grid
from twostage.sampling.flux import load_flux, study_flux

pytest.importorskip("transformers")
SIDE, STEPS = 16, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("flux") / "pipeline"
    save_tiny_flux(path)
    return path


@pytest.fixture(scope="module")
def pipeline(folder):
    return load_flux(folder, precision="float32")


def study(pipeline, path, **options):
    size = {"steps": STEPS, "guidance": 3.5, "height": SIDE, "width": SIDE}
    arguments = {**size, "shifts": (1, 0.3), "times": (0, 0.3, 1), **options}
    study_flux(pipeline, ["a cat", "two dogs"], path / "flux.h5", path / "flux.csv", **arguments)
    with h5py.File(path / "flux.h5") as file:
        content = {name: file[name][:] for name in file}
    return content, pd.read_csv(path / "flux.csv")


def test_predictions_and_images_are_those_of_our_euler_steps(pipeline, tmp_path):
    content, table = study(pipeline, tmp_path)
    assert content["images"].shape == (2, 2, SIDE, SIDE, 3)
    assert content["predictions"].shape == (2, 3, SIDE, SIDE, 3)
    assert content["times"].tolist() == pytest.approx([0, 1 / 3, 1])
    assert np.array_equal(content["predictions"][:, -1], content["images"][:, 0])
    assert not np.array_equal(content["images"][0], content["images"][1])
    for shift in (1, 0.3):
        starts = table[table["shift"] == shift]["t"]
        np.testing.assert_allclose(starts, time_grid(STEPS, shift=shift)[:-1])
    assert (table["norm"] > 0).all()
    assert (table["prompts"] == 2).all()
    assert (table["norm_sem"] > 0).all()


def test_predictions_close_in_on_the_end(pipeline, tmp_path):
    _, table = study(pipeline, tmp_path)
    for _, rows in table.groupby("shift"):
        last = rows.iloc[-1]
        # The last step is the prediction itself.
        assert last["to_end"] == pytest.approx(0, abs=1e-5)
        assert (rows["to_end"].iloc[:-1] > 1e-4).all()
        assert (rows["layout_to_end"] <= rows["to_end"] + 1e-6).all()


def test_predictions_are_those_of_uniform_steps_whatever_the_order_of_shifts(pipeline, tmp_path):
    content, _ = study(pipeline, tmp_path, shifts=(0.3, 1))
    assert np.array_equal(content["predictions"][:, -1], content["images"][:, 1])


def test_a_single_step_arrives_at_its_prediction(pipeline, tmp_path):
    content, _ = study(pipeline, tmp_path, steps=1, times=(0, 1))
    difference = content["predictions"][:, 0].astype(int) - content["predictions"][:, 1]
    assert np.abs(difference).max() <= 1


def test_the_pipelines_own_run_gives_the_same_image(pipeline, tmp_path):
    from diffusers import FlowMatchEulerDiscreteScheduler

    from twostage.flow import sample_noise

    content, _ = study(pipeline, tmp_path, shifts=(0.5,), times=(1,))
    # diffusers' own shift acts on sigma = 1 - t, where ours is its inverse.
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler(shift=1 / 0.5)
    noise = pipeline._pack_latents(sample_noise(0, [0], (2, 8, 8)), 1, 2, 8, 8)
    sigmas = np.linspace(1, 1 / STEPS, STEPS)
    own = pipeline("a cat", height=SIDE, width=SIDE, num_inference_steps=STEPS, sigmas=sigmas, latents=noise)
    difference = np.asarray(own.images[0]).astype(int) - content["images"][0, 0]
    assert np.abs(difference).max() <= 1


def test_bad_requests_are_refused(pipeline, tmp_path):
    with pytest.raises(ValueError, match="a hub id needs `revision`"):
        load_flux("black-forest-labs/FLUX.1-dev")
    with pytest.raises(ValueError, match="height is 10; expected a multiple of 4"):
        study(pipeline, tmp_path, height=10)


def test_a_folder_without_a_whole_pipeline_is_refused_by_name(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: not a whole FluxPipeline .*model_index.json"):
        load_flux(tmp_path / "empty")
    shutil.copytree(folder, tmp_path / "part")
    (tmp_path / "part/transformer/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"part: not a whole FluxPipeline"):
        load_flux(tmp_path / "part")
