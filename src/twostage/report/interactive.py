"""The transition law to play with: N, D and a covariance spectrum move, the predicted split and the posterior follow.

A self-contained page; the arithmetic of ``twostage.oracle.law`` in JavaScript (``interactive.js``), on presets or on a
spectrum that the reader drops in as CSV. The run's own spectra, one a latent space, are among the presets.
"""

import json
from pathlib import Path

from twostage.provenance import atomic_write, write_provenance
from twostage.report.inputs import read_transition
from twostage.report.table import html_page

_HERE = Path(__file__).parent
LAW_SCRIPT = (_HERE / "interactive.js").read_text(encoding="utf-8")
_PAGE_SCRIPT = (_HERE / "interactive_page.js").read_text(encoding="utf-8")

_STYLES = """
.controls { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: .6rem 1.6rem; }
.controls label { display: block; } .controls output { font-weight: 600; }
input[type=range], select { width: 100%; font: inherit; min-height: 2rem; }
button { font: inherit; padding: .3rem .8rem; }
#drop { border: 2px dashed #8a8a8a; border-radius: .5rem; padding: .6rem .8rem; margin: .8rem 0; }
.panels { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 1rem; align-items: start; }
[hidden] { display: none !important; } #bars { max-width: 46rem; }
.error { color: #8b1a1a; font-weight: 600; } svg { width: 100%; height: auto; font-size: 15px; fill: #222; }
@media (max-width: 640px) { .panels { grid-template-columns: minmax(0, 1fr); } svg { font-size: 22px; } }
"""

_BODY = """
<h1>When does the posterior settle on one image?</h1>
<p>N samples of dimension D, with covariance eigenvalues λ. At time t the noisy x<sub>t</sub> tells
I(t) = ½ Σ log(1 + λ t² / (1 − t)²) about its sample; N samples can be told apart once I(t) exceeds log N: that is the
predicted split. Nothing is fitted. Left of it lies navigation, right of it refinement.</p>
<div class="controls">
<label>spectrum <select id="kind"><option value="unit">unit Gaussian, all λ = 1</option>
<option value="power">power law, λ ∝ k^(−a)</option><option value="own">your own, from a CSV</option></select>
</label>
<label>samples N <output id="n-value"></output>
<input id="n" type="range" min="0.31" max="6" step="0.001" value="3.11"></label>
<label id="dim-row">dimension D <output id="dim-value"></output>
<input id="dim" type="range" min="1" max="13" step="0.1" value="10"></label>
<label id="decay-row">decay a <output id="decay-value"></output>
<input id="decay" type="range" min="0" max="2" step="0.05" value="1"></label>
<label>time t <output id="time-value"></output>
<input id="time" type="range" min="0" max="1" step="0.005" value="0.4"></label>
</div>
<div id="drop"><label>Your spectrum: drop a CSV here or choose one (eigenvalues of the covariance of one class, one a
line, or a column <code>eigenvalue</code>): <input id="file" type="file" accept=".csv,.txt,.tsv"></label>
<div id="file-note" role="status"></div></div>
<div class="panels"><div>
<h2>Expected weight of the true sample</h2><div id="curve"></div>
<p class="quiet">Line: expectation; band: 8 of 10 pairs (x₀, x₁); dotted: predicted split.</p>
</div><div>
<table><tbody id="numbers"></tbody></table>
</div></div>
<h2>The posterior of one drawn pair at time t</h2><div id="bars"></div>
<p class="quiet">Red: the sample that x<sub>t</sub> was made of; blue: the others. Gaussian samples of this spectrum,
drawn here. <button id="again" type="button">draw another pair</button><input id="seed" type="hidden" value="0"></p>
<p class="quiet">The same formulas as <code>twostage.oracle.law</code>; its derivation, and where it fails (clusters,
duplicates, few samples), is in the project's documentation under Theory.</p>
"""


def presets(transition):
    """The spectra of a run, {space: transition.json}, as the page takes them: list of name, title, n, eigenvalues."""
    found = []
    for space, path in transition.items():
        if spectrum := read_transition(path).get("spectrum"):
            name, dim = spectrum.get("class", spectrum["label"]), len(spectrum["eigenvalues"])
            title = f"this run: {space}, class {name} (D = {dim})"
            values = [float(f"{value:.5g}") for value in spectrum["eigenvalues"]]
            found.append({"name": f"run-{space}", "title": title, "n": spectrum["n"], "eigenvalues": values})
    return found


def page(spectra):
    """The page (str) with these presets."""
    data = json.dumps(spectra).replace("<", "\\u003c")  # no tag and no comment begins in it
    body = f'{_BODY}<script id="presets" type="application/json">{data}</script>'
    return html_page("The transition, to play with", body, styles=_STYLES, script=f"{LAW_SCRIPT}\n{_PAGE_SCRIPT}")


def write(output, transition, *, config=None):
    """Write the page with the spectra of {space: transition.json}, and its provenance."""
    with atomic_write(output) as temporary:
        temporary.write_text(page(presets(transition)), encoding="utf-8")
    write_provenance(output, config=config, inputs=transition.values())
