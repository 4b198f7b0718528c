"""How well an encoder's latents keep the images: reconstruction and its peak signal-to-noise ratio."""

import numpy as np
import torch


def reconstruct(encoder, images):
    """Images uint8 (n, H, W, C) encoded (posterior mean) and decoded: uint8 array of the same shape."""
    return encoder.decode(encoder.encode_mean(torch.as_tensor(images))).numpy()


def reconstructed_batches(encoder, dataset, batch_size=64, limit=None):
    """Pairs (images, reconstructions) over a data set, uint8 (n, H, W, C) each, n at most ``batch_size``.

    Unreadable images are left out. limit: number of evenly spaced images to use instead of all. Raises ValueError if no
    image can be read.
    """
    rows, some = np.arange(len(dataset)), False
    if limit is not None and limit < len(rows):
        rows = np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)
    for start in range(0, len(rows), batch_size):
        images = dataset.readable_images(rows[start : start + batch_size])[0]
        if len(images):
            some = True
            yield images, reconstruct(encoder, images)
    if not some:
        raise ValueError(f"no readable image in the {dataset.split} split of {dataset.name}")


def squared_error(images, others):
    """Mean squared difference of each pair of uint8 images (n, H, W, C): float64 (n,), in squared grey levels."""
    difference = np.asarray(images, dtype=np.float64) - np.asarray(others, dtype=np.float64)
    return (difference**2).mean(axis=(1, 2, 3))


def psnr(error):
    """Peak signal-to-noise ratio in dB of a mean squared error in squared grey levels (peak 255); inf for 0."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / np.asarray(error, dtype=np.float64))


def reconstruction_quality(encoder, dataset, batch_size=64, limit=None):
    """Quality over a data set: dict of ``images`` (number), ``mse`` (squared grey levels) and ``psnr`` (dB).

    psnr is the mean of the images' ratios, as is usual for autoencoders; None if an image is reconstructed exactly.
    """
    pairs = reconstructed_batches(encoder, dataset, batch_size, limit)
    errors = np.concatenate([squared_error(*pair) for pair in pairs])
    ratio = psnr(errors).mean()
    return {"images": len(errors), "mse": float(errors.mean()), "psnr": float(ratio) if np.isfinite(ratio) else None}
