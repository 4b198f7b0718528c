"""What a full disk and killed processes do to files that are being written."""

import contextlib
import errno
import glob
import time
from functools import cache
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)  # no space on the device, or none left of the user's quota
IN_WORDS = ("No space left on device", "Disk quota exceeded")  # in errors of libraries, which have no number
SILENT = 3600  # seconds without a write, after which nobody writes a temporary file any more


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk is full: the system's own, or one of HDF5 or safetensors.

    Torch's writer does not say why it failed; a training says what to do in any case.

    >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(ValueError("no space"))
    (True, False)
    """
    return getattr(error, "errno", None) in FULL or any(words in str(error) for words in IN_WORDS)


def temporary_files(path: Path) -> list[Path]:
    """The files of ``twostage.provenance.atomic_write`` that were to become ``path``."""
    return list(path.parent.glob(f".{glob.escape(path.name)}.*.tmp"))


@cache
def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; once per process, which may write many files.

    They would lie there for good, and a snapshot is large. One that was written to in the last hour may have a living
    process, on another machine too, and stays.
    """
    for leftover in folder.glob(".*.????????.tmp"):
        with contextlib.suppress(OSError):  # gone, or somebody else's
            if time.time() - leftover.lstat().st_mtime > SILENT:
                leftover.unlink()
