"""Functions in the user's own code: found without being imported, and one line where they are not there."""

import pytest

from twostage.own_code import called, source_of


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The folder of a user: a package that must not be imported to be looked at, and modules of several kinds."""
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "lab_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('heavy')\n")
    (package / "models.py").write_text("import os.path as where\nif True:\n    def build(): return 1\n")
    (tmp_path / "alone_here.py").write_text("def build(weights=None): return ['built', weights]\n")
    (tmp_path / "open_ended.py").write_text("from alone_here import *\n")
    (tmp_path / "torn_here.py").write_text("def build(:\n")
    return tmp_path


def test_a_function_is_found_without_an_import(here):
    assert source_of("lab_of_mine.models:build") == here / "lab_of_mine/models.py"
    assert source_of("lab_of_mine.models:where") == here / "lab_of_mine/models.py"
    assert source_of("open_ended:build") == here / "open_ended.py"
    assert source_of("math:sqrt") is None  # compiled: not looked into


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_lab:build", r"'no_lab:build': no module 'no_lab' is installed, or lies in /"),
        ("lab_of_mine.modles:build", r"there is no module 'lab_of_mine.modles'"),
        ("alone_here.models:build", r"there is no module 'alone_here.models'"),
        ("lab_of_mine.models:biuld", r"models.py has no biuld; did you mean 'build'\?"),
        ("torn_here:build", r"torn_here.py is no Python file \(invalid syntax"),
    ],
)
def test_what_is_not_there_is_one_line(here, name, message):
    with pytest.raises(ValueError, match=message) as caught:
        source_of(name)
    assert "\n" not in str(caught.value)


def test_a_function_is_called_in_the_folder_where_one_runs(here):
    assert called("alone_here:build") == ["built", None]
    assert called("alone_here:build", "w.pt") == ["built", "w.pt"]
    with pytest.raises(ValueError, match=r"failed \(TypeError: build\(\) got an unexpected keyword argument 'depth'\)"):
        called("alone_here:build", depth=3)
    with pytest.raises(ValueError, match=r"its module cannot be imported \(RuntimeError: heavy\)"):
        called("lab_of_mine.models:build")
