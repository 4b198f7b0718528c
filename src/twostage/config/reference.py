"""config/README.md: every block and every key, from the blocks themselves."""

import json

from twostage.config import blocks


def reference():
    """The text of config/README.md: every block, every key with its meaning, type and default."""
    lines = [
        "# Configuration",
        "",
        "Generated from `src/twostage/config/` by `python -m twostage.config > config/README.md`;",
        "a test keeps the two in step.",
        "",
        "`config.yaml` is the embedded default. Another file, given with `snakemake --configfile config/cifar10.yaml`,",
        "replaces the default, it is not merged into it; single keys with `--config seed=1`.",
    ]
    documented = [
        ("Top level", blocks.Config),
        ("data", blocks.Data),
        ("spaces.{name}", blocks.Space),
        ("spaces.{name}.encoder: identity", blocks.IdentityEncoder),
        ("spaces.{name}.encoder: kl", blocks.KLEncoder),
        ("spaces.{name}.encoder: sd-vae, va-vae, tiny", blocks.PretrainedEncoder),
        ("spaces.{name}.encoder.latents", blocks.Latents),
        ("A file of weights", blocks.File),
        ("models.{name}", blocks.Model),
        ("training", blocks.Training),
        ("oracle", blocks.Oracle),
        ("synthetic", blocks.Synthetic),
        ("nsweep", blocks.SizeSweep),
        ("oracle_loss", blocks.OracleLoss),
        ("sampling", blocks.Sampling),
        ("experiments", blocks.Experiments),
        ("experiments.tab1", blocks.StageSwap),
        ("experiments.tab2", blocks.TimestepShift),
        ("experiments.tab3", blocks.GuidanceInterval),
        ("experiments.fig5", blocks.MixedSampling),
        ("experiments.fig6", blocks.ResumedSampling),
        ("experiments.fig8", blocks.Predictions),
        ("experiments.tab_plans", blocks.OwnPlans),
        ("experiments.fig_samples", blocks.Pictures),
        ("experiments.fig_oracle_supervised", blocks.Convergence),
        ("flux", blocks.Flux),
        ("classifier", blocks.Classifier),
        ("evaluation", blocks.Evaluation),
        ("jobs", blocks.Jobs),
        ("jobs.{stage}", blocks.Resources),
        ("jobs.training", blocks.TrainingResources),
        ("estimate", blocks.Hardware),
    ]
    for title, block in documented:
        lines += [
            "",
            f"## {title}",
            "",
            " ".join(block.__doc__.split()),
            "",
            "| key | meaning | type | default |",
            "| --- | --- | --- | --- |",
        ]
        schema = block.model_json_schema()["properties"]
        for key, field in block.model_fields.items():
            default = "required" if field.is_required() else _default(field.default)
            lines.append(f"| `{key}` | {field.description} | {_type(schema[key])} | {default} |")
    return "\n".join(lines) + "\n"


def _default(value):
    return "see below" if isinstance(value, blocks.Block) else f"`{json.dumps(value)}`"


def _type(schema):
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(option) for option in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{option}`" for option in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        items = schema.get("items") or {"type": "number"}
        return f"list of {_type(items)}"
    if schema.get("type") == "object":
        return "mapping"
    if "$ref" in schema or "oneOf" in schema or "discriminator" in schema:
        return "block"
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    names = {"null": "nothing", "boolean": "true or false", "string": "text"}
    return " ".join([names.get(schema.get("type"), schema.get("type", "value")), ", ".join(limits)]).strip()
