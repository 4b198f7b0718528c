"""What made what: the provenance of artefacts, of what they were made from, and so on down to the images."""

import json
from html import escape
from pathlib import Path

from twostage.provenance import provenance_path
from twostage.report.table import Cell, html_table

KEPT = ("sha256", "commit", "config", "seed", "inputs", "versions", "created", "machine")


def lineage(artefacts):
    """{path: its provenance} of the artefacts and everything behind them, dict of dicts, the artefacts first.

    A file without provenance beside it (the user's own images or weights) has its sha256 alone, as the artefact made
    from it recorded it. Raises ValueError for a provenance file that is not JSON.
    """
    found, pending = {}, [(str(path), None) for path in artefacts]
    while pending:
        path, digest = pending.pop(0)
        if path in found:
            continue
        found[path] = _record(path) or {"sha256": digest, "inputs": {}}
        pending.extend(found[path]["inputs"].items())
    return found


def _record(path):
    file = provenance_path(path)
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON ({error}); delete it and make {path} again") from None
    return {key: content.get(key) for key in KEPT} | {"inputs": content.get("inputs") or {}}


def stage_of(path, folder):
    """The stage an artefact belongs to: the first folder inside the run's ``folder``; "" for what lies elsewhere."""
    parts, base = Path(path).parts, Path(folder).parts
    return parts[len(base)] if parts[: len(base)] == base and len(parts) > len(base) + 1 else ""


def edges(records, folder):
    """Pairs (stage, stage that reads it) among the artefacts' stages, as a set."""
    pairs = {
        (stage_of(source, folder), stage_of(path, folder)) for path in records for source in records[path]["inputs"]
    }
    return {(first, second) for first, second in pairs if first and second and first != second}


def anchor(path):
    """The id of an artefact's row in ``records_table``."""
    return "made-" + "".join(letter if letter.isalnum() else "-" for letter in str(path))


def short(path, folder):
    """A path without the run's folder."""
    return str(path).removeprefix(f"{folder}/")


def made_from(record, folder, most=6):
    """Links to what an artefact was made from, as HTML; of many the first few and their number."""
    paths = list(record["inputs"])
    links = [f'<a href="#{anchor(path)}">{escape(short(path, folder))}</a>' for path in paths[:most]]
    rest = paths[most:]
    if rest:
        more = ", ".join(f'<a href="#{anchor(path)}">{escape(short(path, folder))}</a>' for path in rest)
        links.append(f"<details><summary>{len(rest)} more</summary>{more}</details>")
    return ", ".join(links) or "–"


def records_table(records, folder):
    """Every artefact with what made it, as an HTML table: commit, seed, configuration slice, inputs, sha256, time."""
    rows = []
    for path, record in records.items():
        config = record.get("config")
        settings = f"<pre>{escape(json.dumps(config, indent=1, ensure_ascii=False))}</pre>" if config else ""
        seed = record.get("seed")
        commit = record.get("commit")
        rows.append(
            [
                Cell(path, html=f'<code id="{anchor(path)}">{escape(short(path, folder))}</code>'),
                Cell("", html=made_from(record, folder), value=len(record["inputs"])),
                Cell("", html=f"<details><summary>settings</summary>{settings}</details>" if config else "–"),
                Cell("–" if seed is None else json.dumps(seed)),
                Cell(_commit(commit)),
                Cell((record["sha256"] or "")[:12]),
                Cell(record.get("created") or "not made by the workflow"),
            ]
        )  # fmt: skip
    headings = ["artefact", "made from", "settings", "seed", "commit", "sha256", "made"]
    return html_table(headings, rows, widths=(22, 30, 14, 6, 9, 9, 10))


def _commit(commit):
    if not commit:
        return "–"
    return commit[:10] + (" + changes" if commit.endswith("+changes") else "")


def environments(records):
    """The versions and machines that the artefacts were made with, as HTML, each with the number of artefacts."""
    counts = {}
    for record in records.values():
        if record.get("versions"):
            machine = record.get("machine") or {}
            versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
            key = f"{versions}; {machine.get('system', '')}, {machine.get('cpus', '?')} CPUs"
            counts[key] = counts.get(key, 0) + 1
    return "".join(f"<li>{escape(key)} ({count} artefacts)</li>" for key, count in counts.items())
