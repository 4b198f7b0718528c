"""Samples in the form that the ADM evaluator reads: an npz with ``arr_0``, uint8 (N, H, W, 3)."""

import argparse
import zipfile

import numpy as np

from twostage.evaluation.images import SampledImages
from twostage.provenance import atomic_write, write_provenance
from twostage.storage import OutputFile


def export_adm(paths, output, *, seed=None, count=None, name="samples", batch_size=256):
    """Write the samples of one plan (paths of its shards) as an ADM npz, in the order of seed and index.

    seed: only samples of this seed; count: at most this many samples. Grey images get three equal channels. Images are
    streamed; they are never all in memory. Raises ValueError when there are no samples.
    """
    samples = SampledImages.open(name, paths)
    chosen = np.arange(len(samples)) if seed is None else np.flatnonzero(samples.seed == seed)
    chosen = chosen[:count]
    if len(chosen) == 0:
        raise ValueError(
            f"plan {name}: no samples of seed {seed}; expected one of {sorted(set(samples.seed.tolist()))}"
        )
    shape = (len(chosen), *samples.image_shape[:2], 3)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    # The same file as np.savez writes, but without the whole array in memory.
    with (
        atomic_write(output) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
        archive.open("arr_0.npy", "w", force_zip64=True) as stream,
    ):
        np.lib.format.write_array_header_1_0(stream, header)
        for images in samples.batches(batch_size, chosen):
            stream.write(np.ascontiguousarray(np.broadcast_to(images, (len(images), *shape[1:]))).tobytes())
    write_provenance(output, seed=seed, inputs=list(paths), samples=len(chosen), plan=samples.attributes["plan"])


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m twostage.evaluation.export", description="Samples as ADM's npz, for its evaluator."
    )
    parser.add_argument("shards", nargs="+", help="the plan's shard-*.h5")
    parser.add_argument("--output", required=True, action=OutputFile, help="npz to write")
    parser.add_argument("--seed", type=int, help="samples of this seed only")
    parser.add_argument("--count", type=int, help="at most this many samples")
    options = parser.parse_args(arguments)
    export_adm(options.shards, options.output, seed=options.seed, count=options.count)


if __name__ == "__main__":
    main()
