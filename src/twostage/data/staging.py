"""Latents on a node's own disk, for trainings that a shared file system would slow down."""

import contextlib
import dataclasses
import fcntl
import os
import shutil
import sys
import tempfile
from pathlib import Path

from twostage.data.latents import LatentStore


@contextlib.contextmanager
def staged(store, folder=None):
    """Context that yields the store with its latents copied to a new folder on local disk, which is removed at the end.

    folder: where to copy to, by default ``$TMPDIR``. The processes of one job on a node share one copy, which the first
    process makes. If it does not fit, the store itself is yielded, and stderr says so.
    """
    job = os.environ.get("SLURM_JOB_ID") or os.getppid()
    place = Path(folder or tempfile.gettempdir()) / f"twostage-{store.fingerprint[:12]}-{job}"
    place.mkdir(parents=True, exist_ok=True)
    try:
        yield _copied(store, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _copied(store, place):
    parts = store._header.parts
    sources = sorted({part.path for named in parts.values() for part in named})
    targets = {source: str(place / f"{number}-{Path(source).name}") for number, source in enumerate(sources)}
    with open(place / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [source for source in sources if not Path(targets[source]).exists()]
        needed, free = sum(os.path.getsize(source) for source in missing), shutil.disk_usage(place).free
        if needed > free:
            print(f"{place}: {needed} bytes of latents, {free} free; reading {store.path} in place", file=sys.stderr)
            return store
        for source in missing:
            shutil.copyfile(source, f"{targets[source]}.part")
            os.rename(f"{targets[source]}.part", targets[source])
    moved = {
        name: [dataclasses.replace(part, path=targets[part.path]) for part in named] for name, named in parts.items()
    }
    return LatentStore(dataclasses.replace(store._header, parts=moved))
