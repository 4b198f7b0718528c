"""How torch rounds on a GPU, set in one place for every job and recorded in every provenance.

By default, torch uses TF32 (10 bits of mantissa) for float32 convolutions, that is in encoders, decoders and Inception,
and lets products in bf16 and float16 sum their terms in that precision. The results then differ between generations of
GPUs and with the library's choice of kernel. Here, float32 is float32, and terms in half precision are summed in
float32.

torch has two sets of switches for this, ``allow_tf32`` and ``fp32_precision``. It raises an error when a program has
used one set, reads the other, and the two disagree. The kernels follow the second. Both are set here, ``allow_tf32``
first.
"""

import contextlib

import torch

FULL = "ieee"


def use_full_precision():
    """No TF32 in products or convolutions; sums of bf16 and float16 products in float32. Programs call this once."""
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
    """Context in which matrix products of float32 tensors are in full float32, whatever the process allows
    elsewhere."""
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
    """The present state of the switches for the provenance: {name: value}, strings."""
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
