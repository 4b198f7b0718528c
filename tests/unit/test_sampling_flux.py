"""Flux study on a tiny random pipeline of the true classes."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from twostage.flow import time_grid
from twostage.sampling.flux import load_flux, study_flux

transformers = pytest.importorskip("transformers")
SIDE, STEPS = 16, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A FluxPipeline of a few thousand random weights, saved as diffusers saves one."""
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    torch.manual_seed(0)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    clip_vocab = {word: number for number, word in enumerate(["<|startoftext|>", "<|endoftext|>", *letters])}
    clip_vocab |= {f"{letter}</w>": len(clip_vocab) + number for number, letter in enumerate(letters)}
    t5_vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -1.0), ("▁", -2.0), *((letter, -3.0) for letter in letters)]
    clip = transformers.CLIPTextConfig(
        vocab_size=len(clip_vocab),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        projection_dim=16,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    t5 = transformers.T5Config(
        vocab_size=len(t5_vocab) + 100, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            layers_per_block=1,
            latent_channels=2,
            norm_num_groups=4,
            scaling_factor=1.5,
            shift_factor=0.1,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=transformers.CLIPTextModel(clip),
        tokenizer=transformers.CLIPTokenizer(vocab=clip_vocab, merges=[], model_max_length=77),
        text_encoder_2=transformers.T5EncoderModel(t5),
        tokenizer_2=transformers.T5TokenizerFast(vocab=t5_vocab),
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=8,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            guidance_embeds=True,
            axes_dims_rope=(2, 2, 4),
        ),
    )
    path = tmp_path_factory.mktemp("flux") / "pipeline"
    pipeline.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def pipeline(folder):
    loaded = load_flux(folder, precision="float32")
    loaded.set_progress_bar_config(disable=True)
    return loaded


def study(pipeline, path, **options):
    arguments = {"steps": STEPS, "height": SIDE, "width": SIDE, "shifts": (1, 0.3), "times": (0, 0.3, 1), **options}
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
