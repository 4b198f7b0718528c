"""Published autoencoders: AutoencoderKL of any structure that its file tells, and tiny ones (``twostage.data.tiny``).

The architecture is read from the shapes of the weights, so that nothing but a file is needed. Known layouts: diffusers'
(with its older names of the attention layers) and the LDM checkpoints of latent diffusion, VA-VAE, MAR and Flux. A name
that is left over is an error, because a network without one of its parts would decode badly.
"""

import json
import re
from pathlib import Path

from twostage.fetch import check_digest
from twostage.finite import finite_weights

# kind: (latent channels, pixels that a latent position covers along a side); the first of several is the usual one.
EXPECTED = {"sd-vae": ((4,), 8), "va-vae": ((32, 16, 64), 16)}
# The same numbers as long as there is no file to read them from: those of Flux and SD3, and those of TAESD.
ASSUMED = {"sd-vae": (4, 8), "va-vae": (32, 16), "autoencoder-kl": (16, 8), "tiny": (4, 8)}
FOLDER_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
# Parts of a checkpoint that only its training used; `bn` is FLUX.2's normalisation of latents, which a store does
# itself.
UNUSED = ("loss.", "foundation_model.", "linear_proj.", "model_ema.", "bn.")
WITHIN = ("first_stage_model.", "vae.")  # prefixes in checkpoints that hold more than an autoencoder
GROUPS = 32  # of the group norms, unless a config.json gives another number


def find_weights(spec, weights=None):
    """Paths of the weights files, a list: ``weights`` (one path or two), or ``spec["weights"]`` and ``"decoder"``.

    Each is a file or a diffusers folder; two are an encoder and a decoder. Raises ValueError for a file that is absent,
    that only stands for a file (``twostage.fetch.refuse_stand_in``), or whose digest is not ``spec["sha256"]`` or
    ``spec["decoder_sha256"]``, if these are given.
    """
    paths = [weights] if isinstance(weights, str | Path) else list(weights or ())
    paths = paths or [path for path in (spec.get("weights"), spec.get("decoder")) if path]
    if not paths:
        raise ValueError(f"the {spec['kind']} encoder needs weights; expected `weights`, the path of their file")
    if len(paths) > 1 and spec["kind"] != "tiny":
        raise ValueError(f"a file of the decoder beside {paths[0]}; expected one file for the {spec['kind']} encoder")
    return [_found(spec, Path(path), key) for path, key in zip(paths, ("sha256", "decoder_sha256"))]


def _found(spec, path, key):
    if path.is_dir():
        found = [path / name for name in FOLDER_FILES if (path / name).is_file()]
        if not found:
            raise ValueError(f"{path}: holds no weights; expected {' or '.join(FOLDER_FILES)} in the folder")
        path = found[0]
    if not path.is_file():
        raise ValueError(f"{path}: no such weights file; expected the {spec['kind']} encoder's weights there")
    check_digest(path, spec.get(key))
    return path


def load_published(kind, paths):
    """The network of a published autoencoder's weights files (``find_weights``).

    Raises ValueError, with the path, for a file that cannot be read or has other shapes than ``kind`` has.
    """
    from twostage.weights_file import refuse_misfit, shapes_of

    path, state, make = _network_of(kind, paths)
    refuse_misfit(path, state, shapes_of(_on_meta(kind, path, make)), _named(kind))
    finite_weights(state, path, "fetch the file again")
    network = make()
    network.load_state_dict(state)
    return network


def latent_of(kind, paths):
    """(latent channels, pixels that a latent position covers along a side) of the autoencoder in weights files."""
    path, _, make = _network_of(kind, paths)
    config = _on_meta(kind, path, make).config
    return config.latent_channels, 2 ** (len(config.block_out_channels) - 1)


def _network_of(kind, paths):
    """(paths in words, state dict with the network's names, function that makes the network)."""
    path, states = paths[0], [read_state(path) for path in paths]
    if len(paths) == 2:
        path = f"{paths[0]} with {paths[1]}"
    try:
        if kind == "tiny":
            from twostage.data.tiny import TinyAutoencoder, one_file

            state = states[0]
            if len(states) == 2:
                state = one_file(*states)
            elif all(name[:1].isdigit() for name in state):
                raise ValueError("it is one of a pair: name the encoder's file as `weights`, the other as `decoder`")
            shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
            return path, state, lambda: TinyAutoencoder(shapes)
        state = to_diffusers(states[0])
        arguments = kl_arguments(state, _folder_config(path))
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f"{path}: not the weights of {_named(kind)} ({_lack(error)}); check the file") from None
    _refuse_other_kind(kind, path, arguments)

    def make():
        import diffusers  # takes seconds, so not before a file is accepted

        return diffusers.AutoencoderKL(**arguments)

    return path, state, make


def _named(kind):
    return "an AutoencoderKL" if kind == "autoencoder-kl" else f"a {kind} autoencoder"


def _lack(error):
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)


def _refuse_other_kind(kind, path, arguments):
    channels, factor = arguments["latent_channels"], 2 ** (len(arguments["block_out_channels"]) - 1)
    wanted, wanted_factor = EXPECTED.get(kind, ((channels,), factor))
    if channels not in wanted or factor != wanted_factor:
        raise ValueError(
            f"{path}: an autoencoder with {channels} latent channels at 1/{factor} of the side; expected "
            f"{' or '.join(map(str, wanted))} at 1/{wanted_factor}, the {kind}: check the file, or write "
            "`kind: autoencoder-kl`, which takes any"
        )


def _on_meta(kind, path, make):
    """The network without memory, to compare shapes."""
    import torch

    try:
        with torch.device("meta"):
            return make()
    except (ValueError, RuntimeError, TypeError) as error:
        raise ValueError(f"{path}: not the weights of {_named(kind)} ({error}); check the file") from None


def _folder_config(path):
    """The content of a diffusers folder's config.json; {} for a file that lies elsewhere."""
    beside = path.with_name("config.json")
    if path.name not in FOLDER_FILES or not beside.is_file():
        return {}
    try:
        config = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"its config.json is no JSON: {error}") from None
    if (activation := config.get("act_fn", "silu")) != "silu":
        raise ValueError(f"its config.json has act_fn {activation!r}; expected 'silu'")
    return config


def read_state(path):
    """State dict of an autoencoder's file, without the parts that only its training used."""
    from twostage.weights_file import read_weights

    state = read_weights(path, averaged=False)[0]
    for prefix in WITHIN:
        inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        state = inside or state
    return {key: value for key, value in state.items() if not key.startswith(UNUSED)}


def to_diffusers(state):
    """An AutoencoderKL's state dict with diffusers' present names, from LDM's names or diffusers' old or present
    ones."""
    if "encoder.down.0.block.0.conv1.weight" not in state:
        return {_newer_attention(key): value for key, value in state.items()}
    levels = len({key.split(".")[2] for key in state if key.startswith("decoder.up.")})
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


def kl_arguments(state, config=None):
    """Arguments of ``diffusers.AutoencoderKL`` that fit a state dict. KeyError or ValueError for another network's.

    config: content of a config.json beside it, for arguments that the shapes do not tell.
    """

    def count(prefix):
        numbers = {key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)}
        if not numbers:
            raise ValueError(f"it lacks {prefix}*")
        if odd := sorted(numbers - {str(number) for number in range(len(numbers))}):
            raise ValueError(f"{prefix}{odd[0]} among {len(numbers)}; expected them numbered from 0 on")
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
        "norm_num_groups": (config or {}).get("norm_num_groups", GROUPS),
        "scaling_factor": 1.0,
        "use_quant_conv": "quant_conv.weight" in state,
        "use_post_quant_conv": "post_quant_conv.weight" in state,
        "mid_block_add_attention": "encoder.mid_block.attentions.0.to_q.weight" in state,
    }
