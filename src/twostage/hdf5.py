"""HDF5 files as the stages write them and read them: nothing that lies in another file is read by their name."""

import contextlib

import h5py
import numpy as np


@contextlib.contextmanager
def opened(path, joined=()):
    """Context that yields the ``h5py.File`` at ``path``, for reading.

    joined: names of data sets that may be put together of other files, whose places the reader checks. Raises OSError
    for what is no HDF5 file; ValueError, with the path, where data lie in another file or behind a link: a file that
    somebody else made would read what its reader's owner may not know.
    """
    with h5py.File(path, "r") as file:
        refuse_elsewhere(path, file, joined)
        yield file


def refuse_elsewhere(path, file, joined=()):
    """ValueError where data of an open file lie elsewhere; arguments as in ``opened``."""
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{path}: /{name} is a link to another place; expected the data themselves")
        dataset = file[name]
        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(f"{path}: /{name} is a group; expected data sets alone, as twostage writes them")
        if dataset.external or (dataset.is_virtual and name not in joined):
            raise ValueError(f"{path}: /{name} is kept in another file; expected the data themselves")


def write_texts(file, name, texts):
    """A data set of texts, which need not be UTF-8 (names of files are not always); nothing where there are none."""
    if texts:
        file[name] = np.array([text.encode("utf-8", "surrogateescape") for text in texts], dtype=h5py.string_dtype())


def read_texts(file, name):
    """The texts that ``write_texts`` wrote, a list, fit to be written anywhere; empty where there are none."""
    return [text.decode("utf-8", "backslashreplace") for text in file[name][:]] if name in file else []
