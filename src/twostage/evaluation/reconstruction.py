"""How much of the images a latent space keeps: reconstructions against their originals, in pixels and in features."""

import numpy as np
import pandas as pd

from twostage.data.encoders import files_of, load_encoder
from twostage.data.reconstruction import psnr, reconstructed_batches, squared_error
from twostage.evaluation.features import load_extractors
from twostage.evaluation.frechet import distance_of_roots, mean_and_root
from twostage.evaluation.images import load_split
from twostage.provenance import atomic_write, write_provenance


def measure_reconstruction(
    dataset,
    encoder_spec,
    encoder_weights,
    output,
    *,
    images,
    features=("classifier",),
    classifier=None,
    inception=None,
    dinov2=None,
    batch_size=64,
    device="cpu",
):
    """Write the quality of an encoder's reconstructions as CSV, one row per split and kind of features. Returns the
    table.

    dataset: dict, name and options of ``twostage.data.datasets.load_dataset``; images: largest number of images per
    split, evenly spaced; features: extractors; classifier, inception, dinov2: their weights.
    Columns: split, images; mse (squared grey levels), psnr (dB, mean over images; inf where one is exact); features,
    distance: the Frechet distance between the reconstructions and their originals (rFID in Inception's features).
    """
    encoder = load_encoder(encoder_spec, encoder_weights, device)
    extractors = load_extractors(
        features, classifier_path=classifier, inception_path=inception, dinov2_path=dinov2, device=device
    )
    rows = []
    for split in ("train", "held_out"):
        errors, found = [], {extractor.name: ([], []) for extractor in extractors}
        for pair in reconstructed_batches(encoder, load_split(dataset, split), batch_size, images):
            errors.append(squared_error(*pair))
            for extractor in extractors:
                for kept, shown in zip(found[extractor.name], pair):
                    kept.append(extractor(shown))
        errors = np.concatenate(errors)
        quality = {"split": split, "images": len(errors), "mse": errors.mean(), "psnr": psnr(errors).mean()}
        for extractor in extractors:
            original, reconstructed = (mean_and_root(np.concatenate(parts)) for parts in found[extractor.name])
            rows.append(
                {**quality, "features": extractor.name, "distance": distance_of_roots(*reconstructed, *original)}
            )
    table = pd.DataFrame(rows)
    with atomic_write(output) as temporary:
        table.to_csv(temporary, index=False)
    config = {"dataset": dataset, "encoder": encoder_spec, "images": images}
    write_provenance(output, config=config, inputs=files_of(encoder_weights))
    return table
