"""How well an encoder's latents keep the images: reconstruction and its peak signal-to-noise ratio."""

import numpy as np
import torch


def reconstruct(encoder, images):
    """Images uint8 (n, H, W, C) encoded (posterior mean) and decoded: uint8, the same shape."""
    posterior, encoder.posterior = encoder.posterior, "mean"
    try:
        return encoder.decode(encoder.encode(torch.as_tensor(images))).cpu().numpy()
    finally:
        encoder.posterior = posterior


def squared_error(images, others):
    """Mean squared difference of each pair of uint8 images (n, H, W, C): float64 (n,), in squared grey levels."""
    difference = np.asarray(images, dtype=np.float64) - np.asarray(others, dtype=np.float64)
    return (difference**2).mean(axis=(1, 2, 3))


def psnr(error):
    """Peak signal-to-noise ratio in dB of a mean squared error in squared grey levels (peak 255); inf for 0."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / np.asarray(error, dtype=np.float64))


def reconstruction_quality(encoder, dataset, batch_size=128):
    """Quality over all images of a data set: dict of ``images``, ``mse`` (squared grey levels), ``psnr`` (dB).

    psnr is the mean over the images of each one's ratio, as usual for autoencoders; None where every image is exact.
    """
    errors = []
    for start in range(0, len(dataset), batch_size):
        images = dataset.readable_images(np.arange(start, min(start + batch_size, len(dataset))))[0]
        errors.append(squared_error(images, reconstruct(encoder, images)))
    errors = np.concatenate(errors)
    ratio = psnr(errors).mean()
    return {"images": len(errors), "mse": float(errors.mean()), "psnr": float(ratio) if np.isfinite(ratio) else None}
