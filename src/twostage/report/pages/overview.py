"""The report on one page: stages, claims, figures with captions and findings, and what made every number.

The page lies beside the figures that it shows. In Snakemake's report it is the description of the workflow, which is
seen first (``workflow/report/workflow.rst`` includes its ``frame``); pictures and files then come from that report.
"""

import re
from pathlib import Path

from twostage.report import template
from twostage.report.claims import record
from twostage.report.claims.claim import NOT_TESTED
from twostage.report.pages import claims, lineage, stages
from twostage.report.pages.captions import caption
from twostage.report.results.lineage import edges
from twostage.report.results.lineage import lineage as everything_behind
from twostage.report.results.parts import PARTS
from twostage.storage import here, name_of

# The variables that Snakemake's report holds as JSON, one line each.
HELD = "results|categories|rulegraph_spec|runtimes_spec|timeline_spec|rules|metadata"
_DATA = re.compile(rf"^(\s*var (?:{HELD}) = )(.*);$", flags=re.MULTILINE)


def page(folder, content, items, config, captions, done):
    """The page (str).

    folder: the run's folder; content: that of claims.json (``record.Checked``); items: {figure: its part of
    ``PARTS``}; config: the configuration (dict); captions: folder of the captions; done: {stage: (jobs, seconds)}.
    """
    folder = Path(name_of(folder))
    names = [name for name in items if _is_there(folder, f"{name}.png")]
    artefacts = [folder / "report" / name for name in ("claims.json", "side_by_side.csv", "interactive.html")]
    records = everything_behind([*artefacts, *(folder / "report" / f"{name}.png" for name in names)])
    told = claims.told(content)
    figures = {name: _figure(folder, name, told, config, captions, records) for name in names}
    return template.render(
        "pages/overview.html",
        run=folder.name,
        folder=folder / "report",
        data=config["data"]["name"],
        spaces=config["spaces"],
        models=config["models"],
        seed=config["seed"],
        commits=_commits(records),
        stages=stages.drawing(edges(records, folder), done),
        claims=told,
        parts=[
            (part, [figures[name] for name in names if items[name] == part])
            for part in PARTS
            if part in {items[name] for name in names}
        ],
        environments=lineage.environments(records),
        artefacts=lineage.rows(records, folder),
    )


def _is_there(folder, name):
    return Path(here(folder / "report" / name)).is_file()


def _commits(records):
    commits = {record.get("commit") for record in records.values()} - {None}
    return sorted(commit[:10] + commit[40:].replace("+", " + ") for commit in commits)


def _figure(folder, name, told, config, captions, records):
    """The content of the page for one figure (dict)."""
    claims_of_all = [claim for _, _, chosen in told["groups"] for claim in chosen]
    return {
        "id": name,
        "name": claims.figure_name(name),
        "caption": caption(Path(captions) / f"{name}.rst", config),
        "claims": [claim for claim in claims_of_all if claim.figure == name and claim.verdict != NOT_TESTED],
        "files": [file for file in (f"{name}.csv", f"{name}.html") if _is_there(folder, file)],
        "made_from": lineage.sources(records[str(folder / "report" / f"{name}.png")], folder),
    }


def write(output, folder, claims_json, items, *, config, captions, benchmarks, stage_of_rule):
    """Write the page, atomically, with its provenance.

    claims_json: its path; benchmarks: folder of the benchmark files; stage_of_rule: {rule: stage}; the rest as in
    ``page``. Raises ValueError where claims.json cannot be read.
    """
    content, done = record.read(claims_json), stages.work(benchmarks, stage_of_rule)
    template.write(output, page(folder, content, items, config, captions, done), inputs=[claims_json])


def frame(overview):
    """The page ``overview`` (path) as a frame (HTML, str) for Snakemake's report; it uses that report's pictures."""
    return template.render("pages/frame.html", page=Path(overview).read_text(encoding="utf-8")).strip()


def mend(report):
    """Mend Snakemake's report (path) in place: its JSON stands unescaped in scripts, which a path could end.

    Raises ValueError if Snakemake did not write the report.
    """
    text = Path(report).read_text(encoding="utf-8")
    if not _DATA.search(text):
        raise ValueError(f"{report} holds no 'var results = '; expected a report of Snakemake 9.10 or newer")
    text = _DATA.sub(lambda found: f"{found[1]}{_inside_script(found[2])};", text)
    Path(report).write_text(text, encoding="utf-8")


def _inside_script(data):
    """JSON as it may stand in a script: the same values, and nothing that a page would read as a tag or a comment."""
    return data.replace("<", "\\u003c")
