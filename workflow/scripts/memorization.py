"""Adapter: distances of samples to training images, and the pictures that show them side by side."""

from twostage.evaluation.memorization import measure_memorization
from twostage.evaluation.pictures import collect_pictures
from twostage.job import job

with job(snakemake):
    inputs, params, settings = snakemake.input, snakemake.params, snakemake.params.evaluation
    latents = {
        "store_path": inputs.latents,
        "held_out_path": inputs.held_out,
        "encoder_spec": params.encoder,
        "encoder_weights": inputs.get("weights"),
    }
    measure_memorization(
        params.samples,
        snakemake.output.table,
        snakemake.output.neighbours,
        **latents,
        features=settings["features"],
        classifier=inputs.get("classifier"),
        inception=settings["inception_weights"],
        dinov2=settings["dinov2_weights"],
        device=params.device,
    )
    collect_pictures(params.samples, snakemake.output.pictures, neighbours_csv=snakemake.output.neighbours, **latents)
