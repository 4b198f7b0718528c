"""The interactive page in a real browser: its arithmetic against the law's own, its controls, a spectrum dropped in."""

import json

import numpy as np
import pytest
from report_results import transition, write

from twostage.oracle.law import channel_information, predicted_self_weight, transition_time
from twostage.report.pages import interactive

SPECTRA = {
    "unit": [1.0] * 64,
    "power law": [100 / k for k in range(1, 101)],
    "with zeros": [3.0, 0.5, 0.0],
    "one": [2.0],
    "high": [1.0] * 4096,
}


@pytest.fixture(scope="module")
def page(tmp_path_factory, browser):
    folder = tmp_path_factory.mktemp("interactive")
    content = transition("pixel", 0.45) | {"spectrum": {"label": 3, "n": 144, "eigenvalues": [4.0, 2.0, 1.0, 0.5]}}
    interactive.write(folder / "interactive.html", {"pixel": write(folder, "transition.json", content)})
    browser.open(folder / "interactive.html")
    browser.wait("return document.querySelector('#curve svg') !== null")
    return browser


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("n", [2, 144, 1300, 100000])
def test_the_page_computes_what_the_law_computes(page, name, n):
    values, times = SPECTRA[name], [0.0, 0.02, 0.05, 0.1, 0.3, 0.5, 0.8, 1.0]
    assert page.run("return transitionTime(...arguments)", values, n) == pytest.approx(
        transition_time(values, n), abs=1e-9
    )
    weights = page.run("const [v, n, t] = arguments; return t.map(x => expectedWeight(v, n, x))", values, n, times)
    mean, variance = channel_information(values, times)
    found = page.run("const [v, t] = arguments; return t.map(x => channelInformation(v, x))", values, times[:-1])
    np.testing.assert_allclose(found, np.stack([mean, variance], 1)[:-1], rtol=1e-9)
    # Its trapezoidal rule is finer than the law's 80 nodes where V is large, that is where the weight is 1 or nearly.
    np.testing.assert_allclose(weights, predicted_self_weight(values, n, times), atol=2e-3)
    assert weights[0] == pytest.approx(1 / n)


@pytest.mark.parametrize("dim", [4, 32])
def test_drawn_pairs_have_the_law_s_weight_on_average(page, dim):
    drawn = page.run(
        "const [v, n, t, k] = arguments;"
        "return Array.from({ length: k }, (_, seed) => posteriorOf(drawPair(v, n, seed), t)[0])",
        [1.0] * dim, 50, transition_time([1.0] * dim, 50), 400,
    )  # fmt: skip
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.12)


def test_weights_of_a_drawn_pair_add_up_and_sharpen_with_t(page):
    sums = page.run(
        "const pair = drawPair(powerLaw(64, 0.5), 200, 1);"
        "const weights = [0, 0.2, 0.6, 0.99].map(t => posteriorOf(pair, t));"
        "return weights.map(w => [w.reduce((a, b) => a + b), Math.max(...w)])"
    )
    assert [total for total, _ in sums] == pytest.approx([1] * 4)
    largest = [top for _, top in sums]
    assert largest[0] == pytest.approx(1 / 200)
    assert largest == sorted(largest)
    assert largest[-1] > 0.999


def split_shown(page):
    return float(page.run("return document.querySelector('#numbers td.number').textContent"))


def move(page, name, value):
    page.run(
        "const box = document.getElementById(arguments[0]); box.value = arguments[1];"
        "box.dispatchEvent(new Event('input')); box.dispatchEvent(new Event('change'));",
        name, value,
    )  # fmt: skip


def test_more_samples_move_the_split_later_and_more_dimensions_earlier(page):
    move(page, "kind", "unit")
    splits = {}
    for n, dim in ((2, 6), (4, 6), (4, 10)):
        move(page, "n", n)
        move(page, "dim", dim)
        splits[n, dim] = split_shown(page)
    assert splits[2, 6] < splits[4, 6]
    assert splits[4, 6] > splits[4, 10]
    assert splits[4, 10] == pytest.approx(transition_time([1.0] * 1024, 10000), abs=6e-4)


def test_the_runs_own_spectra_are_presets(page):
    move(page, "kind", "run-pixel")
    assert split_shown(page) == pytest.approx(transition_time([4.0, 2.0, 1.0, 0.5], 144), abs=6e-3)
    assert page.run("return document.getElementById('n-value').textContent") == "144"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("3\n2\n1\n", [3, 2, 1]),
        ("eigenvalue\n1\n2\n", [2, 1]),
        ("1, 2; 3\t4", [4, 3, 2, 1]),
        ("rank,eigenvalue\n1,5\n2,0.5\n", [5, 0.5]),
        ("# a comment\r\n1e-3\r\n2\r\n", [2, 1e-3]),
    ],
)
def test_spectra_are_read_from_csv(page, text, values):
    assert page.run("return readSpectrum(arguments[0])", text) == pytest.approx(values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; expected eigenvalues"),
        ("1\n-2\n", 'value 2 is "-2"; expected a finite number, 0 or above'),
        ("a,b\n1,2\n", 'the columns are a, b; expected one column, or one named "eigenvalue"'),
        ("1\nx\n", 'value 2 is "x"'),
        ("0\n0\n", "no eigenvalue is above 0"),
    ],
)
def test_a_file_that_is_no_spectrum_is_refused_with_the_reason(page, text, message):
    found = page.run("try { readSpectrum(arguments[0]); return ''; } catch (error) { return error.message; }", text)
    assert message in found


def test_a_file_is_taken_and_a_bad_one_leaves_the_spectrum_alone(page, tmp_path):
    own = tmp_path / "own.csv"
    own.write_text("eigenvalue\n" + "\n".join(map(str, [8, 4, 2, 1])))
    box = page.driver.find_element("id", "file")
    box.send_keys(str(own))
    page.wait("return document.getElementById('file-note').textContent.includes('4 eigenvalues')")
    move(page, "n", 2)
    before = split_shown(page)
    assert before == pytest.approx(transition_time([8, 4, 2, 1], 100), abs=6e-4)
    (tmp_path / "bad.csv").write_text("-1")
    box.send_keys(str(tmp_path / "bad.csv"))
    page.wait("return document.getElementById('file-note').textContent.includes('expected a finite number')")
    assert split_shown(page) == before


def test_the_page_asks_for_nothing_and_complains_of_nothing(page):
    assert page.requests() == []
    assert page.complaints() == []


def test_a_run_without_spectra_has_no_presets(tmp_path):
    paths = {"pixel": write(tmp_path, "transition.json", transition("pixel", 0.45))}
    assert interactive.presets(paths) == []
    assert json.dumps([]) in interactive.page([])
