"""The report on one page: stages, claims, figures with captions and findings, and what made every number.

The page lies beside the figures it shows. Inside Snakemake's report (``put_into``) it is the first thing one sees, and
takes the pictures and files from there.
"""

import json
from html import escape
from pathlib import Path

from twostage.provenance import atomic_write, write_provenance
from twostage.report import claims_page, lineage, stages
from twostage.report.captions import caption
from twostage.report.parts import PARTS
from twostage.report.table import _SCRIPT, html_page

_STYLES = """
figure { margin: 0 0 .6rem; } figure img { max-width: 100%; height: auto; border: 1px solid #e3e3e3; }
figcaption p { max-width: 60rem; } nav a { margin-right: 1rem; white-space: nowrap; }
summary { cursor: pointer; color: #00558c; } pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem; }
code { font-size: .85rem; } svg.stages { width: 100%; min-width: 40rem; height: auto; font-size: 14px; }
section { margin-top: 2.4rem; } .item { border-top: 1px solid #e3e3e3; padding-top: .8rem; margin-top: 1.6rem; }
.findings { list-style: none; padding: 0; } .findings li { margin: .35rem 0; max-width: 60rem; }
"""

# Pictures and files: from the report around this page where there is one, else from beside this page.
_PICTURES = """
const report = (() => { try { return window.parent !== window && window.parent.results; } catch { return null; } })();
const found = name => report && report[document.body.dataset.folder + "/" + name];
for (const image of document.querySelectorAll("img[data-file]")) {
  const item = found(image.dataset.file);
  image.src = item ? item.data_uri : image.dataset.file;
}
for (const link of document.querySelectorAll("a[data-file]")) {
  const item = found(link.dataset.file);
  if (!report) { link.href = link.dataset.file; continue; }
  if (!item) { link.replaceWith(...link.childNodes); continue; }
  link.href = item.data_uri;
  link.download = link.dataset.file;
  if (item.mime_type === "text/html") {
    link.removeAttribute("download");
    link.addEventListener("click", event => {
      event.preventDefault();
      window.parent.eval("app").setView({ content: "html", contentPath: item.data_uri });
    });
  }
}
if (report) {
  document.documentElement.style.overflowY = "hidden"; // the report around scrolls
  const fit = () => { window.frameElement.style.height = document.documentElement.scrollHeight + 8 + "px"; };
  new ResizeObserver(fit).observe(document.body);
  for (const link of document.querySelectorAll('a[href^="#"]')) link.addEventListener("click", event => {
    event.preventDefault();
    const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (!target) return;
    for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    target.scrollIntoView();
  });
} else for (const link of document.querySelectorAll('a[href^="#made-"]')) link.addEventListener("click", () => {
  document.getElementById("made").open = true;
});
"""


def page(folder, content, items, config, captions, done):
    """The page (str).

    folder: the run's folder; content: that of claims.json; items: {figure: its part of ``PARTS``}; config: the
    configuration (dict); captions: folder of the captions; done: {stage: (jobs, seconds)}.
    """
    folder = Path(folder)
    names = [name for name in items if (folder / "report" / f"{name}.png").is_file()]
    artefacts = [folder / "report" / name for name in ("claims.json", "side_by_side.csv", "interactive.html")]
    records = lineage.lineage([*artefacts, *(folder / "report" / f"{name}.png" for name in names)])
    parts = [
        _head(folder, config, records),
        "<section id='stages'><h2>The stages of this run</h2>"
        "<p>An arrow: the second stage read what the first wrote, by the provenance of the files.</p>"
        f'<div class="scroll">{stages.picture(lineage.edges(records, folder), done)}</div></section>',
        _claims(content),
        _beside(),
        *_figures(folder, names, items, content, config, captions, records),
        _made(folder, records),
    ]
    html = html_page(f"{folder.name}: two stages", "\n".join(parts), styles=_STYLES, script=_SCRIPT + _PICTURES)
    return html.replace("<body>", f'<body data-folder="{escape(str(folder / "report"))}">')


def _head(folder, config, records):
    commits = {record.get("commit") for record in records.values()} - {None}
    models, spaces = ", ".join(config["models"]), ", ".join(config["spaces"])
    seed = escape(str(config["seed"]))
    made = ", ".join(sorted(commit[:10] + commit[40:].replace("+", " + ") for commit in commits))
    return (
        f"<h1>Does <em>From Navigation to Refinement</em> hold on {escape(config['data']['name'])}?</h1>"
        f"<p>Run <strong>{escape(folder.name)}</strong> of the reference reproduction of arXiv 2512.02826: latent "
        f"spaces {escape(spaces)}; models {escape(models)}; seed {seed}; code at commit {escape(made)}. "
        "Time runs from the prior (t = 0) to the data (t = 1). <em>Navigation</em> is the stage before the split, "
        "where many training samples share the posterior weight, <em>refinement</em> the stage after it, where one "
        "has nearly all; the split is where the mean weight of the true sample crosses one half.</p>"
        '<nav><a href="#claims">Claims</a> <a href="#beside">The paper beside this run</a> '
        '<a href="#figures">Figures and tables</a> <a data-file="interactive.html">Try it yourself</a> '
        '<a href="#provenance">What made each number</a></nav>'
    )


def _claims(content):
    link = lambda figure, words: f'<a href="#{escape(figure)}">{words}</a>'  # noqa: E731
    parts = ["<section id='claims'><h2>Claims</h2>", claims_page.lead(content)]
    for group in claims_page.GROUPS:
        chosen = claims_page.of_group(content, group)
        parts += [
            f"<h3>{escape(group)}</h3><p>{claims_page.counts_of(chosen)}</p>",
            claims_page.claims_table(chosen, link),
        ]
    rules = claims_page.rules_table(content["claims"])
    parts.append(f"<details><summary>How each verdict is reached, and on which files</summary>{rules}</details>")
    return "\n".join(parts) + "<p>As data: " + _files(("claims.json", "claims.csv", "claims.html")) + "</p></section>"


def _beside():
    return (
        "<section id='beside'><h2>The paper beside this run</h2><p>Every number of the paper that is printed or could "
        f"be read off, beside this run's: {_files(('side_by_side.html', 'side_by_side.csv'))}. The transition law to "
        f"play with, on this run's spectra or your own: {_files(('interactive.html',))}.</p></section>"
    )


def _files(names):
    return ", ".join(f'<a data-file="{name}">{name}</a>' for name in map(escape, names))


def _figures(folder, names, items, content, config, captions, records):
    yield "<section id='figures'><h2>Figures and tables</h2></section>"
    for title in PARTS:
        chosen = [name for name in names if items[name] == title]
        if chosen:
            yield f"<section><h2>{escape(title)}</h2>"
            for name in chosen:
                yield _figure(folder, name, content, caption(Path(captions) / f"{name}.rst", config), records)
            yield "</section>"


def _figure(folder, name, content, words, records):
    claims = [claim for claim in content["claims"] if claim["figure"] == name and claim["verdict"] != "not tested"]
    findings = "".join(
        f"<li>{claims_page.badge(claim['verdict'])} {escape(claim['statement'])} {_in_short(claim)}"
        f"<details><summary>numbers</summary>{claims_page.numbers_of(claim)}</details></li>"
        for claim in claims
    )
    path = str(folder / "report" / f"{name}.png")
    files = [file for file in (f"{name}.csv", f"{name}.html") if (folder / "report" / file).is_file()]
    title = escape(claims_page.figure_name(name))
    return (
        f'<div class="item" id="{escape(name)}"><h3>{title}</h3><figure>'
        f'<img data-file="{escape(name)}.png" alt="{title}, described below">'
        f"<figcaption>{words}</figcaption></figure>"
        + (f'<p><strong>This run:</strong></p><ul class="findings">{findings}</ul>' if findings else "")
        + f"<p>{_files(files)}. Made from {lineage.made_from(records[path], folder)}.</p></div>"
    )


def _in_short(claim):
    """The numbers of a claim without intervals and notes, as HTML."""
    known = [finding for finding in claim["findings"] if finding["value"] is not None]
    words = ", ".join(f"{each['case']} {claims_page.written(each['value'], claim['form'])}" for each in known)
    return f'<span class="quiet">{escape(words)}</span>'


def _made(folder, records):
    return (
        "<section id='provenance'><h2>What made each number</h2><p>Every file behind this report: what it was made "
        "from, the settings, the seed, the commit, its sha256. A file without a time came from outside.</p>"
        f"<ul>{lineage.environments(records)}</ul>"
        f'<details id="made"><summary>{len(records)} files</summary>{lineage.records_table(records, folder)}</details>'
        "</section>"
    )


def write(output, folder, claims, items, *, config, captions, benchmarks, stage_of_rule):
    """Write the page, atomically, with its provenance.

    claims: path of claims.json; benchmarks: folder of the benchmark files; stage_of_rule: {rule: stage}; the rest as in
    ``page``. Raises ValueError where claims.json cannot be read.
    """
    try:
        content = json.loads(Path(claims).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{claims} cannot be read as JSON ({error}); delete it and run `claims` again") from None
    done = stages.work(benchmarks, stage_of_rule)
    html = page(folder, content, items, config, captions, done)
    with atomic_write(output) as temporary:
        temporary.write_text(html, encoding="utf-8")
    write_provenance(output, inputs=[claims])


def put_into(report, overview):
    """Make the page ``overview`` the first thing that Snakemake's report (path) shows, in place.

    Raises ValueError where the report is not one that Snakemake wrote.
    """
    text, marker = Path(report).read_text(encoding="utf-8"), "var workflow_desc = "
    start = text.find(marker)
    end = text.find("\n", start)
    if start < 0:
        raise ValueError(f"{report} has no {marker.strip()!r}; expected a report of Snakemake 9.10 or newer")
    page = escape(Path(overview).read_text(encoding="utf-8"))
    frame = f'<iframe class="overview" title="Overview" srcdoc="{page}"></iframe>'
    # As in a JSON string inside a script: no tag may end it.
    description = json.dumps(frame).replace("</", "<\\/")
    Path(report).write_text(f"{text[:start]}{marker}{description};{text[end:]}", encoding="utf-8")
