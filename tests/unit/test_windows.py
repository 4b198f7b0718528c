"""Windows of the data: read off curves made for it, refused where there is none, and what plans make of them."""

import json

import numpy as np
import pandas as pd
import pytest

from twostage.sampling.plan import Plan
from twostage.windows import Window, read_windows, write_windows

T = np.linspace(0, 1, 101)


def write(folder, *, law=None, nats=None, labels=("class", "all", "label")):
    """law.csv with the predicted weight ``law`` within the classes, information.csv with I(Y; x_t) ``nats``."""
    law = T if law is None else law
    rows = [("class", "0", 1 - law), ("class", "pooled", law), ("all", "-1", 1 - law)]
    tables = [pd.DataFrame({"conditioning": c, "label": label, "t": T, "predicted": v}) for c, label, v in rows]
    pd.concat(tables).sample(frac=1, random_state=0).to_csv(folder / "law.csv", index=False)
    nats = 2.3 * T**2 if nats is None else nats
    curves = {"class": 5 * T, "all": 7 * T, "label": nats}
    tables = [pd.DataFrame({"conditioning": c, "t": T, "by_gap": curves[c], "total": 2.3}) for c in labels]
    pd.concat(tables).to_csv(folder / "information.csv", index=False)
    return folder / "law.csv", folder / "information.csv", folder / "pixel" / "windows.json"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pixel").mkdir()
    return tmp_path


def test_windows_are_where_the_pooled_law_and_the_class_say(folder):
    found = write_windows(*write(folder))
    assert found["transition"].ends == pytest.approx((0.1, 0.9))
    assert found["class"].ends == pytest.approx((np.sqrt(0.05), np.sqrt(0.95)), abs=1e-3)
    assert read_windows(folder / "pixel/windows.json") == found
    assert json.loads((folder / "pixel/windows.json").read_text())["space"] == "pixel"
    assert "pooled" in found["transition"].source


@pytest.mark.parametrize("change", [{"labels": ("class", "all")}, {"labels": ("class",)}, {"nats": 0 * T}])
def test_without_a_class_the_window_that_plans_name_is_refused(folder, change):
    paths = write(folder, **change)
    with pytest.raises(ValueError, match=r"information.csv: no window 'class': .*Name another interval"):
        write_windows(*paths, named=["transition", "class"])
    assert not paths[-1].exists()
    assert set(write_windows(*paths, named=["transition"])) == {"transition"}
    assert set(read_windows(paths[-1])) == {"transition"}
    assert "no window 'class'" in json.loads(paths[-1].read_text())["class"]["missing"]


def test_a_curve_that_never_rises_is_no_window(folder):
    with pytest.raises(ValueError, match=r"law.csv: no window 'transition': the window is \[0.0, 0.0\]"):
        write_windows(*write(folder, law=np.ones(101)))


@pytest.mark.parametrize("content", ["{", "{}", '{"transition": {"low": 0.5, "high": 0.2, "source": "x"}}'])
def test_a_file_that_is_none_is_named(tmp_path, content):
    (tmp_path / "windows.json").write_text(content)
    with pytest.raises(ValueError, match=r"windows.json cannot be read as windows .*run the rule windows again"):
        read_windows(tmp_path / "windows.json")
    with pytest.raises(ValueError, match="expected low < high"):
        Window(0.5, 0.2, "")


def test_plans_keep_the_name_until_it_is_known():
    plan = Plan.from_dict("x", {"parts": [{"field": "B", "guidance": 2.0, "interval": "class"}]})
    assert plan.names_windows == ("class",)
    assert not plan.names_split
    assert Plan.from_dict("x", plan.to_dict()) == plan
    assert json.loads(json.dumps(plan.to_dict())) == plan.to_dict()
    known = plan.resolve(windows={"class": (0.12, 0.53)})
    numbers = Plan.from_dict("x", {"parts": [{"field": "B", "guidance": 2.0, "interval": [0.12, 0.53]}]}).resolve()
    assert known == numbers
    with pytest.raises(ValueError, match="plan x: interval is 'class'; expected a window that is known: transition"):
        plan.resolve(windows={"transition": (0.1, 0.9)})
    with pytest.raises(ValueError, match=r"interval is 'clas'; .*one of transition, class; did you mean 'class'"):
        Plan.from_dict("x", {"parts": [{"field": "B", "interval": "clas"}]})
