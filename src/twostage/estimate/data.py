"""Jobs of workflow/rules/data.smk: what is fetched, the index of images, autoencoders, encoding."""

import os

from twostage.estimate.row import BYTES, Row
from twostage.estimate.setting import CONTENTS, INDEX

# Training: the backward pass costs twice the forward pass.
PASSES = 3
# Bytes of published files, roughly: they are not in the configuration.
CHECKPOINT_BYTES, WEIGHTS_BYTES, CIFAR10_BYTES = 3e9, 4e8, 3.6e8
INDEX_SECONDS = 6e-4  # reading a file of 110 kB, its digest, the picture's header


def rows(setting):
    """Rows of what is fetched, and of the index of class folders."""
    for place in setting.config.files():
        if not os.path.exists(place):
            size = CHECKPOINT_BYTES if "lightningdit" in place else WEIGHTS_BYTES
            yield Row("fetch_weights", os.path.basename(place), disk=size, stage="data", makes=(place,))
    for place in setting.image_files():
        if place == INDEX:
            count = sum(setting.images.values())
            yield Row("index", samples=count, cpu_seconds=INDEX_SECONDS * count, stage="data", makes=(INDEX,))
        elif place == CONTENTS:
            count, needs = sum(setting.images.values()), (INDEX,)
            seconds = setting.decoding(count)
            yield Row("contents", samples=count, cpu_seconds=seconds, stage="data", needs=needs, makes=(CONTENTS,))
        elif not os.path.exists(f"{place}batches.meta"):
            yield Row("fetch_images", disk=CIFAR10_BYTES, stage="data", makes=(place,))


def rows_of_space(setting, space):
    """Rows of a latent space's autoencoder and latents."""
    encoder, data = setting.config.spaces[space].encoder, setting.config.data
    inward, outward = setting.encoder_flops(space)
    if encoder.kind == "kl":
        seen = encoder.steps * encoder.batch_size
        features = ("evaluation/classifier/features",) if encoder.align_weight else ()
        yield Row(
            "autoencoder", space, samples=seen, flops=PASSES * seen * (inward + outward),
            cpu_seconds=setting.decoding(seen), stage="data", needs=(*setting.image_files(), *features),
            makes=(f"data/{space}/encoder.safetensors",),
        )  # fmt: skip
    imported = setting.config.spaces[space].imported
    if encoder.kind == "none":
        disk = setting.images["train"] * setting.dim(space) * BYTES
        yield Row("import_alone", space, disk=disk, stage="data", makes=(f"data/{space}/latents.h5",))
        return
    stores = (f"data/{space}/latents.h5", f"data/{space}/held_out.h5")
    sharded = data.shards > 1 and not imported
    shards = (f"data/{space}/shards/",)
    read = setting.images["held_out"] + (0 if imported else setting.images["train"])
    copies = 1 + data.flips
    yield Row(
        "import_latents" if imported else "encode_shard" if sharded else "encode",
        space,
        jobs=data.shards + 1 if sharded else 1,  # held-out images are one
        samples=read * copies,
        flops=read * copies * inward,
        cpu_seconds=setting.decoding(read),
        disk=sum(setting.images.values()) * copies * setting.dim(space) * BYTES,
        stage="data",
        needs=(*setting.encoder_files(space), *setting.image_files()),
        makes=shards if sharded else stores,
    )
    if sharded:
        yield Row("join", space, stage="data", needs=shards, makes=stores)
