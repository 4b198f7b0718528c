"""``estimate``: the hardware that is reckoned with."""

from pydantic import Field

from twostage.config.blocks.base import Block
from twostage.config.values import Below1, NotNegative, Positive, Share


class Hardware(Block):
    """What `estimate` reckons with. Defaults: one H100 (SXM, dense), one core of a present server."""

    gpu_bf16_tflops: Positive = Field(989, description="Peak of a GPU in bf16, TFLOP/s")
    gpu_float32_tflops: Positive = Field(67, description="Peak of a GPU in float32 (no TF32), TFLOP/s")
    gpu_float64_tflops: Positive = Field(
        67, description="Peak of a GPU in float64, TFLOP/s; on cards for games 1/64 of float32's"
    )
    gpu_utilisation: Share = Field(0.35, description="Share of that peak that is reached")
    cpu_gflops: Positive = Field(80, description="Peak of a CPU core in float32, GFLOP/s")
    cpu_utilisation: Share = Field(0.5, description="Share of that peak that is reached")
    image_seconds: NotNegative = Field(0.01, description="Reading and cropping one image file on one core, s")
    oracle_skipped: Below1 = Field(
        0.8,
        description="Share of the samples of an oracle-supervised training whose target is x_1 - x_0 to below "
        "rounding, so that nothing is computed; the training's log says how many there are",
    )
