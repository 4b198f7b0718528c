"""Parts of a block with a backward pass written by hand, for training without a compiler.

Each reads the widest activations as few times as possible and keeps one tensor for the backward pass, where autograd
would keep two or three. The compiler is as good with the plain formulas, so ``lightningdit`` uses these functions only
where nothing is compiled.
"""

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable


class ModulatedNorm(torch.autograd.Function):
    """``x / rms(x) * gain + shift``: x (B, T, D), the root mean square over D in float32; gain and shift (B, D)."""

    @staticmethod
    def forward(ctx, x, gain, shift, eps):
        wide = x.float()
        mean_square = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square() / x.shape[-1]
        rate = (mean_square + eps).rsqrt()
        normed = (wide * rate).type_as(x)
        ctx.save_for_backward(normed, rate, gain)
        return torch.addcmul(shift[:, None], normed, gain[:, None])

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        normed, rate, gain = ctx.saved_tensors
        product = gradient * normed
        along = (product @ gain[:, :, None]) / gain.shape[1]  # the part of the gradient along the normed token
        to_x = gradient * gain[:, None]
        to_x.addcmul_(normed, along, value=-1).mul_(rate)
        return to_x, product.sum(1), gradient.sum(1), None


class RotatedHeads(torch.autograd.Function):
    """Queries and keys rotated by their positions, and the values: from qkv (B, T, 3, heads, head_dim) three tensors
    (B, T, heads, head_dim).

    rotation: cosine and sine for each adjacent pair, (T, 1, 1, head_dim / 2, 2). Pairs are multiplied as complex
    numbers, which is ten times faster on a CPU than real arithmetic; all three gradients go into one tensor.
    """

    @staticmethod
    def forward(ctx, qkv, rotation):
        ctx.save_for_backward(rotation)
        queries_keys = torch.view_as_complex(_pairs(qkv[:, :, :2])) * torch.view_as_complex(rotation)
        return *torch.view_as_real(queries_keys).flatten(-2).type_as(qkv).unbind(2), qkv[:, :, 2]

    @staticmethod
    @once_differentiable
    def backward(ctx, to_queries, to_keys, to_values):
        (rotation,) = ctx.saved_tensors
        back = torch.view_as_complex(rotation)[:, :, 0].conj().resolve_conj()
        batch, tokens, heads, width = to_values.shape
        result = to_values.new_empty(batch, tokens, 3, heads, width, dtype=torch.float32)
        for place, gradient in enumerate((to_queries, to_keys)):
            target = torch.view_as_complex(_pairs(result[:, :, place]))
            torch.mul(torch.view_as_complex(_pairs(gradient)), back, out=target)
        result[:, :, 2] = to_values
        return result.type_as(to_values), None


def _pairs(x):
    return x.float().unflatten(-1, (-1, 2))


class GatedSiLU(torch.autograd.Function):
    """``silu(a) * b`` of the halves ``a, b`` of x; both gradients go into one tensor."""

    @staticmethod
    def forward(ctx, x):
        gate, value = x.chunk(2, dim=-1)
        activated = F.silu(gate)
        ctx.save_for_backward(x, activated)
        return activated * value

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        x, activated = ctx.saved_tensors
        gate, value = x.chunk(2, dim=-1)
        result = torch.empty_like(x)
        to_gate, to_value = result.chunk(2, dim=-1)
        torch.mul(gradient, activated, out=to_value)
        torch.mul(gradient, value, out=to_gate)
        torch.ops.aten.silu_backward.grad_input(to_gate, gate, grad_input=to_gate)
        return result
