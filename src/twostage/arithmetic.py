"""How torch rounds on a GPU, set in one place for every job and stated in every provenance.

Left alone, torch takes TF32 (10 bits of mantissa) for float32 convolutions, so for encoders, decoders and Inception,
and lets products in bf16 and float16 add up their parts in that precision. Both differ between generations of GPUs and
with the library's choice of kernel. Here neither does: float32 is float32, and sums of halves are in float32.

torch has two sets of switches for it, ``allow_tf32`` and ``fp32_precision``, and raises when a program that used one
asks the other and they disagree. Its kernels go by the second. Both are set, the first one first.
"""

import contextlib

import torch

FULL = "ieee"


def use_full_precision():
    """No TF32 in products or convolutions, sums of bf16 and float16 products in float32; for programs, once."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    parents = torch.backends, torch.backends.cudnn
    for switch in (*parents, *_of_products(), torch.backends.cudnn.conv, torch.backends.cudnn.rnn):
        switch.fp32_precision = FULL
    products = torch.backends.cuda.matmul
    products.allow_bf16_reduced_precision_reduction = False
    products.allow_fp16_reduced_precision_reduction = False


@contextlib.contextmanager
def full_products():
    """Inside, matrix products of float32 tensors are in full float32, whatever this process allows elsewhere."""
    reduced = [(switch, switch.fp32_precision) for switch in _of_products()]
    reduced = [(switch, before) for switch, before in reduced if before not in (FULL, "none")]
    for switch, _ in reduced:
        switch.fp32_precision = FULL
    try:
        yield
    finally:
        for switch, before in reduced:
            switch.fp32_precision = before


def exact_product(a, b, out=None):
    """``a @ b`` in full precision of its dtype, whatever this process allows elsewhere; written to ``out`` if given."""
    with full_products():
        return torch.matmul(a, b, out=out)


def stated():
    """The switches as they are, for the provenance: {what: value} of strings."""
    products = torch.backends.cuda.matmul
    halves = products.allow_bf16_reduced_precision_reduction or products.allow_fp16_reduced_precision_reduction
    return {
        "float32_products": _said(products.fp32_precision),
        "float32_convolutions": _said(torch.backends.cudnn.conv.fp32_precision),
        "sums_of_bf16_products": "may be bf16" if halves else "float32",
    }


def _of_products():
    return torch.backends.cuda.matmul, torch.backends.mkldnn.matmul


def _said(precision):
    return "float32" if precision in (FULL, "none") else precision
