"""HDF5 files of the stages: data that lie in another file, behind a link, are not read."""

import contextlib

import h5py
import numpy as np


@contextlib.contextmanager
def opened(path, joined=()):
    """Context that yields the ``h5py.File`` at ``path``, for reading.

    joined: names of data sets that may consist of other files, whose paths the reader checks. Raises OSError for a file
    that is not HDF5; ValueError, with the path, if data lie in another file or behind a link: a file from somebody else
    could otherwise read files of its reader.
    """
    with h5py.File(path, "r") as file:
        refuse_elsewhere(path, file, joined)
        yield file


def refuse_elsewhere(path, file, joined=()):
    """ValueError if data of an open file lie in another file; arguments as in ``opened``."""
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{path}: /{name} is a link to another place; expected the data themselves")
        dataset = file[name]
        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(f"{path}: /{name} is a group; expected data sets alone, as twostage writes them")
        if dataset.external or (dataset.is_virtual and name not in joined):
            raise ValueError(f"{path}: /{name} is kept in another file; expected the data themselves")


def write_texts(file, name, texts):
    """Write texts as a data set; they need not be UTF-8 (file names are not always). Without texts, write nothing."""
    if texts:
        file[name] = np.array([text.encode("utf-8", "surrogateescape") for text in texts], dtype=h5py.string_dtype())


def read_texts(file, name):
    """The texts that ``write_texts`` wrote, a list of valid Unicode; empty if there are none."""
    return [text.decode("utf-8", "backslashreplace") for text in file[name][:]] if name in file else []
