"""Adapter: distances of samples to training images, and the pictures that show them side by side."""

from twostage.job import by_name, job
from twostage.evaluation.memorization import measure_memorization
from twostage.evaluation.pictures import collect_pictures

with job(snakemake):
    inputs, params = snakemake.input, snakemake.params
    samples = by_name(params.plans, inputs.samples)
    latents = {
        "store_path": inputs.latents,
        "held_out_path": inputs.held_out,
        "encoder_spec": params.encoder,
        "encoder_weights": inputs.get("weights"),
    }
    measure_memorization(
        samples,
        snakemake.output.table,
        snakemake.output.neighbours,
        **latents,
        features=params.features,
        control_images=params.control_images,
        beside=params.get("beside"),
        classifier=inputs.get("classifier"),
        inception=inputs.get("inception"),
        dinov2=inputs.get("dinov2"),
        device=params.device,
    )
    collect_pictures(
        samples,
        snakemake.output.pictures,
        rows=params.rows,
        neighbours_csv=snakemake.output.neighbours,
        **latents,
    )
