"""``classifier`` and ``evaluation``: features, and the references with which samples are compared."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from twostage.config.blocks.base import Block
from twostage.config.blocks.files import File
from twostage.config.values import Count, Distinct, Positive, Several
from twostage.evaluation import defaults


class Classifier(Block):
    """The classifier that the workflow trains on the training images. Its features need no download."""

    steps: Count = Field(defaults.STEPS, description="Number of training steps")
    width: Count = Field(defaults.WIDTH, description="Number of channels of the first layer")
    batch_size: Count = Field(defaults.BATCH_SIZE, description="Images per step")
    lr: Positive = Field(
        defaults.LEARNING_RATE, description="Initial learning rate of AdamW. It falls to zero along a cosine"
    )

    @property
    def features(self):
        """Numbers that it makes of an image."""
        return defaults.FEATURES * self.width


# The tags appear only in pydantic's locations of mistakes.
Reference = Annotated[
    Annotated[Literal["held_out"], Tag("held_out")] | Annotated[File, Tag("file")],
    Discriminator(lambda value: "held_out" if value == "held_out" else "file"),
]


class Evaluation(Block):
    """The features for Fréchet distances. Only those of `inception` give the number called gFID."""

    features: Distinct[Literal["classifier", "inception", "dinov2"]] = Field(
        ["classifier"], min_length=1, description="Feature extractors"
    )
    inception_weights: File = Field(
        File(
            url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
            sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        ),
        description="Weights of Inception-v3: NVIDIA's TorchScript file, the one clean-fid uses",
    )
    dinov2_weights: File = Field(
        File(
            repo="timm/vit_base_patch14_dinov2.lvd142m",
            revision="4685c99dabffe5affac90bd99dbffd25801ae58d",
            file="model.safetensors",
            sha256="55cbb5d887b336d430e649c277b85a1429e724871f9d02ac16203235886d8c7b",
        ),
        description="Weights of DINOv2 ViT-B/14: timm's safetensors",
    )
    reconstruction_images: Several = Field(
        5000,
        description="Largest number of images per split (training, held-out) that `tab_reconstruction` compares with "
        "their reconstructions",
    )
    control_images: Several = Field(
        defaults.CONTROL_IMAGES,
        description="Largest number of held-out images used as the control for memorization. They are evenly spaced "
        "over the held-out images",
    )
    references: dict[Literal["classifier", "inception", "dinov2"], Reference] = Field(
        {},
        description="Reference images per feature extractor. Default: the training images. `held_out`: the held-out "
        "images. A file: an npz of images (`arr_0`, uint8 NHWC), or an npz of statistics (`mu`, `sigma`, as in ADM's "
        "reference batches and clean-fid's files). Statistics contain no features, so KID and PRDC are left out",
    )

    @model_validator(mode="after")
    def _references_are_used(self):
        if unused := set(self.references) - set(self.features):
            raise ValueError(f"references names {min(unused)}, which is not among features: {', '.join(self.features)}")
        return self

    @property
    def given_references(self):
        """{features: File} of the references that are files."""
        return {name: file for name, file in self.references.items() if file != "held_out"}

    @property
    def published(self):
        """The features that need published weights."""
        return [name for name in self.features if name != "classifier"]
