"""The interactive transition law: the reader changes N, D and a covariance spectrum, and sees split and posterior.

A self-contained page with the arithmetic of ``twostage.oracle.law`` in JavaScript (``interactive.js``), for presets or
for a spectrum that the reader drops in as CSV. The run's own spectra, one per latent space, are among the presets.
"""

from twostage.report import template
from twostage.report.results.inputs import read_transition
from twostage.unlabelled import EVERYTHING


def presets(transition):
    """The spectra of a run, {space: transition.json}, as the page takes them: list of name, title, n, eigenvalues."""
    found = []
    for space, path in transition.items():
        if spectrum := read_transition(path).get("spectrum"):
            name, dim = spectrum.get("class", spectrum["label"]), len(spectrum["eigenvalues"])
            words = name if name == EVERYTHING else f"class {name}"
            title = f"this run: {space}, {words} (D = {dim})"
            values = [float(f"{value:.5g}") for value in spectrum["eigenvalues"]]
            found.append({"name": f"run-{space}", "title": title, "n": spectrum["n"], "eigenvalues": values})
    return found


def page(spectra):
    """The page (str) with these presets."""
    return template.render("pages/interactive.html", spectra=spectra)


def write(output, transition, *, config=None):
    """Write the page with the spectra of {space: transition.json}, and its provenance."""
    template.write(output, page(presets(transition)), config=config, inputs=transition.values())
