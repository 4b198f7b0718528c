"""``estimate``: the hardware that the estimate assumes."""

from pydantic import Field

from twostage.config.blocks.base import Block
from twostage.config.values import Below1, NotNegative, Positive, Share


class Hardware(Block):
    """The hardware that `estimate` assumes. Defaults: one H100 (SXM, dense), one core of a current server."""

    gpu_bf16_tflops: Positive = Field(989, description="Peak speed of a GPU in bf16, in TFLOP/s")
    gpu_float32_tflops: Positive = Field(67, description="Peak speed of a GPU in float32 (without TF32), in TFLOP/s")
    gpu_float64_tflops: Positive = Field(
        67, description="Peak speed of a GPU in float64, in TFLOP/s. On gaming cards, 1/64 of float32's"
    )
    gpu_utilisation: Share = Field(0.35, description="Share of the GPU's peak speed that jobs reach")
    cpu_gflops: Positive = Field(80, description="Peak speed of a CPU core in float32, in GFLOP/s")
    cpu_utilisation: Share = Field(0.5, description="Share of the CPU core's peak speed that jobs reach")
    image_seconds: NotNegative = Field(0.01, description="Time to read and crop one image file on one core, in seconds")
    oracle_skipped: Below1 = Field(
        0.8,
        description="Share of samples in oracle-supervised training whose target equals x_1 - x_0 to rounding, so that "
        "no oracle is computed. The training's log reports the actual share",
    )
