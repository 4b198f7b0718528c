"""Jobs of workflow/rules/data.smk: what is fetched, the index of images, autoencoders, encoding."""

import os

from twostage.estimate import peaks
from twostage.estimate.memory import ENTRY, GIB, NETWORK, autoencoder_peaks, default_of, reading, store
from twostage.estimate.row import BYTES, Row
from twostage.estimate.setting import CONTENTS, INDEX

# Training: the backward pass costs twice the forward pass.
PASSES = 3
# Bytes of published files, roughly: they are not in the configuration.
CHECKPOINT_BYTES, WEIGHTS_BYTES, CIFAR10_BYTES = 3e9, 4e8, 3.6e8
INDEX_SECONDS = 6e-4  # reading a file of 110 kB, its digest, the picture's header
IMPORTED = 2 * GIB  # memory for a part of a file of latents that others made


def rows(setting):
    """Rows of what is fetched, and of the index of class folders."""
    for place in setting.config.files():
        if not os.path.exists(place):
            size = CHECKPOINT_BYTES if "lightningdit" in place else WEIGHTS_BYTES
            yield Row("fetch_weights", os.path.basename(place), disk=size, stage="data", makes=(place,))
    for place in setting.image_files():
        if place == INDEX:
            yield _index(setting)
        elif place == CONTENTS:
            yield _contents(setting)
        elif not os.path.exists(f"{place}batches.meta"):
            yield Row("fetch_images", disk=CIFAR10_BYTES, stage="data", makes=(place,))


def _index(setting):
    count = sum(setting.images.values())
    return Row(
        "index", samples=count, cpu_seconds=INDEX_SECONDS * count, stage="data", makes=(INDEX,),
        on_host=lambda: 2 * ENTRY * count,
    )  # fmt: skip


def _contents(setting):
    count = sum(setting.images.values())
    return Row(
        "contents", samples=count, cpu_seconds=setting.decoding(count), stage="data", needs=(INDEX,), makes=(CONTENTS,),
        on_host=lambda: reading(setting, "data") + 2 * ENTRY * count,
    )  # fmt: skip


def rows_of_space(setting, space):
    """Rows of a latent space's autoencoder and latents."""
    encoder, data = setting.config.spaces[space].encoder, setting.config.data
    if encoder.kind == "kl":
        yield _autoencoder(setting, space)
    if encoder.kind == "none":
        yield _import_alone(setting, space)
        return
    stores = (f"data/{space}/latents.h5", f"data/{space}/held_out.h5")
    imported = setting.config.spaces[space].imported
    if data.shards > 1 and not imported:
        shards = f"data/{space}/shards/"
        for split, jobs in (("train", data.shards), ("held_out", 1)):  # held-out images are few
            made = (f"{shards}{split}-",)
            yield _encoded(setting, space, "encode_shard", f"{space}, {split}", [split], jobs=jobs, makes=made)
        yield Row(
            "join", space, stage="data", needs=(f"{shards}train-", f"{shards}held_out-"), makes=stores,
            on_host=lambda: 2 * store(setting),
        )  # fmt: skip
    elif imported:
        yield _encoded(setting, space, "import_latents", space, ["held_out"], ["train"], makes=stores)
    else:
        yield _encoded(setting, space, "encode", space, ["train", "held_out"], makes=stores)


def _autoencoder(setting, space):
    encoder, train = setting.config.spaces[space].encoder, setting.images["train"]
    seen, both = encoder.steps * encoder.batch_size, sum(setting.encoder_flops(space))
    features = ("evaluation/classifier/features",) if encoder.align_weight else ()

    def on_host():
        return reading(setting, "data") + train * setting.feature_width(["classifier"]) * BYTES + NETWORK

    return Row(
        "autoencoder", space, samples=seen, flops=PASSES * seen * both,
        cpu_seconds=setting.decoding(seen), stage="data", needs=(*setting.image_files(), *features),
        makes=(f"data/{space}/encoder.safetensors",),
        on_gpu=lambda: peaks.autoencoder_training_peak(*setting.autoencoder(space)[1:], encoder.batch_size),
        on_host=on_host,
    )  # fmt: skip


def _import_alone(setting, space):
    return Row(
        "import_alone", space, disk=setting.images["train"] * setting.dim(space) * BYTES, stage="data",
        makes=(f"data/{space}/latents.h5",), on_host=lambda: store(setting) + IMPORTED,
    )  # fmt: skip


def _encoded(setting, space, rule, where, splits, taken=(), **others):
    """The row of a rule that encodes the images of ``splits``, and takes the latents of those ``taken`` as they are."""
    copies, (inward, _) = 1 + setting.config.data.flips, setting.encoder_flops(space)
    read = sum(setting.images[split] for split in splits)
    stored = read + sum(setting.images[split] for split in taken)
    latent = setting.dim(space) * BYTES

    def on_host():
        from twostage.data.encode import encode

        together = default_of(encode, "batch_size")
        images = (setting.config.jobs.data.threads + 1) * together * setting.pixels * copies  # read ahead
        held = reading(setting, "data") + store(setting) + images + 4 * together * latent + NETWORK
        return held + (IMPORTED if taken else 0)

    return Row(
        rule,
        where,
        samples=read * copies,
        flops=read * copies * inward,
        cpu_seconds=setting.decoding(read),
        disk=stored * copies * latent,
        stage="data",
        needs=(*setting.encoder_files(space), *setting.image_files()),
        on_gpu=lambda: autoencoder_peaks(setting, space, "data")[0],
        on_host=on_host,
        **others,
    )
