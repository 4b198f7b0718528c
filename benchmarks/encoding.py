"""How much the pipeline around an encoder costs, how long joining shards takes, and whether memory grows with N.

    python benchmarks/encoding.py                          # CPU, SD-VAE's architecture at a reduced width
    python benchmarks/encoding.py --device cuda --width 128 --images 4096 --batch-size 64 --threads 16

Prints one line of JSON a measurement. The pipeline reads JPEGs of ImageNet's usual size, crops, encodes and writes a
store; its time is compared with the encoder's own forward passes over the same batches, already in memory.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from twostage.data.datasets import ImageDataset, load_dataset
from twostage.data.encode import encode, join
from twostage.data.encoders import Autoencoder, Encoder
from twostage.data.latents import LatentStore, write_store

ATTRIBUTES = {
    "encoder": "none", "encoder_sha256": "none", "posterior": "mean", "split": "train", "image_size": 256,
    "dataset": "generated", "dataset_fingerprint": "none", "may_be_left_out": 0,
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--width", type=int, default=32, help="channels of the first level; SD-VAE has 128")
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--image-size", type=int, default=256, help="side that they are cropped to")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        for measure in (throughput, joining, memory):
            print(json.dumps(measure(Path(folder), options)), flush=True)


def throughput(folder, options):
    """Images per second through the encoder alone and through the whole pipeline."""
    write_jpegs(folder / "images", options.images)
    dataset = load_dataset("image_folder", "train", path=folder / "images", held_out=0.0, image_size=options.image_size)
    encoder = sd_vae(options)
    batches = [
        torch.from_numpy(dataset.images(range(start, min(start + options.batch_size, len(dataset)))))
        for start in range(0, len(dataset), options.batch_size)
    ]
    encoder.encode(batches[0]).cpu()  # warm up
    pipeline = lambda: encode(  # noqa: E731
        dataset, encoder, folder / "latents.h5", batch_size=options.batch_size, workers=options.threads
    )
    forward, whole = [], []
    for _ in range(3):  # interleaved, the best of three: the machine may be shared
        forward.append(seconds(lambda: [encoder.encode(batch).cpu() for batch in batches]))
        (folder / "latents.h5").unlink(missing_ok=True)
        whole.append(seconds(pipeline))
    return {
        "measurement": "encoding",
        "device": options.device,
        "width": options.width,
        "threads": options.threads,
        "images": len(dataset),
        "forward_images_per_second": round(len(dataset) / min(forward), 2),
        "pipeline_images_per_second": round(len(dataset) / min(whole), 2),
        "pipeline_over_forward_time": round(min(whole) / min(forward), 3),
    }


def sd_vae(options):
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    width = options.width
    network = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[width, 2 * width, 4 * width, 4 * width],
        layers_per_block=2,
    )
    return Autoencoder("sd-vae", network, "random", device=options.device)


def write_jpegs(folder, count, size=(500, 375)):
    """JPEGs of smooth random content, whose decoding costs about what a photograph's does."""
    rng = np.random.default_rng(0)
    (folder / "class").mkdir(parents=True)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        image = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / "class" / f"{number:06d}.jpg", quality=90)


def joining(folder, options, shards=100, rows=12_812, shape=(4, 2, 2)):
    """Time to join 100 shards with the rows of ImageNet's (1.28 million in all), and to open and read the result."""
    paths = [folder / "shards" / f"{number}.h5" for number in range(shards)]
    rng = np.random.default_rng(0)
    for number, path in enumerate(paths):
        labels = np.sort(rng.integers(10 * number, 10 * number + 10, rows))
        with write_store(path, rows, shape) as writer:
            writer.write(0, rng.standard_normal((rows, *shape)).astype(np.float32))
            source = np.arange(number * rows, (number + 1) * rows)
            writer.finish(labels, source, 1000, {**ATTRIBUTES, "shard": f"{number + 1}/{shards}"})
    spent = seconds(lambda: join(paths, folder / "joined.h5"))
    opened = seconds(lambda: LatentStore.open(folder / "joined.h5"))
    store = LatentStore.open(folder / "joined.h5")
    batch = rng.integers(0, len(store), 512)
    store.read(batch)
    return {
        "measurement": "join",
        "shards": shards,
        "samples": len(store),
        "join_seconds": round(spent, 3),
        "joined_bytes": (folder / "joined.h5").stat().st_size,
        "shard_bytes": sum(path.stat().st_size for path in paths),
        "open_seconds": round(opened, 3),
        "read_512_random_milliseconds": round(1e3 * seconds(lambda: store.read(batch)), 2),
    }


class Generated(ImageDataset):
    """Images that take no memory until asked for."""

    def __init__(self, count):
        super().__init__("generated", "train", np.zeros(count, np.int64), ["class"], (64, 64, 3), "none")

    def image(self, index):
        return np.random.default_rng(index).integers(0, 256, self.image_shape, dtype=np.uint8)


def memory(folder, options, counts=(1000, 8000)):
    """Peak memory of encoding and then streaming N and 8 N images, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    peaks = {}
    for count in counts:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            peaks[count] = pool.submit(peak_of_encoding, str(folder / f"{count}.h5"), count).result()
    return {
        "measurement": "memory",
        "latent_megabytes": {str(count): round(count * 64 * 64 * 3 * 4 / 2**20) for count in counts},
        "peak_megabytes": {str(count): round(peak) for count, peak in peaks.items()},
    }


def peak_of_encoding(path, count):
    torch.set_num_threads(1)
    encode(Generated(count), Encoder(), path)
    for _ in LatentStore.open(path).batches(64):
        pass
    # Not getrusage: its maximum starts at the parent's, whatever the child does.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
