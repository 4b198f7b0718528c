"""Published autoencoders as diffusers networks: SD-VAE, VA-VAE and AutoencoderTiny, from a file or a diffusers folder.

The architecture is read off the weights' own shapes, so that a file is all that is needed. Layouts understood:
diffusers' (with its older names of the attention layers) and the LDM checkpoints of latent diffusion and VA-VAE.
"""

import re
from pathlib import Path

from twostage.fetch import check_digest
from twostage.finite import finite_weights

# kind: (latent channels, pixels a latent position covers along a side)
EXPECTED = {"sd-vae": (4, 8), "va-vae": (32, 16), "tiny": (None, 8)}
FOLDER_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
# Parts of an LDM checkpoint that only its training used.
TRAINING_ONLY = ("loss.", "foundation_model.", "linear_proj.", "model_ema.")


def find_weights(spec, weights=None):
    """Path of the weights file: ``weights``, else ``spec["weights"]``; either a file or a diffusers folder.

    Raises ValueError for a file that is absent or has another digest than ``spec["sha256"]``, where that is given.
    """
    path = weights or spec.get("weights")
    if path is None:
        raise ValueError(f"the {spec['kind']} encoder needs weights; expected `weights`, the path of their file")
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in FOLDER_FILES if (path / name).is_file()]
        if not found:
            raise ValueError(f"{path}: holds no weights; expected {' or '.join(FOLDER_FILES)} in the folder")
        path = found[0]
    if not path.is_file():
        raise ValueError(f"{path}: no such weights file; expected the {spec['kind']} encoder's weights there")
    check_digest(path, spec.get("sha256"))
    return path


def load_published(kind, path):
    """(diffusers network, the arguments it was built with) of a published autoencoder's weights file.

    Raises ValueError, with the path, for a file that cannot be read or has other shapes than ``kind`` has.
    """
    state = read_state(path)
    try:
        if kind == "tiny":
            arguments, network_class = tiny_arguments(state), "AutoencoderTiny"
            latent, factor = arguments["latent_channels"], 8
        else:
            state = to_diffusers(state)
            arguments, network_class = kl_arguments(state), "AutoencoderKL"
            latent, factor = arguments["latent_channels"], 2 ** (len(arguments["block_out_channels"]) - 1)
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{path}: not the weights of a {kind} autoencoder (it lacks {error}); check the file"
        ) from None
    wanted, wanted_factor = EXPECTED[kind]
    if (wanted is not None and latent != wanted) or factor != wanted_factor:
        raise ValueError(
            f"{path}: an autoencoder with {latent} latent channels at 1/{factor} of the side; "
            f"expected {wanted} at 1/{wanted_factor}, the {kind}: check `kind` and the file"
        )
    import diffusers  # takes seconds: not for a file that is refused anyway

    network = getattr(diffusers, network_class)(**arguments)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ValueError(
            f"{path}: other weights than a {kind} autoencoder's: {lines[1 if len(lines) > 1 else 0]}"
        ) from None
    return network, arguments


def read_state(path):
    """State dict of a safetensors file or a torch checkpoint, without the parts that only training used."""
    import torch
    from safetensors.torch import load_file

    try:
        if Path(path).suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise a dozen types for a file that is not theirs
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path}: cannot read the weights ({reason}); expected safetensors or a torch state dict"
        ) from None
    state = state.get("state_dict", state)
    state = {key.removeprefix("module.").removeprefix("first_stage_model."): value for key, value in state.items()}
    state = {
        key: value.float()
        for key, value in state.items()
        if isinstance(value, torch.Tensor) and not key.startswith(TRAINING_ONLY)
    }
    return finite_weights(state, path, "fetch the file again")


def to_diffusers(state):
    """An AutoencoderKL's state dict with diffusers' present names, from LDM's, diffusers' older ones or its own."""
    if "encoder.down.0.block.0.conv1.weight" not in state:
        return {_newer_attention(key): value for key, value in state.items()}
    levels = 1 + max(int(key.split(".")[2]) for key in state if key.startswith("decoder.up."))
    renamed = {}
    for key, value in state.items():
        key = _ldm_name(key, levels)
        if ".attentions." in key and value.ndim == 4:
            value = value[:, :, 0, 0]
        renamed[key] = value
    return renamed


def _ldm_name(key, levels):
    """LDM's name of a parameter -> diffusers' (the decoder numbers its levels from the other end)."""
    key = re.sub(r"^decoder\.up\.(\d+)\.", lambda match: f"decoder.up_blocks.{levels - 1 - int(match[1])}.", key)
    key = key.replace("encoder.down.", "encoder.down_blocks.")
    for old, new in (
        (".mid.block_1.", ".mid_block.resnets.0."),
        (".mid.block_2.", ".mid_block.resnets.1."),
        (".mid.attn_1.", ".mid_block.attentions.0."),
        (".block.", ".resnets."),
        (".attn.", ".attentions."),
        (".nin_shortcut.", ".conv_shortcut."),
        (".norm_out.", ".conv_norm_out."),
        (".downsample.conv.", ".downsamplers.0.conv."),
        (".upsample.conv.", ".upsamplers.0.conv."),
    ):
        key = key.replace(old, new)
    if ".attentions." in key:
        key = key.replace(".norm.", ".group_norm.").replace(".proj_out.", ".to_out.0.")
        key = re.sub(r"\.([qkv])\.(weight|bias)$", r".to_\1.\2", key)
    return key


def _newer_attention(key):
    if ".attentions." not in key:
        return key
    for old, new in ((".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0.")):
        key = key.replace(old, new)
    return key


def kl_arguments(state):
    """Arguments of ``diffusers.AutoencoderKL`` that fit a state dict. Raises KeyError or ValueError for another's."""

    def count(prefix):
        numbers = {int(key[len(prefix) :].split(".")[0]) for key in state if key.startswith(prefix)}
        if not numbers:
            raise ValueError(prefix)
        return len(numbers)

    levels = count("encoder.down_blocks.")

    def types(side, plain, attention):
        return [
            attention if f"{side}_blocks.{level}.attentions.0.to_q.weight" in state else plain
            for level in range(levels)
        ]

    return {
        "in_channels": state["encoder.conv_in.weight"].shape[1],
        "out_channels": state["decoder.conv_out.weight"].shape[0],
        "down_block_types": types("encoder.down", "DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        "up_block_types": types("decoder.up", "UpDecoderBlock2D", "AttnUpDecoderBlock2D"),
        "block_out_channels": [
            state[f"encoder.down_blocks.{level}.resnets.0.conv1.weight"].shape[0] for level in range(levels)
        ],
        "layers_per_block": count("encoder.down_blocks.0.resnets."),
        "latent_channels": state["decoder.conv_in.weight"].shape[1],
        "norm_num_groups": 32,
        "scaling_factor": 1.0,
        "use_quant_conv": "quant_conv.weight" in state,
        "use_post_quant_conv": "post_quant_conv.weight" in state,
        "mid_block_add_attention": "encoder.mid_block.attentions.0.to_q.weight" in state,
    }


def tiny_arguments(state):
    """Arguments of ``diffusers.AutoencoderTiny`` that fit a state dict. Raises KeyError for another network's."""
    width = state["encoder.layers.0.weight"].shape[0]
    return {
        "latent_channels": state["decoder.layers.0.weight"].shape[1],
        "encoder_block_out_channels": [width] * 4,
        "decoder_block_out_channels": [width] * 4,
    }
