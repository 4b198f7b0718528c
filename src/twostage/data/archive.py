"""Class folders packed as one zip archive, which is read without unpacking it.

A member of an archive has a path as if the archive were a folder: ``images.zip/cat/1.png``.
"""

import io
import os
import stat
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache

from twostage.storage import here

SUFFIX = ".zip"


@dataclass(frozen=True)
class Member:
    """A file or folder of an archive, with the interface of ``os.DirEntry``; size: bytes, None for a folder."""

    name: str
    path: str
    size: int | None = None
    link: bool = False

    def is_dir(self):
        return self.size is None

    def is_file(self):
        return self.size is not None and not self.link

    def is_symlink(self):
        return self.link

    def stat(self):
        return os.stat_result([0] * 6 + [self.size] + [0] * 3)


def is_archive(path):
    """Whether a path is that of an archive."""
    return str(path).lower().endswith(SUFFIX) and os.path.isfile(here(path))


def entries(folder):
    """The files and folders directly in a folder, which may be an archive or lie in one: a list.

    Raises OSError for a folder that cannot be listed, and for an archive that cannot be read.
    """
    archive, inside = _divided(folder)
    if archive is None:
        return list(os.scandir(folder))
    found = _opened(archive)[1].get(inside)
    if found is None:
        raise OSError(0, "no such folder in the archive")
    return list(found.values())


def readable(path):
    """What ``open`` and Pillow can read: the path, or the content of a member of an archive as an open file.

    Raises OSError for a damaged or encrypted member.
    """
    archive, inside = _divided(path)
    if archive is None:
        return path
    try:
        return _Content(_opened(archive)[0].read(inside), path)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError) as error:
        raise OSError(f"{path}: cannot be read from the archive ({error})") from None


class _Content(io.BytesIO):
    """Bytes that are shown by their path in messages of decoders."""

    def __init__(self, content, path):
        super().__init__(content)
        self._path = str(path)

    def __repr__(self):
        return repr(self._path)


def _divided(path):
    """(archive, path inside it) of a path; (None, path) for one outside archives."""
    path = str(path)
    end = path.lower().find(f"{SUFFIX}/")
    archive = path if end < 0 else path[: end + len(SUFFIX)]
    return (archive, path[len(archive) + 1 :]) if is_archive(archive) else (None, path)


@cache
def _opened(archive):
    """An archive, open for as long as this process lives, and {folder in it: {name: Member}}."""
    try:
        file = zipfile.ZipFile(here(archive))
    except zipfile.BadZipFile as error:
        raise OSError(0, f"no whole zip archive: {error}") from None
    folders = {"": {}}
    for member in file.infolist():
        *above, name = member.filename.rstrip("/").split("/")
        place = ""
        for part in above:
            place = _folder(folders, archive, place, part)
        if member.is_dir():
            _folder(folders, archive, place, name)
        else:
            link = stat.S_ISLNK(member.external_attr >> 16)
            folders[place][name] = Member(name, f"{archive}/{member.filename}", member.file_size, link)
    return file, folders


def _folder(folders, archive, place, name):
    """The path inside the archive of the folder ``name`` in ``place``, which is noted if it is new."""
    path = f"{place}/{name}" if place else name
    folders[place].setdefault(name, Member(name, f"{archive}/{path}"))
    folders.setdefault(path, {})
    return path
