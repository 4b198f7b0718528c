"""Adapter: what a latent space keeps of the images."""

from twostage.job import job
from twostage.evaluation.reconstruction import measure_reconstruction

with job(snakemake):
    inputs, params = snakemake.input, snakemake.params
    measure_reconstruction(
        params.dataset,
        params.encoder,
        inputs.get("weights"),
        snakemake.output[0],
        images=params.images,
        features=params.features,
        classifier=inputs.get("classifier"),
        inception=inputs.get("inception"),
        dinov2=inputs.get("dinov2"),
        device=params.device,
    )
