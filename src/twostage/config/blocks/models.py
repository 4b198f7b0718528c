"""``models``: LightningDiTs, and models that the user's own code builds, by name."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from twostage.config.blocks.base import Block
from twostage.config.blocks.files import Checkpoint, File
from twostage.config.blocks.statistics import Statistics
from twostage.config.values import Count, Distinct, Natural, NotNegative, Positive
from twostage.model.levels import problem
from twostage.model.sizes import SIZES
from twostage.own_code import FUNCTION

# Names of paths (``twostage.flow``), and what a model that was trained on one predicts as a rule.
PREDICTS = {"rectified": "velocity", "vp": "noise", "cosine": "noise", "ve": "score", "edm": "data"}
PATH = f"^({'|'.join(PREDICTS)}|{FUNCTION.strip('^$')})$"


class Model(Block):
    """A LightningDiT. Under the names S, B, L and XL its size is the paper's by default."""

    hidden_size: Count = Field(description="Width of the tokens")
    depth: Count = Field(description="Number of transformer blocks")
    num_heads: Count = Field(
        description="Number of attention heads. `hidden_size` must be a multiple of 4 times this number"
    )
    steps: Count | None = Field(None, description="Number of training steps of this model. Default: `training.steps`")
    target: Literal["cfm", "oracle"] | None = Field(
        None,
        description="Regression target of this model. Default: `training.target`. A model with another target is "
        "trained only in the latent spaces of experiments that name it",
    )
    checkpoint: dict[str, Checkpoint] = Field(
        {},
        json_schema_extra={"type": ["object", "string"]},
        description="Weights to import instead of training, per latent space. One file alone is used in every latent "
        "space. `steps` then says how long the model was trained. Formats: LightningDiT's .pt, SiT's .pt, safetensors",
    )

    @model_validator(mode="after")
    def _heads_fit(self):
        if self.hidden_size % (4 * self.num_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} with num_heads {self.num_heads}; "
                "expected a multiple of 4 x num_heads (2-D rotary positions)"
            )
        return self

    @property
    def parameters(self):
        """Number of parameters of a LightningDiT of this size, without those for patches, positions and classes, whose
        number depends on the latents."""
        width, gated = self.hidden_size, int(2 / 3 * 4 * self.hidden_size)
        attention = 4 * width * (width + 1)
        feed_forward = 2 * gated * (width + 1) + width * (gated + 1)
        block = attention + feed_forward + 6 * width * (width + 1) + 2 * width
        times = width * (256 + 1) + width * (width + 1)
        last = 2 * width * (width + 1) + width
        return self.depth * block + times + last


class ForeignModel(Block):
    """A model that your own code builds: a function that returns a callable (x, t, y). It is not trained here."""

    factory: str = Field(
        pattern=FUNCTION,
        description="The function, `package.module:function`, in an installed package or in the folder where Snakemake "
        "runs. It is called with the path of `weights`, if there is one, and with `options`",
    )
    weights: File | None = Field(None, description="File of weights that the function is given")
    options: dict[str, Any] = Field({}, description="Further arguments of the function, by name")
    spaces: Distinct[str] | None = Field(
        None, min_length=1, description="Latent spaces that the model is for. Default: all"
    )
    path: str = Field(
        "rectified",
        pattern=PATH,
        description="Path on which it was trained, whose points x and times t it is called with: "
        f"{', '.join(f'`{name}`' for name in PREDICTS)}, or `package.module:function` of your own, which returns one",
    )
    predicts: Literal["velocity", "noise", "score", "data"] | None = Field(
        None,
        description="What the callable returns. Default: "
        + ", ".join(f"{kind} for {name}" for name, kind in PREDICTS.items()),
    )
    normalisation: Literal["store"] | Statistics = Field(
        Statistics(),
        description="What its latents are normalised by; its noise has variance 1 in these units. Default: nothing, "
        "latents are as the encoder gives them, and pixels in [-1, 1]. `store`: as in this run",
    )
    sigma_min: NotNegative | None = Field(
        None,
        description="Least noise, sigma / alpha of its path, that it is asked at; nearer to the data it is asked at "
        "this. Default: 0.002, for `ve` 0.01, and none for the velocity of the rectified path",
    )
    sigma_max: Positive | None = Field(
        None, description="Most noise that it is asked at, likewise. Default: 80, for `ve` 50, and none as above"
    )
    dropped_label: Natural | None = Field(
        None, description="Label that stands for no class. Default: none, and the model cannot be guided"
    )
    steps: Natural = Field(0, description="Number of its training steps, for the record. 0: not known")
    like: Literal[tuple(SIZES)] = Field(
        "XL", description="Size of a LightningDiT that costs as much, for estimate and time limits"
    )

    @model_validator(mode="after")
    def _has_noise_levels(self):
        if wrong := problem(self.path, self.predicted, self.sigma_min, self.sigma_max):
            raise ValueError(wrong)
        return self

    @property
    def checkpoint(self):
        """No LightningDiT's file is imported for it."""
        return {}

    @property
    def predicted(self):
        """What the callable returns, its path's default where the configuration does not say."""
        return self.predicts or PREDICTS.get(self.path, "velocity")


def _kind_of(model):
    built = "factory" in model if isinstance(model, dict) else isinstance(model, ForeignModel)
    return (ForeignModel if built else Model).__name__


AnyModel = Annotated[
    Annotated[Model, Tag(Model.__name__)] | Annotated[ForeignModel, Tag(ForeignModel.__name__)],
    Discriminator(_kind_of),
]


def in_full(name, model, spaces):
    """A model as it is read, {key: value}, where its name alone, or a bare `checkpoint`, stands for more."""
    if isinstance(model, dict) and "factory" in model:
        return model
    model = {**SIZES.get(name, {}), **model} if isinstance(model, dict) else model or SIZES.get(name, {})
    file = model.get("checkpoint") if isinstance(model, dict) else None
    if isinstance(file, str) or (isinstance(file, dict) and set(file) & set(Checkpoint.model_fields) - set(spaces)):
        return {**model, "checkpoint": dict.fromkeys(spaces, file)}
    return model
