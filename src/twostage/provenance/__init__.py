"""Provenance of artefacts: atomic writes, the JSON beside each file, and hashes of code.

    python -m twostage.provenance verify results/digits

checks that a run's files agree with their JSONs (``twostage.provenance.verify``); exit code 1 if they do not.
Nothing here imports torch or runs anything heavy: Snakemake calls ``code_of`` while it builds the DAG.
"""

import ast
import contextlib
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from twostage.disk import is_full, remove_leftovers
from twostage.storage import COMMIT, name_of

PathLike = str | os.PathLike[str]

PACKAGE_ROOT = Path(__file__).resolve().parent.parent
VERSIONED_PACKAGES = ("twostage", "torch", "numpy", "snakemake", "diffusers", "timm", "h5py")


@contextlib.contextmanager
def atomic_write(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to ``path`` when the block ends without an error.

    A reader sees the old file or the whole new one, never a part. On error the temporary file is removed; what a killed
    process left is removed by the next that writes into this folder. A full disk is an OSError that says so.
    The file gets the permissions of the umask, whatever wrote it: safetensors' writer lets only the owner read.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    # A random name: process numbers repeat between the nodes of a cluster.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        temporary.unlink()  # some writers must create it themselves, or make it a link
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
            if os.fstat(written.fileno()).st_mode != mode:
                with contextlib.suppress(PermissionError):  # a link to somebody else's file
                    os.fchmod(written.fileno(), stat.S_IMODE(mode))
        os.replace(temporary, path)
    except Exception as error:
        if not is_full(error):
            raise
        raise OSError(
            f"the disk is full, so {path} could not be written; expected room for it. Free some, then run the same "
            "command: what is finished is kept"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: PathLike, content: Any) -> None:
    """Write ``content`` as indented JSON, atomically. NaN is refused: it is not JSON."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def sha256(path: PathLike) -> str:
    """Hex digest of a file's bytes, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def provenance_path(artefact: PathLike) -> Path:
    """The path of an artefact's provenance: ``<artefact>.provenance.json`` beside it."""
    return Path(f"{artefact}.provenance.json")


def write_provenance(
    artefact: PathLike,
    *,
    config: Any = None,
    seed: Any = None,
    inputs: Iterable[PathLike] = (),
    **facts: Any,
) -> None:
    """Write the JSON beside ``artefact``: git commit, part of the configuration, versions, seed, input hashes, time and
    machine.

    Where torch is loaded, it also names torch's rounding modes (``twostage.arithmetic``) and the GPU that was used.

    config: the part of the configuration that made it; seed: one or several; inputs: paths of the files from which it
    was made; facts: other facts, e.g. ``steps=50``. All but the inputs are JSON-able.
    """
    write_json(
        provenance_path(artefact),
        {
            "artefact": Path(artefact).name,
            "sha256": sha256(artefact),
            "commit": git_commit(),
            "config": config,
            "seed": seed,
            "inputs": {name_of(path): sha256(path) for path in inputs},
            "versions": package_versions(),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": {"host": platform.node(), "system": platform.platform(), "cpus": os.cpu_count()},
            **_arithmetic(),
            **facts,
        },
    )


def _arithmetic():
    """Torch's rounding modes and the GPU's name; empty where the artefact was made without torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_initialized() else None
    # Imported by name, as in ``main``, so that the rules' hashes of code leave this module out.
    return {"arithmetic": {**importlib.import_module("twostage.arithmetic").stated(), "gpu": gpu}}


@cache
def git_commit() -> str | None:
    """Commit of the checkout that holds this package, with ``+changes`` when it is not clean; None outside git.

    A job that gets the sources without git finds the commit in ``TWOSTAGE_COMMIT``.
    """
    if COMMIT in os.environ:
        return os.environ[COMMIT] or None
    try:
        run = lambda *words: subprocess.run(  # noqa: E731
            ["git", "-C", str(PACKAGE_ROOT), *words], capture_output=True, text=True, check=True
        ).stdout.strip()
        return run("rev-parse", "HEAD") + ("+changes" if run("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages on which numbers depend."""
    versions = {"python": platform.python_version()}
    for name in VERSIONED_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def code_of(*modules: str) -> str:
    """Hash of the code of the named ``twostage`` modules and of the package modules that they import: 12 hex digits.

    It is the hash of the syntax trees without comments, formatting, docstrings and the types of arguments. So a rule
    with this hash among its params reruns when the code's meaning changes, and not when only its form changes.
    Scripts (``*.js``) beside a module whose names begin with the module's count as they are.
    Raises ValueError for a module that is not there.
    """
    pending, digests = list(modules), {}
    while pending:
        name = pending.pop()
        if name not in digests:
            if _module_file(name) is None:
                raise ValueError(f"code_of: there is no module {name!r} under {PACKAGE_ROOT}")
            digests[name], imported = _syntax(name)
            pending.extend(imported)
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()[:12]


def _module_file(name):
    base = PACKAGE_ROOT.joinpath(*name.split(".")[1:])
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _syntax(name):
    """Hash of a module's code and scripts, and the package modules that it imports."""
    file = _module_file(name)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    statements, of_types = [tree, *_statements(tree)], set()
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            of_types.update(_drop_annotations(node))
        elif not isinstance(node, ast.Module | ast.ClassDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    words = _words_of_module(tree, of_types)
    found = set()
    for node in statements:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module and node.names:
            found.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    digest = hashlib.sha256("".join(words).encode())
    for script in sorted(file.parent.glob(f"{file.stem}*.js")):
        digest.update(script.read_bytes())
    imported = [module for module in found if module.split(".")[0] == "twostage" and _module_file(module)]
    return digest.hexdigest(), imported


def _drop_annotations(function):
    """Remove the types from a function's signature; yield the names in them."""
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    for node, field in [(function, "returns"), *((argument, "annotation") for argument in arguments if argument)]:
        annotation = getattr(node, field)
        if annotation is not None:
            setattr(node, field, None)
            yield from (each.id for each in ast.walk(annotation) if isinstance(each, ast.Name))


def _words_of_module(tree, of_types):
    """A module as words. Imports that only types use (``of_types``: the names in types) are removed from its tree."""
    words, imports = [], []
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports.append((len(words), statement))
            words.append("")  # its place
        else:
            _put_words(statement, words.append)
    used = set(words)
    unused = {name for name in of_types if repr(name) not in used}
    for place, statement in imports:
        statement.names = [alias for alias in statement.names if (alias.asname or alias.name) not in unused]
        if statement.names:
            own = []
            _put_words(statement, own.append)
            words[place] = "".join(own)
    return words


def _statements(node):
    """Every statement below a node. (``ast.walk`` would be slower: it also visits every expression.)"""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        if isinstance(below := getattr(node, field, None), list):
            for statement in below:
                yield statement
                yield from _statements(statement)


def _put_words(node, put):
    """A syntax tree as text, word by word. Every start of Snakemake waits for this; ``ast.dump`` takes twice as
    long."""
    if isinstance(node, list):
        put("[")
        for item in node:
            _put_words(item, put)
        put("]")
    elif isinstance(node, ast.AST):
        put(type(node).__name__)
        put("(")
        for field in node._fields:
            _put_words(getattr(node, field, None), put)
        put(")")
    else:
        put(repr(node))
        put(",")
