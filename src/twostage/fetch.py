"""Fetches a file once, with its sha256 checked, or a whole repository, from the Hugging Face hub or an address.

    python -m twostage.fetch '{"path": "weights/x.pt", "url": "https://...", "sha256": "..."}'
    python -m twostage.fetch '{"path": "weights/flux/fetched.json", "repo": "...", "revision": "..."}'

Local rules run this on a machine with internet; every job reads local files.
"""

import argparse
import contextlib
import fcntl
import json
import re
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

from twostage.disk import temporary_files
from twostage.provenance import atomic_write, sha256, write_json, write_provenance
from twostage.storage import here

TIMEOUT_S = 60  # a source that sends nothing for this long counts as gone
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
WEB_PAGE = (b"<!doctype html", b"<html", b"<head", b"<?xml")
KEYS = ("path", "repo", "revision", "file", "url", "sha256")


def fetch(path, *, repo=None, revision=None, file=None, url=None, sha256=None):
    """Fetch ``path``, atomically, from ``url`` or from the hub (``file`` of ``repo`` at ``revision``); returns its
    digest.

    sha256: expected digest, None for any. Raises ValueError, and keeps nothing, for another digest and if no source is
    given; OSError if the source cannot be reached, falls silent, or sends nothing or less than it announced. Parts that
    a killed attempt left are removed.
    """
    if not (repo or url):
        raise ValueError(
            f"{path}: no such file, and the configuration names no place to fetch it from; put it there, or add "
            "`repo`, `revision` and `file`, or `url`, beside `path`"
        )
    source = url or f"{repo}/{file} at revision {revision}"
    _sweep(Path(path))
    with atomic_write(path) as temporary:
        try:
            _download(temporary, url) if url else _from_hub(temporary, repo, revision, file)
        except Exception as error:  # the hub's client raises its own, requests' and httpx's errors
            expected = f", sha256 {sha256}" if sha256 else ""
            raise OSError(
                f"{source} could not be fetched ({_reason(error)}); put the file at {path} by hand{expected}"
            ) from None
        found = check_digest(temporary, sha256, source)
    write_provenance(path, source=source)
    return found


def fetch_repository(path, *, repo, revision):
    """Fetch a whole hub repository at a revision into the folder of ``path``, a JSON that is written at the end.

    The JSON holds repo, revision and {file: bytes}. Files that an earlier attempt has fetched are kept. Raises OSError
    if the repository cannot be reached.
    """
    import huggingface_hub

    folder = Path(path).parent
    try:
        huggingface_hub.snapshot_download(repo, revision=revision, local_dir=folder)
    except Exception as error:  # the hub's client raises its own, requests' and httpx's errors
        raise OSError(
            f"{repo} at revision {revision} could not be fetched ({_reason(error)}); fetch it where there is internet "
            "(a gated one needs `hf auth login`) and name its folder in the configuration instead of the hub id"
        ) from None
    for leftover in (folder / ".cache").rglob("*.incomplete"):  # of attempts that were killed
        leftover.unlink(missing_ok=True)
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and ".cache" not in file.parts]
    listed = {str(file.relative_to(folder)): file.stat().st_size for file in files}
    write_json(path, {"repo": repo, "revision": revision, "files": listed})
    write_provenance(path, source=f"{repo} at revision {revision}")


def refuse_stand_in(path, name=None):
    """Raise ValueError, with ``name`` or the path, where a file is empty, a Git LFS pointer or a web page."""
    name = name or path
    with open(path, "rb") as stream:
        head = stream.read(1024)
    if not head:
        raise ValueError(f"{name}: the file is empty; fetch it again")
    if head.startswith(LFS_POINTER):
        size = re.search(rb"\nsize (\d+)", head)
        stands_for = f"the {int(size[1]):,} bytes" if size else "the file"
        raise ValueError(
            f"{name}: this is a Git LFS pointer, not {stands_for} that it stands for; run `git lfs pull` in the "
            "repository that it came from, or download the file itself"
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(WEB_PAGE):
        raise ValueError(
            f"{name}: this is a web page (of a login or an error, perhaps), not the file; download the file itself"
        )


def check_digest(path, expected, name=None):
    """The sha256 of a file. Raises ValueError, with ``name`` or the path, if it is not ``expected`` (None: any), and if
    the file is a web page, a Git LFS pointer or empty."""
    refuse_stand_in(path, name)
    found = sha256(path)
    if expected is not None and found != expected:
        raise ValueError(
            f"{name or path}: sha256 is {found}; expected {expected}: fetch the file again or mend `sha256`"
        )
    return found


def _download(path, url):
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
        _fill(path, response, response.headers.get("Content-Length"))


def _from_hub(path, repo, revision, file):
    import huggingface_hub

    with open(huggingface_hub.hf_hub_download(repo, file, revision=revision), "rb") as source:
        _fill(path, source)


def _fill(path, source, announced=None):
    """Copy a stream to ``path``, which is locked meanwhile. OSError if no byte came, or not as many as announced."""
    with open(path, "wb") as stream:
        with contextlib.suppress(OSError):  # a file system without locks
            _lock(stream)
        shutil.copyfileobj(source, stream)
        count = stream.tell()
    if announced is not None and count != int(announced):
        raise OSError(f"{count} bytes came of {int(announced)} announced")
    if count == 0:
        raise OSError("the file is empty")


def _sweep(path):
    """Remove the parts of ``path`` that killed attempts left; a file that a living process writes is locked."""
    for leftover in temporary_files(path):
        with contextlib.suppress(OSError), open(leftover, "r+b") as stream:
            _lock(stream)
            leftover.unlink()


def _lock(stream):
    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _reason(error):
    return (str(getattr(error, "reason", error)).strip().splitlines() or [type(error).__name__])[0]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m twostage.fetch", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=json.loads, help=f"JSON with {', '.join(KEYS)}")
    options = parser.parse_args(arguments).file
    options["path"] = here(options["path"])
    try:
        if options.get("repo") and not options.get("file"):
            fetch_repository(options["path"], repo=options["repo"], revision=options["revision"])
            return 0
        digest = fetch(**{key: value for key, value in options.items() if key in KEYS})
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options['path']}: sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
