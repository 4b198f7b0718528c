"""LightningDiT (Yao et al., 2025): the transformer whose velocity fields the paper analyses.

Numerically the published model: the same state-dict keys, and the same outputs up to float32 rounding; its checkpoints
load strictly. The original's options are fixed here as in its checkpoints: SwiGLU, RMSNorm, rotary positions,
six-way adaLN, no qk-norm. Times are passed unscaled, t in [0, 1]; t = 1 is the data.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from twostage.model.fused import GatedSiLU, ModulatedNorm, RotatedHeads
from twostage.sides import Size, in_words, sides_of, size_of

TIME_FREQUENCIES = 256  # sinusoids in the time embedding, half of them cosines
MAX_PERIOD = 10_000.0  # of the time embedding, of the fixed positions and of the rotary ones
NORM_EPS = 1e-6


class LightningDiT(nn.Module):
    """Class-conditional velocity model v(x_t, t, y).

    input_size: side of the latent, or (height, width) where it is not square; patch_size: side of a patch, a divisor of
    it; in_channels: latent channels; hidden_size: token width, a multiple of 4 * num_heads (rotary positions turn pairs
    along two axes); num_classes: labels run from 0 to num_classes - 1, and num_classes itself means "no class".
    class_drop: in train mode, the probability that ``forward`` replaces a label by "no class" (as in the original;
    drawn from torch's global generator). 0 leaves labels as they are.
    ``checkpoint_activations`` (attribute, False): recompute each block in the backward pass to save memory.
    Raises ValueError for sizes that do not divide.

    >>> sizes = {"hidden_size": 32, "depth": 2, "num_heads": 2}
    >>> model = LightningDiT(input_size=8, patch_size=2, in_channels=3, **sizes, num_classes=10)
    >>> velocity = model(torch.zeros(4, 3, 8, 8), torch.full((4,), 0.5), torch.tensor([0, 1, 2, 10]))
    >>> velocity.shape
    torch.Size([4, 3, 8, 8])
    """

    def __init__(
        self,
        input_size: Size,
        patch_size: int,
        in_channels: int,
        hidden_size: int,
        depth: int,
        num_heads: int,
        num_classes: int,
        class_drop: float = 0.1,
    ) -> None:
        super().__init__()
        _refuse_sizes(input_size, patch_size, hidden_size, num_heads)
        self.architecture: dict[str, Any] = {
            "input_size": size_of(*sides_of(input_size)),
            "patch_size": patch_size,
            "in_channels": in_channels,
            "hidden_size": hidden_size,
            "depth": depth,
            "num_heads": num_heads,
            "num_classes": num_classes,
        }
        self.class_drop = class_drop
        self.checkpoint_activations = False
        rows, columns = _grid_of(input_size, patch_size)
        self.x_embedder = PatchEmbedding(patch_size, in_channels, hidden_size)
        self.t_embedder = TimeEmbedding(hidden_size)
        self.y_embedder = LabelEmbedding(num_classes, hidden_size)
        self.pos_embed = nn.Parameter(sincos_positions(rows, columns, hidden_size)[None], requires_grad=False)
        self.feat_rope = RotaryPositions(rows, columns, hidden_size // num_heads)
        self.blocks = nn.ModuleList(Block(hidden_size, num_heads) for _ in range(depth))
        self.final_layer = FinalLayer(hidden_size, patch_size, in_channels)
        self._initialize()

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        t: Float[Tensor, " batch"],
        y: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch channels height width"]:
        """Velocity at x (B, C, H, W), time t (B,) in [0, 1] and label y (B,) int64: a tensor like x.

        The model computes in the precision of its weights, whatever that of x. Raises ValueError for an x that is not
        of floats, or of another height or width.
        """
        if x.shape[2:] != sides_of(self.architecture["input_size"]):  # its tokens may be as many, at other positions
            raise ValueError(f"x is {tuple(x.shape)}; expected latents of {in_words(self.architecture['input_size'])}")
        if x.dtype != self.pos_embed.dtype:
            if not x.is_floating_point():
                raise ValueError(f"x is {x.dtype}; expected floats")
            return self(x.to(self.pos_embed.dtype), t, y).to(x.dtype)
        if self.training and self.class_drop > 0:
            dropped = torch.rand(y.shape[0], device=y.device) < self.class_drop
            y = torch.where(dropped, self.architecture["num_classes"], y)
        # Each adaLN begins with a SiLU of the same conditioning, so it is taken once for all of them.
        condition = F.silu(self.t_embedder(t) + self.y_embedder(y))
        tokens = self.x_embedder(x) + self.pos_embed
        rotation = self.feat_rope.rotation()
        for block in self.blocks:
            if self.checkpoint_activations and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, condition, rotation, use_reentrant=False)
            else:
                tokens = block(tokens, condition, rotation)
        return self.x_embedder.fold(self.final_layer(tokens, condition), x.shape)

    def compile_blocks(self) -> None:
        """Compile the blocks, in place, when they are first called.

        They share one graph, so XL takes no longer to compile than S. Anything that would split the graph is an error.
        """
        # DistributedDataParallel would split each graph where a bucket of gradients ends, to send gradients early. A
        # block is small enough without: blocks are sent one after the other.
        torch._dynamo.config.optimize_ddp = False
        for block in self.blocks:
            block.compile(dynamic=False, fullgraph=True)

    def uncompile_blocks(self) -> None:
        """Undo ``compile_blocks``."""
        for block in self.blocks:
            block._compiled_call_impl = None

    def _initialize(self):
        """The original's initialisation: a fresh model's velocity is zero, each block the identity."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        projection = self.x_embedder.proj
        nn.init.xavier_uniform_(projection.weight.flatten(1))
        nn.init.zeros_(projection.bias)
        nn.init.normal_(self.y_embedder.embedding_table.weight, std=0.02)
        nn.init.normal_(self.t_embedder.mlp[0].weight, std=0.02)
        nn.init.normal_(self.t_embedder.mlp[2].weight, std=0.02)
        for layer in (*(block.adaLN_modulation[1] for block in self.blocks), self.final_layer.adaLN_modulation[1]):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.final_layer.linear.weight)


class PatchEmbedding(nn.Module):
    """Patches to tokens, and back (``fold``). The weights are a strided convolution's, applied as one matrix
    product."""

    def __init__(self, patch_size: int, in_channels: int, hidden_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(in_channels, hidden_size, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch tokens dim"]:
        p = self.patch_size
        patches = x.unflatten(2, (-1, p)).unflatten(4, (-1, p))  # (B, C, h, p, w, p)
        patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # (B, h w, C p p)
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)

    def fold(
        self, tokens: Float[Tensor, "batch tokens numbers"], shape: Sequence[int]
    ) -> Float[Tensor, "batch channels height width"]:
        """Tokens (B, h w, p p C), channels last within a patch, to an image of ``shape`` (B, C, H, W)."""
        batch, channels, height, width = shape
        p = self.patch_size
        patches = tokens.reshape(batch, height // p, width // p, p, p, channels)
        return patches.permute(0, 5, 1, 3, 2, 4).reshape(shape)


class TimeEmbedding(nn.Module):
    """Raw time (B,) to (B, hidden): cosines and sines of 128 frequencies, then two layers."""

    frequencies: Tensor

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(TIME_FREQUENCIES, hidden_size), nn.SiLU(), nn.Linear(hidden_size, hidden_size)
        )
        half = TIME_FREQUENCIES // 2
        steps = torch.arange(half, dtype=torch.float32)
        self.register_buffer("frequencies", torch.exp(-math.log(MAX_PERIOD) * steps / half), persistent=False)

    def forward(self, t: Float[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        angles = t.float()[:, None] * self.frequencies
        features = torch.cat([angles.cos(), angles.sin()], dim=-1)
        return self.mlp(features.to(self.mlp[0].weight.dtype))  # type: ignore[arg-type]  # of a Linear


class LabelEmbedding(nn.Module):
    """Labels (B,) to (B, hidden); the last row of the table is "no class"."""

    def __init__(self, num_classes: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(num_classes + 1, hidden_size)

    def forward(self, labels: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        return self.embedding_table(labels)


class RotaryPositions(nn.Module):
    """Rotary positions over a grid, row by row: a head's first half rotates with the row, its second with the column.

    Buffers ``freqs_cos`` and ``freqs_sin`` (T, head_dim) hold each angle twice, for the two members of a pair.
    """

    freqs_cos: Tensor
    freqs_sin: Tensor

    def __init__(self, rows: int, columns: int, head_dim: int) -> None:
        super().__init__()
        axis_dim = head_dim // 2
        frequencies = 1.0 / MAX_PERIOD ** (torch.arange(0, axis_dim, 2).float() / axis_dim)
        steps = torch.arange(max(rows, columns)).float()
        angles = _over_grid(torch.outer(steps, frequencies).repeat_interleave(2, dim=1), rows, columns)
        self.register_buffer("freqs_cos", angles.cos())
        self.register_buffer("freqs_sin", angles.sin())

    def rotation(self) -> Float[Tensor, "tokens 1 1 pairs 2"]:
        """The second argument of ``rotate``: cosine and sine for each pair, (T, 1, 1, head_dim / 2, 2)."""
        return torch.stack((self.freqs_cos[:, ::2], self.freqs_sin[:, ::2]), dim=-1)[:, None, None]


def rotate(
    x: Float[Tensor, "batch tokens two heads dim"], rotation: Float[Tensor, "tokens 1 1 pairs 2"]
) -> Float[Tensor, "batch tokens two heads dim"]:
    """Rotate adjacent pairs in the last axis of x (B, T, 2, heads, head_dim) by ``rotation``."""
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = rotation.unbind(-1)
    return torch.stack((first * cos - second * sin, first * sin + second * cos), dim=-1).flatten(-2)


class RMSNorm(nn.Module):
    """Root-mean-square norm whose gain is folded into the modulation that follows it (``modulate``)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], shift: Float[Tensor, "batch dim"], scale: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch tokens dim"]:
        """``norm(x) * weight * (1 + scale) + shift``: x (B, T, D), normalised in float32; shift and scale (B, D)."""
        gain, shift = (self.weight * (1 + scale)).type_as(x), shift.type_as(x)
        if not torch.compiler.is_compiling():
            return ModulatedNorm.apply(x, gain, shift, NORM_EPS)
        normed = F.rms_norm(x.float(), x.shape[-1:], eps=NORM_EPS).type_as(x)
        return torch.addcmul(shift[:, None], normed, gain[:, None])


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], rotation: Float[Tensor, "tokens 1 1 pairs 2"]
    ) -> Float[Tensor, "batch tokens dim"]:
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))  # (B, T, 3, heads, head_dim)
        if torch.compiler.is_compiling():
            q, k = rotate(qkv[:, :, :2], rotation).type_as(qkv).unbind(2)
            v = qkv[:, :, 2]
        else:
            q, k, v = RotatedHeads.apply(qkv, rotation)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class SwiGLU(nn.Module):
    """``w3(silu(a) * b)`` with ``a, b`` the halves of ``w12(x)``."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(dim, 2 * width)
        self.w3 = nn.Linear(width, dim)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        halves = self.w12(x)
        if not torch.compiler.is_compiling():
            return self.w3(GatedSiLU.apply(halves))
        gate, value = halves.chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class Block(nn.Module):
    """Attention and SwiGLU, each shifted, scaled and gated by the conditioning (adaLN)."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = RMSNorm(dim)
        self.norm2 = RMSNorm(dim)
        self.attn = Attention(dim, num_heads)
        self.mlp = SwiGLU(dim, _mlp_width(dim))
        self.adaLN_modulation = nn.Sequential(nn.Identity(), nn.Linear(dim, 6 * dim))

    def forward(
        self,
        x: Float[Tensor, "batch tokens dim"],
        condition: Float[Tensor, "batch dim"],
        rotation: Float[Tensor, "tokens 1 1 pairs 2"],
    ) -> Float[Tensor, "batch tokens dim"]:
        """x (B, T, D), condition (B, D) already through SiLU: a tensor like x."""
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = self.adaLN_modulation(condition).chunk(6, dim=1)
        attended = self.attn(self.norm1(x, shift_1, scale_1), rotation)
        x = torch.addcmul(x, gate_1[:, None].type_as(x), attended.type_as(x))
        expanded = self.mlp(self.norm2(x, shift_2, scale_2))
        return torch.addcmul(x, gate_2[:, None].type_as(x), expanded.type_as(x))


class FinalLayer(nn.Module):
    """Modulated norm, then tokens to patches of velocity."""

    def __init__(self, dim: int, patch_size: int, out_channels: int) -> None:
        super().__init__()
        self.norm_final = RMSNorm(dim)
        self.linear = nn.Linear(dim, patch_size * patch_size * out_channels)
        self.adaLN_modulation = nn.Sequential(nn.Identity(), nn.Linear(dim, 2 * dim))

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], condition: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch tokens numbers"]:
        shift, scale = self.adaLN_modulation(condition).chunk(2, dim=1)
        return self.linear(self.norm_final(x, shift, scale))


def sincos_positions(rows: int, columns: int, dim: int) -> Float32[Tensor, "{rows}*{columns} {dim}"]:
    """Fixed 2-D positions, float32 (rows * columns, dim): the column's sines and cosines, then the row's."""
    frequencies = 1.0 / MAX_PERIOD ** (torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    angles = torch.outer(torch.arange(max(rows, columns), dtype=torch.float64), frequencies)
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)
    return _over_grid(axis, rows, columns).roll(dim // 2, dims=1).float()


def _over_grid(axis, rows, columns):
    """Numbers of an axis (max(rows, columns), d) at every place of a grid: the row's, then the column's, (T, 2 d)."""
    of_rows = axis[:rows, None, :].expand(rows, columns, -1)
    of_columns = axis[None, :columns, :].expand(rows, columns, -1)
    return torch.cat([of_rows, of_columns], dim=-1).flatten(0, 1)


def _grid_of(input_size, patch_size):
    """(rows, columns) of patches."""
    height, width = sides_of(input_size)
    return height // patch_size, width // patch_size


def _mlp_width(dim):
    return int(2 / 3 * int(4.0 * dim))


def _refuse_sizes(input_size, patch_size, hidden_size, num_heads):
    if any(side % patch_size for side in sides_of(input_size)):
        size = input_size if isinstance(input_size, int) else in_words(input_size)
        raise ValueError(f"patch_size is {patch_size}; expected a divisor of input_size {size}")
    if hidden_size % (4 * num_heads):
        raise ValueError(
            f"hidden_size is {hidden_size}; expected a multiple of 4 * num_heads = {4 * num_heads}, "
            "so that rotary positions turn whole pairs along two axes"
        )


def state_shapes(
    input_size: Size,
    patch_size: int,
    in_channels: int,
    hidden_size: int,
    depth: int,
    num_heads: int,
    num_classes: int,
) -> dict[str, tuple[int, ...]]:
    """{name: shape} of the state dict of a LightningDiT of these sizes, without building it. Raises ValueError for the
    same sizes.

    A model on torch's meta device would give the same, after two seconds in which torch imports its compiler.
    """
    _refuse_sizes(input_size, patch_size, hidden_size, num_heads)
    tokens, width = math.prod(_grid_of(input_size, patch_size)), _mlp_width(hidden_size)

    def linear(name, inside, outside):
        return {f"{name}.weight": (outside, inside), f"{name}.bias": (outside,)}

    block = {
        "norm1.weight": (hidden_size,),
        "norm2.weight": (hidden_size,),
        **linear("attn.qkv", hidden_size, 3 * hidden_size),
        **linear("attn.proj", hidden_size, hidden_size),
        **linear("mlp.w12", hidden_size, 2 * width),
        **linear("mlp.w3", width, hidden_size),
        **linear("adaLN_modulation.1", hidden_size, 6 * hidden_size),
    }
    return {
        "pos_embed": (1, tokens, hidden_size),
        "x_embedder.proj.weight": (hidden_size, in_channels, patch_size, patch_size),
        "x_embedder.proj.bias": (hidden_size,),
        **linear("t_embedder.mlp.0", TIME_FREQUENCIES, hidden_size),
        **linear("t_embedder.mlp.2", hidden_size, hidden_size),
        "y_embedder.embedding_table.weight": (num_classes + 1, hidden_size),
        "feat_rope.freqs_cos": (tokens, hidden_size // num_heads),
        "feat_rope.freqs_sin": (tokens, hidden_size // num_heads),
        **{f"blocks.{number}.{name}": shape for number in range(depth) for name, shape in block.items()},
        "final_layer.norm_final.weight": (hidden_size,),
        **linear("final_layer.linear", hidden_size, patch_size**2 * in_channels),
        **linear("final_layer.adaLN_modulation.1", hidden_size, 2 * hidden_size),
    }


def count_parameters(model: nn.Module) -> int:
    """Number of parameters, counted as in publications: with the fixed positions."""
    return sum(parameter.numel() for parameter in model.parameters())
