"""One hint for a misspelt name, wherever names are asked for."""

import pytest

from twostage.spelling import did_you_mean


@pytest.mark.parametrize(
    ("name", "names", "hint"),
    [
        ("bacth_size", ["batch_size", "lr"], "; did you mean 'batch_size'?"),
        ("xl", ["S", "XL"], "; did you mean 'XL'?"),  # as it is written, whatever the case
        ("trian", ["train", "test"], "; did you mean 'train'?"),
        (2, [1, 20], "; did you mean '20'?"),
        ("colour", ["size"], ""),
        ("anything", [], ""),
    ],
)
def test_the_closest_name_is_offered(name, names, hint):
    assert did_you_mean(name, names) == hint
