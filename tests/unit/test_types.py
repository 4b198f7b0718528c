"""The types of the Python interface: complete, checked while tests run, and shown by examples that work."""

import ast
import doctest
import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from jaxtyping import TypeCheckError

from twostage.flow import time_grid, velocity_target
from twostage.split import Split

ROOT = Path(__file__).parents[2]
SHOWN = re.findall(r"^::: (\S+)\n((?: .*\n)*)", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE)
MODULES = [name for name, _ in SHOWN]


def public(name):
    """{name: function or class} that docs/api.md shows of a module."""
    module, settings = importlib.import_module(name), yaml.safe_load(dict(SHOWN)[name] or "{}")
    own = {
        key: value
        for key, value in vars(module).items()
        if inspect.isroutine(value) | inspect.isclass(value) and getattr(value, "__module__", None) == name
    }
    members = settings.get("options", {}).get("members", [key for key in own if not key.startswith("_")])
    return {key: own[key] for key in members if not isinstance(getattr(module, key), dict)}


def signatures(tree):
    """Functions of a module's tree and of its classes that are not private, by name."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name.endswith("__")):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from signatures(node)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_says_the_types_of_all_arguments_and_of_its_answer(name):
    tree = ast.parse(Path(importlib.import_module(name).__file__).read_text(encoding="utf-8"))
    untyped = {}
    for function in signatures(tree):
        given = function.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        missing = [each.arg for each in arguments if each and each.arg not in ("self", "cls") and not each.annotation]
        if missing or not function.returns:
            untyped[f"line {function.lineno}: {function.name}"] = missing + ["return"] * (not function.returns)
    assert untyped == {}


@pytest.mark.parametrize("name", MODULES)
def test_examples_work_and_every_public_class_has_one(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    found = doctest.DocTestFinder(exclude_empty=False).find(module, name)
    runner = doctest.DocTestRunner()
    said = []
    for test in found:
        runner.run(test, out=said.append)
    assert not runner.summarize(verbose=False).failed, "".join(said)
    shown = {test.name.removeprefix(f"{name}.") for test in found if test.examples}
    classes = {key for key, value in public(name).items() if inspect.isclass(value)}
    assert classes <= shown


def test_mypy_is_strict_where_the_interface_is():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert sorted(settings["modules"]) == sorted(MODULES)


def test_tests_see_arguments_of_another_type_dtype_or_shape():
    with pytest.raises(TypeCheckError, match="x_0"):
        velocity_target(torch.zeros(2, 3), torch.zeros(3))
    with pytest.raises(TypeCheckError, match="x_1"):
        velocity_target(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3))
    with pytest.raises(TypeCheckError, match="source"):
        Split(0.5, low="0.4")


def test_what_a_function_refuses_by_itself_stays_its_own_error():
    with pytest.raises(ValueError, match="expected a whole number, at least 1"):
        time_grid("many")
