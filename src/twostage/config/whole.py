"""The whole configuration, composed of its blocks."""

from typing import Literal

from pydantic import Field, model_validator

from twostage.config.blocks.base import Block
from twostage.config.blocks.data import Data
from twostage.config.blocks.estimate import Hardware
from twostage.config.blocks.evaluation import Classifier, Evaluation
from twostage.config.blocks.experiment import MODEL_SETTINGS
from twostage.config.blocks.experiments import Experiments
from twostage.config.blocks.flux import Flux
from twostage.config.blocks.jobs import Jobs
from twostage.config.blocks.models import AnyModel, ForeignModel, in_full
from twostage.config.blocks.networks import Networks
from twostage.config.blocks.oracle import Oracle, OracleLoss, Settling, SizeSweep
from twostage.config.blocks.sampling import Sampling
from twostage.config.blocks.spaces import Space
from twostage.config.blocks.synthetic import Synthetic
from twostage.config.blocks.training import Training
from twostage.config.values import DashedName, Name, Natural, RunName, Several, Share
from twostage.sampling.plan import snapshot_of

# Top keys that are not read: one for YAML's anchors, and Snakemake's own.
UNREAD = "^(x-|pathvars$)"


class Config(Block):
    """The whole configuration."""

    run: RunName = Field(description="Name of the run. Results go to results/{run}/")
    seed: Natural = Field(0, description="Seed of everything except sampling, which has its own seeds")
    replicates: Several = Field(
        3, description="Number of runs that the target `replicates` compares: this one, and others with other seeds"
    )
    split: Literal["measured"] | Share = Field(
        "measured",
        description="Time that splits the two stages: `measured` (per latent space, from its posterior; "
        "transition.json), or a fixed time",
    )
    data: Data = Field(description="The images")
    spaces: dict[DashedName, Space] = Field(min_length=1, description="Latent spaces by name. null leaves one out")
    models: dict[Name, AnyModel] = Field(
        min_length=1,
        description="Models by name. Figures and claims order them by size. One with `factory` is built by your code",
    )
    training: Training = Field(description="Training recipe")
    oracle: Oracle = Field(Oracle(), description="Oracle posterior on the latents")
    settling: Settling | None = Field(
        None, description="When the posterior settles on single images. Without this key it does not run"
    )
    synthetic: Synthetic = Field(Synthetic(), description="Synthetic Gaussians")
    nsweep: SizeSweep = Field(SizeSweep(), description="Number of training samples N, varied on the latents")
    oracle_loss: OracleLoss = Field(OracleLoss(), description="Models' error by t")
    sampling: Sampling = Field(Sampling(), description="Sampling")
    experiments: Experiments = Field(Experiments(), description="Experiments")
    flux: Flux | None = Field(None, description="The two stages in Flux.1 (App. H). Without this key it does not run")
    classifier: Classifier = Field(Classifier(), description="Classifier whose features compare images")
    evaluation: Evaluation = Field(Evaluation(), description="Evaluation")
    networks: Networks = Field(Networks(), description="Encoders, decoders and feature networks")
    jobs: Jobs = Field(Jobs(), description="Resources of the jobs")
    estimate: Hardware = Field(Hardware(), description="Hardware that `estimate` assumes")

    @model_validator(mode="before")
    @classmethod
    def _models_in_full(cls, raw):
        """Fill in: a model with one of the paper's names, and without sizes, has the paper's; a bare `checkpoint`
        applies to every space.

        Where no latent space encodes or decodes, there are no images, and `data` need not be written. A latent space or
        an experiment that is null is left out, so that `--config 'spaces={vae: null}'` removes one that the file has;
        `{vae: }` and `{vae: ~}` come from a command line as text.
        """
        raw = dict(raw) if isinstance(raw, dict) else raw
        for key in ("spaces", "experiments"):
            if isinstance(raw, dict) and isinstance(raw.get(key), dict):
                raw[key] = {name: value for name, value in raw[key].items() if value not in (None, "", "~")}
        if not (isinstance(raw, dict) and isinstance(raw.get("models"), dict) and isinstance(raw.get("spaces"), dict)):
            return raw
        if "data" not in raw and raw["spaces"] and all(_kind_of(space) == "none" for space in raw["spaces"].values()):
            raw["data"] = {"name": "none", "image_size": 1}
        return {
            **raw,
            "models": {name: in_full(name, model, raw["spaces"]) for name, model in raw["models"].items()},
        }

    def files_by_key(self):
        """Every ``File`` of weights that a run with this configuration reads, by its key in the configuration."""
        found = {}
        for name, space in self.spaces.items():
            for key in ("weights", "decoder"):
                found[f"spaces.{name}.encoder.{key}"] = getattr(space.encoder, key, None)
        for name, model in self.models.items():
            found |= {f"models.{name}.checkpoint.{space}": file for space, file in model.checkpoint.items()}
            found[f"models.{name}.weights"] = getattr(model, "weights", None)
        for name in self.evaluation.published:
            found[f"evaluation.{name}_weights"] = getattr(self.evaluation, f"{name}_weights")
        found |= {f"evaluation.references.{name}": file for name, file in self.evaluation.given_references.items()}
        return {key: file for key, file in found.items() if file}

    def files(self):
        """Those files by their place."""
        return {file.place: file for file in self.files_by_key().values()}

    @property
    def sizes(self):
        """The models that differ in size alone, for comparisons of sizes: by number of parameters, smallest first,
        whatever their order in the file. Where every model is foreign, the first that is in all latent spaces."""
        alike = [name for name in self.lightningdits if self.models[name].target in (None, self.training.target)]
        return sorted(alike, key=lambda name: self.models[name].parameters) or self._everywhere[:1]

    @property
    def foreign(self):
        """The models that the user's own code builds."""
        return [name for name, model in self.models.items() if isinstance(model, ForeignModel)]

    @property
    def lightningdits(self):
        """The other models, which are trained or imported."""
        return [name for name in self.models if name not in self.foreign]

    @property
    def shown(self):
        """The models whose errors are drawn together: the foreign ones of all latent spaces, then ``sizes``."""
        return [name for name in self._everywhere if name not in self.sizes] + self.sizes

    @property
    def _everywhere(self):
        """The foreign models that are for all latent spaces."""
        return [name for name in self.foreign if {*self.spaces} <= {*(self.models[name].spaces or self.spaces)}]

    def is_trained(self, model, space):
        """Whether a model of a latent space is trained there, not imported or built by the user's own code."""
        return model not in self.foreign and space not in self.models[model].checkpoint

    @property
    def aligned(self):
        """{latent space of an autoencoder: whether its latents are aligned with semantic features}"""
        found = {name: space.aligned for name, space in self.spaces.items()}
        return {name: aligned for name, aligned in found.items() if aligned is not None}

    def models_of(self, space):
        """The models of a latent space: all ``sizes``, the foreign ones that are for it, and others that an experiment
        needs."""
        asked = {
            model
            for experiment, settings in self.experiments
            if settings is not None and space in (settings.spaces or self.spaces)
            for model in self.models_named(experiment)
        }
        return [
            name
            for name, model in self.models.items()
            if (space in (model.spaces or self.spaces) if name in self.foreign else name in self.sizes or name in asked)
        ]

    def models_named(self, experiment):
        """The models that an experiment's settings name, also in the user's own plans (which are checked elsewhere)."""
        settings = getattr(self.experiments, experiment)
        parts = [part for plan in getattr(settings, "plans", {}).values() for part in plan.parts]
        fields = [snapshot_of(part.field)[0] for part in parts]
        beside = [each.model for each in getattr(settings, "beside", ())]
        single = [getattr(settings, key, None) for key in MODEL_SETTINGS]
        named = [*getattr(settings, "models", ()), *single, *beside, *fields]
        return [name for name in dict.fromkeys(named) if name in self.models]

    @property
    def pairs(self):
        """Numbers of pairs (x_0, x_1) of the oracle posterior: (per class, over all classes).

        Images without classes are one class, whose oracle is the one over all images.
        """
        oracle = self.oracle
        if self.data.unlabelled:
            return oracle.pairs_unconditional, 0
        return oracle.pairs_per_class, oracle.pairs_unconditional

    @property
    def class_drop(self):
        """Share of the training samples whose class is dropped: none where there are no classes."""
        return 0.0 if self.data.unlabelled else self.training.class_drop

    def model_steps(self, model):
        """Optimiser steps of a model; 0 where a foreign one's are not known."""
        return self.models[model].steps if model in self.foreign else self.models[model].steps or self.training.steps

    def snapshots(self, model, space=None):
        """Steps at which a model's EMA weights are kept, in order, its last step included.

        space: the latent space; where the model is not trained, only the last step. None: as for a training.
        """
        last = self.model_steps(model)
        if not self.is_trained(model, space):
            return [last]
        return sorted({step for step in self.training.snapshots if step < last} | {last})


def _kind_of(space):
    encoder = space.get("encoder") if isinstance(space, dict) else None
    return encoder.get("kind") if isinstance(encoder, dict) else None
