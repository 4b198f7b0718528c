"""Encoders: pixels there and back, and published weights in every layout they come in."""

import hashlib
import json

import numpy as np
import pytest
import torch
from data_examples import random_dataset
from ldm import LDM, SD_WIDTHS, VA_WIDTHS, ldm_checkpoint, make_ldm
from safetensors.torch import save_file
from taesd import make_taesd

from twostage.data.encode import encode
from twostage.data.encoders import Encoder, load_encoder
from twostage.data.latents import LatentStore
from twostage.data.published import kl_arguments, latent_of, to_diffusers
from twostage.data.reconstruction import psnr, reconstruction_quality, squared_error
from twostage.data.weights import load_network, save_network


@pytest.fixture(scope="module")
def va_vae(tmp_path_factory):
    """(path of an LDM checkpoint, the hand-made model)."""
    path, model = tmp_path_factory.mktemp("weights") / "vavae.pt", make_ldm("va-vae")
    torch.save(ldm_checkpoint(model), path)
    return path, model


@pytest.mark.parametrize("kind", ["va-vae", "sd-vae"])
def test_an_ldm_checkpoint_computes_the_same_through_diffusers(kind):
    import diffusers

    model = make_ldm(kind).double()
    state = to_diffusers(model.state_dict())
    network = diffusers.AutoencoderKL(**kl_arguments(state)).double().eval()
    network.load_state_dict(state)
    size = 2 * 2 ** (len(VA_WIDTHS if kind == "va-vae" else SD_WIDTHS) - 1)
    x = torch.randn(2, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        moments = model.quant_conv(model.encoder(x))
        mean = moments.chunk(2, dim=1)[0]
        torch.testing.assert_close(network.encode(x).latent_dist.mean, mean, rtol=1e-10, atol=1e-10)
        decoded = model.decoder(model.post_quant_conv(mean))
        torch.testing.assert_close(network.decode(mean).sample, decoded, rtol=1e-10, atol=1e-10)


def test_va_vae_from_its_checkpoint(va_vae):
    path, model = va_vae
    encoder = load_encoder({"kind": "va-vae", "weights": str(path)})
    assert encoder.kind == "va-vae"
    assert encoder.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert encoder.latent_shape((256, 256, 3)) == (32, 16, 16)
    images = torch.from_numpy(random_dataset(2, shape=(32, 48, 3)).pixels)
    latents = encoder.encode(images)
    with torch.no_grad():
        x = images.permute(0, 3, 1, 2).float() / 127.5 - 1
        expected = model.quant_conv(model.encoder(x))[:, :32]
        shown = (127.5 * model.decoder(model.post_quant_conv(expected)) + 128).clamp(0, 255)
    torch.testing.assert_close(latents, expected, rtol=1e-3, atol=1e-3)
    assert latents.shape == (2, 32, 2, 3)
    decoded = encoder.decode(expected)
    assert decoded.dtype == torch.uint8
    assert decoded.shape == images.shape
    assert (decoded.int() - shown.permute(0, 2, 3, 1).int()).abs().max() <= 1


def test_a_sample_of_the_posterior_is_mean_plus_std_times_noise(va_vae):
    path, model = va_vae
    encoder = load_encoder({"kind": "va-vae", "posterior": "sample"}, path)
    images = torch.from_numpy(random_dataset(2, shape=(32, 32, 3)).pixels)
    noise = torch.randn(2, 32, 2, 2)
    with torch.no_grad():
        moments = model.quant_conv(model.encoder(images.permute(0, 3, 1, 2).float() / 127.5 - 1))
    mean, log_variance = moments.chunk(2, dim=1)
    expected = mean + (0.5 * log_variance.clamp(-30, 20)).exp() * noise
    torch.testing.assert_close(encoder.encode(images, noise), expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="needs noise"):
        encoder.encode(images)


def _older_names(state):
    """diffusers' names of the attention layers before 0.15."""
    for old, new in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        state = {key.replace(f".{old}.", f".{new}."): value for key, value in state.items()}
    return state


@pytest.mark.parametrize("layout", ["folder", "older", "ldm"])
def test_sd_vae_in_every_layout(tmp_path, layout):
    model = make_ldm("sd-vae")
    state = to_diffusers(model.state_dict())
    path = tmp_path / "sd.safetensors"
    if layout == "folder":
        path = tmp_path / "sd"
        path.mkdir()
        save_file(state, path / "diffusion_pytorch_model.safetensors")
    elif layout == "older":
        save_file(_older_names(state), path)
    else:
        save_file({f"first_stage_model.{key}": value for key, value in model.state_dict().items()}, path)
    encoder = load_encoder({"kind": "sd-vae"}, path)
    assert encoder.latent_shape((32, 32, 3)) == (4, 4, 4)
    loaded = encoder.network.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


def test_a_tiny_autoencoder(tmp_path):
    import diffusers

    torch.manual_seed(0)
    widths = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
    network = diffusers.AutoencoderTiny(latent_channels=5, **widths).eval()
    save_file(network.state_dict(), tmp_path / "tiny.safetensors")
    encoder = load_encoder({"kind": "tiny"}, tmp_path / "tiny.safetensors")
    images = torch.from_numpy(random_dataset(3, shape=(16, 24, 3)).pixels)
    latents = encoder.encode(images)
    with torch.no_grad():
        expected = network.encode(images.permute(0, 3, 1, 2).float() / 127.5 - 1).latents
    assert torch.equal(latents, expected)
    assert latents.shape == (3, *encoder.latent_shape((16, 24, 3))) == (3, 5, 2, 3)
    assert encoder.decode(latents).shape == images.shape
    with pytest.raises(ValueError, match="tiny autoencoder has no distribution"):
        load_encoder({"kind": "tiny", "posterior": "sample"}, tmp_path / "tiny.safetensors")


FLUX = {"widths": SD_WIDTHS, "latent": 16, "attention": False}
STRUCTURES = {  # name: (kind, sizes, with quant_conv and post_quant_conv, how the file holds the weights)
    "VA-VAE f16d16": ("va-vae", {"widths": VA_WIDTHS, "latent": 16, "attention": True}, True, "state_dict"),
    "VA-VAE f16d64": ("va-vae", {"widths": VA_WIDTHS, "latent": 64, "attention": True}, True, "state_dict"),
    "MAR's KL-16": ("autoencoder-kl", {"widths": VA_WIDTHS, "latent": 16, "attention": True}, True, "model"),
    "Flux": ("autoencoder-kl", FLUX, False, "bare"),
    "SD3": ("autoencoder-kl", FLUX, False, "diffusers"),
    "inside a larger checkpoint": ("autoencoder-kl", FLUX, False, "larger"),
    "another reduction": ("autoencoder-kl", {"widths": (32, 64, 64), "latent": 3, "attention": False}, True, "bare"),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_any_kl_autoencoder_whose_structure_the_file_tells(tmp_path, name):
    kind, sizes, quantised, holds = STRUCTURES[name]
    torch.manual_seed(0)
    model = LDM(**sizes).eval()
    state = {key: value for key, value in model.state_dict().items() if quantised or "quant_conv" not in key}
    larger = {f"first_stage_model.{key}": value for key, value in state.items()} | {"model.other": torch.ones(2)}
    content = {"bare": state, "diffusers": to_diffusers(state), "larger": {"state_dict": larger}}
    torch.save(content.get(holds, {holds: state}), tmp_path / "w.pt")
    encoder = load_encoder({"kind": kind}, tmp_path / "w.pt")
    factor, latent = 2 ** (len(sizes["widths"]) - 1), sizes["latent"]
    assert encoder.latent_shape((64, 64, 3)) == (latent, 64 // factor, 64 // factor)
    assert latent_of(kind, [tmp_path / "w.pt"]) == (latent, factor)
    images = torch.from_numpy(random_dataset(2, shape=(32, 32, 3)).pixels)
    with torch.no_grad():
        moments = model.encoder(images.permute(0, 3, 1, 2).float() / 127.5 - 1)
        expected = (model.quant_conv(moments) if quantised else moments)[:, :latent]
    torch.testing.assert_close(encoder.encode(images), expected, rtol=1e-3, atol=1e-3)


def test_group_norms_are_those_that_a_folder_says(tmp_path):
    import diffusers

    torch.manual_seed(0)
    network = diffusers.AutoencoderKL(block_out_channels=(8, 12), norm_num_groups=4, latent_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2)  # fmt: skip
    network.save_pretrained(tmp_path / "vae")
    encoder = load_encoder({"kind": "autoencoder-kl"}, tmp_path / "vae")
    images = torch.from_numpy(random_dataset(2, shape=(8, 8, 3)).pixels)
    with torch.no_grad():
        expected = network.eval().encode(images.permute(0, 3, 1, 2).float() / 127.5 - 1).latent_dist.mean
    torch.testing.assert_close(encoder.encode(images), expected)
    (tmp_path / "vae/config.json").unlink()
    with pytest.raises(ValueError, match=r"not the weights of an AutoencoderKL .*num_groups"):
        load_encoder({"kind": "autoencoder-kl"}, tmp_path / "vae")


def test_flux_2_has_its_own_normalisation_of_latents_which_a_store_does_without(tmp_path):
    import diffusers

    torch.manual_seed(0)
    network = diffusers.AutoencoderKLFlux2(block_out_channels=(32, 64), latent_channels=6, layers_per_block=1,
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2)  # fmt: skip
    assert any(name.startswith("bn.") for name in network.state_dict())
    network.save_pretrained(tmp_path / "vae")
    encoder = load_encoder({"kind": "autoencoder-kl"}, tmp_path / "vae")
    images = torch.from_numpy(random_dataset(2, shape=(8, 8, 3)).pixels)
    with torch.no_grad():
        expected = network.eval().encode(images.permute(0, 3, 1, 2).float() / 127.5 - 1).latent_dist.mean
    torch.testing.assert_close(encoder.encode(images), expected, rtol=1e-5, atol=1e-5)


def test_what_is_left_over_is_an_error(tmp_path):
    state = to_diffusers(make_ldm("sd-vae").state_dict())
    torch.save({**state, "decoder.mid_block.extra.weight": torch.ones(2)}, tmp_path / "w.pt")
    with pytest.raises(
        ValueError, match=r"w.pt: does not fit a sd-vae autoencoder: unexpected: decoder.mid_block.extra"
    ):
        load_encoder({"kind": "sd-vae"}, tmp_path / "w.pt")
    torch.save({**state, "encoder.down_blocks.99999.resnets.0.conv1.weight": torch.ones(2)}, tmp_path / "w.pt")
    with pytest.raises(
        ValueError, match=r"w.pt: .*encoder.down_blocks.99999 among 5; expected them numbered from 0 on"
    ):
        load_encoder({"kind": "sd-vae"}, tmp_path / "w.pt")


# ------------------------------------------------------------------------------------------ TAESD's encoder and decoder


def _taesd_pair(folder, **options):
    encoder, decoder = make_taesd(**options)
    torch.save(encoder.state_dict(), folder / "encoder.pth")
    torch.save(decoder.state_dict(), folder / "decoder.pth")
    return encoder, decoder, [folder / "encoder.pth", folder / "decoder.pth"]


@pytest.mark.parametrize(
    ("options", "factor"),
    [({"latent": 4}, 8), ({"latent": 16}, 8), ({"latent": 32, "pooled": True}, 8), ({"latent": 32, "f32": True}, 32)],
)
def test_a_pair_of_files_computes_what_its_networks_do(tmp_path, options, factor):
    encoder, decoder, paths = _taesd_pair(tmp_path, **options)
    loaded = load_encoder({"kind": "tiny"}, paths)
    assert loaded.latent_shape((64, 64, 3)) == (options["latent"], 64 // factor, 64 // factor)
    images = torch.from_numpy(random_dataset(2, shape=(64, 64, 3)).pixels)
    with torch.no_grad():
        latents = encoder(images.permute(0, 3, 1, 2).float() / 255)
        shown = (decoder(latents) * 255).clamp(0, 255).permute(0, 2, 3, 1)
    torch.testing.assert_close(loaded.encode(images), latents, rtol=1e-4, atol=1e-4)
    assert (loaded.decode(latents).float() - shown).abs().max() <= 1.01


def test_a_pair_is_one_encoder_by_both_of_its_files(tmp_path):
    paths = _taesd_pair(tmp_path)[2]
    spec = {"kind": "tiny", "weights": str(paths[0]), "decoder": str(paths[1])}
    digest = load_encoder(spec).sha256
    assert load_encoder({"kind": "tiny"}, paths).sha256 == digest
    assert digest not in [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    with pytest.raises(ValueError, match=rf"decoder.pth: sha256 is .*; expected {'0' * 64}"):
        load_encoder({**spec, "decoder_sha256": "0" * 64})
    for weights, why in (
        (paths[::-1], "are they exchanged"),
        (paths[:1], "it is one of a pair: name the encoder's file as `weights`, the other as `decoder`"),
    ):
        with pytest.raises(ValueError, match=why):
            load_encoder({"kind": "tiny"}, weights)
    with pytest.raises(ValueError, match="expected one file for the sd-vae encoder"):
        load_encoder({"kind": "sd-vae"}, paths)


def test_a_pool_branch_is_no_left_over_to_be_dropped(tmp_path):
    paths = _taesd_pair(tmp_path, pooled=True)[2]
    state = torch.load(paths[1])
    pooled = [name for name in state if ".pool." in name]
    assert len(pooled) == 4 * 3
    for change, why in (
        ({name: state[name] for name in state if name != pooled[1]}, "missing: decoder.layers"),
        ({**state, "3.pond.weight": torch.ones(1)}, "unexpected: decoder.layers.2.pond.weight"),
        ({**state, "99.weight": torch.ones(1)}, "expected them from 0 on"),
    ):
        torch.save(change, paths[1])
        with pytest.raises(ValueError, match=why) as raised:
            load_encoder({"kind": "tiny"}, paths)
        assert "\n" not in str(raised.value)


def test_a_store_of_an_autoencoder_decodes_to_what_the_autoencoder_shows(va_vae, tmp_path):
    encoder = load_encoder({"kind": "va-vae"}, va_vae[0])
    dataset = random_dataset(6, shape=(32, 32, 3))
    encode(dataset, encoder, tmp_path / "latents.h5", batch_size=4)
    store = LatentStore.open(tmp_path / "latents.h5")
    assert store.shape == (6, 32, 2, 2)
    assert store.attributes["encoder_sha256"] == encoder.sha256
    expected = encoder.encode(torch.from_numpy(dataset.images(store.source)))
    torch.testing.assert_close(store.read(slice(None), normalised=False), expected, rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("spec", "content", "why"),
    [
        ({"kind": "vae"}, None, "encoder kind is 'vae'; expected one of identity, kl"),
        ({"kind": "sd-vae", "weights": None}, None, "the sd-vae encoder needs weights"),
        ({"kind": "sd-vae"}, "absent", r"w\.pt: no such weights file"),
        ({"kind": "sd-vae"}, b"no checkpoint", r"w\.pt: not a PyTorch checkpoint that can be read safely"),
        ({"kind": "kl"}, b"no checkpoint", r"w\.pt: not a whole weights file with its architecture"),
        ({"kind": "sd-vae"}, {"linear.weight": torch.ones(2, 2)}, r"w\.pt: not the weights of a sd-vae autoencoder"),
        ({"kind": "tiny"}, {"linear.weight": torch.ones(2, 2)}, r"w\.pt: not the weights of a tiny autoencoder"),
        (
            {"kind": "va-vae"},
            "sd-vae",
            r"w\.pt: an autoencoder with 4 latent channels at 1/8 .* expected 32 or 16 or 64 at 1/16",
        ),
        ({"kind": "sd-vae"}, "va-vae", r"w\.pt: an autoencoder with 32 latent channels at 1/16"),
        ({"kind": "va-vae"}, "other shapes", r"w\.pt: does not fit a va-vae autoencoder: .*conv_out"),
        ({"kind": "va-vae"}, "one missing", r"w\.pt: does not fit a va-vae autoencoder: missing: .*attentions"),
        ({"kind": "va-vae", "sha256": "0" * 64}, "va-vae", rf"w\.pt: sha256 is [0-9a-f]{{64}}; expected {'0' * 64}"),
        ({"kind": "va-vae", "posterior": "mode"}, "va-vae", "posterior is 'mode'; expected one of mean, sample"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(tmp_path, spec, content, why):
    path = tmp_path / "w.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        torch.save(content, path)
    elif content in ("sd-vae", "va-vae"):
        torch.save(ldm_checkpoint(make_ldm(content)), path)
    elif content in ("other shapes", "one missing"):
        checkpoint = ldm_checkpoint(make_ldm("va-vae"))
        if content == "one missing":
            del checkpoint["state_dict"]["decoder.mid.attn_1.q.bias"]
        else:
            checkpoint["state_dict"]["encoder.conv_out.weight"] = torch.ones(60, 64, 3, 3)
        torch.save(checkpoint, path)
    with pytest.raises(ValueError, match=why) as raised:
        load_encoder(spec, None if content is None else path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("shape", "why"),
    [((33, 32, 3), "33 x 32 pixels; the va-vae encoder expects sides that 16"), ((32, 32, 1), "1 channels")],
)
def test_images_that_do_not_fit_the_encoder_are_refused(va_vae, shape, why):
    with pytest.raises(ValueError, match=why):
        load_encoder({"kind": "va-vae"}, va_vae[0]).latent_shape(shape)


def test_a_truncated_file_of_our_own_is_refused(va_vae, tmp_path):
    network, path = load_encoder({"kind": "va-vae"}, va_vae[0]).network, tmp_path / "encoder.safetensors"
    arguments = {key: network.config[key] for key in kl_arguments(network.state_dict())}
    save_network(path, network, arguments, note={"a": 1})
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), load_network(path).state_dict().values())
    )
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"encoder\.safetensors: not a whole weights file"):
        load_network(path)


# ------------------------------------------------------------------------------------------------- identity and quality


def test_the_identity_encoder_is_exact_for_every_grey_level():
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    latents = Encoder().encode(images)
    assert latents.shape == (1, 1, 16, 16)
    assert latents.dtype == torch.float32
    assert latents.min() == -1
    assert latents.max() == 1
    assert torch.equal(Encoder().decode(latents), images)


def test_decoding_clamps():
    assert Encoder().decode(torch.tensor([-3.0, 3.0]).reshape(1, 1, 1, 2)).flatten().tolist() == [0, 255]


def test_psnr_of_known_errors():
    images = np.zeros((2, 4, 4, 1), np.uint8)
    assert list(squared_error(images, images + np.uint8(255))) == [255**2] * 2
    assert psnr(255**2) == 0
    assert psnr(0) == np.inf
    np.testing.assert_allclose(psnr(1.0), 48.1308036, rtol=1e-8)


class Dimmer(Encoder):
    """Loses one grey level."""

    def decode(self, latents):
        return super().decode(latents).clamp(min=1) - 1


def test_reconstruction_quality():
    dataset = random_dataset(10)
    dataset.pixels = np.maximum(dataset.pixels, 1)
    quality = reconstruction_quality(Dimmer(), dataset, batch_size=3)
    assert quality == {"images": 10, "mse": 1.0, "psnr": pytest.approx(48.1308036)}
    assert reconstruction_quality(Dimmer(), dataset, limit=4)["images"] == 4
    exact = reconstruction_quality(Encoder(), dataset)
    assert exact == {"images": 10, "mse": 0.0, "psnr": None}
    assert json.dumps(exact, allow_nan=False)
