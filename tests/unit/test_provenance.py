"""Atomic writes, the JSON beside artefacts, and hashes of code that ignore its looks."""

import json
import os
import shutil

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from twostage import provenance
from twostage.provenance import atomic_write, code_of, sha256, write_json, write_provenance


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")

    def write_half():
        with atomic_write(target) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"x" * 10_000),
        lambda path: h5py.File(path, "w").create_dataset("a", data=np.zeros(100_000)).file.close(),
    ],
    ids=["plain", "HDF5"],
)
def test_a_full_disk_is_said_whatever_wrote(tmp_path, write):
    target = tmp_path / "samples.h5"
    target.write_text("old")

    def fill():
        with atomic_write(target) as temporary:
            temporary.symlink_to("/dev/full")  # every write to it fails as on a full disk
            write(temporary)

    with pytest.raises(OSError, match=r"the disk is full, so .*samples.h5 could not be written; .* same command"):
        fill()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    old, fresh, other = (tmp_path / name for name in (".latents.h5.0123abcd.tmp", ".a.csv.0123abcd.tmp", ".b.tmp"))
    for path in (old, fresh, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, times=(0, 0))
    with atomic_write(tmp_path / "table.csv") as temporary:
        temporary.write_text("whole")
    # a process may still write the fresh one, and the other is not of this project
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "table.csv", fresh, other])


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_files_are_readable_to_whom_the_umask_lets_read(tmp_path, umask):
    before = os.umask(umask)
    try:
        for name, write in {
            "text": lambda path: path.write_text("text"),
            "safetensors": lambda path: save_file({"a": torch.zeros(1)}, path),
        }.items():
            with atomic_write(tmp_path / name) as temporary:
                write(temporary)
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o666 & ~umask
    finally:
        os.umask(before)


def test_provenance_names_what_made_the_file(tmp_path):
    source, artefact = tmp_path / "in.txt", tmp_path / "out.json"
    source.write_text("input")
    write_json(artefact, {"value": 1})
    write_provenance(artefact, config={"steps": 50}, seed=7, inputs=[source], nfe=50)
    record = json.loads((tmp_path / "out.json.provenance.json").read_text())
    assert record["sha256"] == sha256(artefact)
    assert record["inputs"] == {str(source): sha256(source)}
    assert (record["config"], record["seed"], record["nfe"]) == ({"steps": 50}, 7, 50)
    assert record["versions"]["torch"]
    assert {"commit", "created", "machine"} <= record.keys()


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"value": float("nan")})


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package of the same name, whose hash can be watched while it is edited."""
    root = tmp_path / "twostage"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "figure.py").write_text(
        '"""Draws."""\nfrom twostage import style\n\n\ndef draw():\n    return style.COLOUR\n'
    )
    (root / "style.py").write_text("COLOUR = 1\n")
    monkeypatch.setattr(provenance, "PACKAGE_ROOT", root)

    def hash_after(**edits):
        for name, text in edits.items():
            (root / f"{name}.py").write_text(text)
        provenance._syntax.cache_clear()
        return code_of("twostage.figure")

    yield hash_after
    provenance._syntax.cache_clear()
    shutil.rmtree(root)


def test_looks_do_not_change_the_hash_but_meaning_does(package):
    before = package()
    looks = (
        '"""Draws well."""\nfrom twostage import style\n\n'
        'def draw():\n    """Now said."""\n    # and why\n    return (style.COLOUR)\n'
    )
    assert package(figure=looks) == before
    assert package(figure=looks.replace("style.COLOUR", "style.COLOUR + 1")) != before


def test_types_of_arguments_do_not_change_the_hash_nor_do_imports_for_them_alone(package):
    before = package()
    typed = (
        "from typing import Any\nimport colour as c\nfrom twostage import style\nfrom twostage.other import Shade\n\n"
        "def draw(*shades: Shade, light: c.Light = None, **rest: Any) -> c.Light | None:\n    return style.COLOUR\n"
    )
    untyped = "from twostage import style\n\n\ndef draw(*shades, light=None, **rest):\n    return style.COLOUR\n"
    assert package(figure=typed, other="class Shade: ...\n") == package(figure=untyped) != before
    assert package(other="class Shade: 1\n") == package(figure=typed)
    used = typed.replace("style.COLOUR", "c")
    assert package(figure=used) != package(figure=used.replace("import colour as c\n", ""))


def test_fields_of_a_class_count(package):
    field = "class Colour:\n    red: int\n"
    assert package(figure=field) != package(figure=field.replace("int", "float"))


def test_a_change_in_an_imported_module_changes_the_hash(package):
    before = package()
    assert package(style="COLOUR = 2\n") != before


def test_a_module_that_is_not_there_is_refused(package):
    with pytest.raises(ValueError, match=r"no module 'twostage\.figur'"):
        code_of("twostage.figur")


EVERYWHERE = """
import a
try:
    import b
except ValueError:
    import c
else:
    import d
finally:
    import e
match a:
    case 1:
        import f
for a in b:
    import g
else:
    import h
while a:
    with b:
        if c:
            import i
        elif d:
            import j
        else:
            import k


class A:
    async def m():
        async for a in b:
            import n
"""


def test_an_import_is_found_wherever_it_stands(package):
    letters = "abcdefghijkn"
    assert EVERYWHERE.count("import ") == len(letters)
    hashes = [package(figure=EVERYWHERE.replace("import ", "from twostage import "))]
    for letter in letters:
        hashes.append(package(**{letter: "COLOUR = 1\n"}))
        hashes.append(package(**{letter: "COLOUR = 2\n"}))
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("f(1, 2)", "f(12)"),
        ("f('a', 'b')", "f(\"a', 'b\")"),
        ("x = [[a], b]", "x = [[a, b]]"),
        ("x = a, (b, c)", "x = (a, b), c"),
        ("x: int", "(x): int"),
        ("a - b - c", "a - (b - c)"),
        ("1", "1.0"),
        ("u'a'", "'a' 'b'"),
        ("from . import a", "from .. import a"),
        ("def f(a, *, b): ...", "def f(a, b): ..."),
        ("def f(a=1): ...", "def f(*, a=1): ..."),
        ("f'{a!r}'", "f'{a}'"),
        ("-1", "~1"),
    ],
)
def test_whatever_means_something_else_has_another_hash(package, one, other):
    assert package(figure=f"x = 0\n{one}\n") != package(figure=f"x = 0\n{other}\n")
