"""What made each number, as the overview shows it: one row per artefact, with links to the files it was made from."""

import json
from collections import Counter


def anchor(path):
    """The id of an artefact's row."""
    return "made-" + "".join(letter if letter.isalnum() else "-" for letter in str(path))


def linked(path, folder):
    """(id of its row, its path without the run's folder) of an artefact."""
    return anchor(path), str(path).removeprefix(f"{folder}/")


def sources(record, folder):
    """Links to the files from which an artefact was made, list of ``linked``."""
    return [linked(path, folder) for path in record["inputs"]]


def rows(records, folder):
    """One dict per artefact, with text values: path, made_from, settings, seed, commit, sha256, created."""
    return [
        {
            "path": path,
            "link": linked(path, folder),
            "made_from": sources(record, folder),
            "settings": json.dumps(record["config"], indent=1, ensure_ascii=False) if record.get("config") else "",
            "seed": "–" if record.get("seed") is None else json.dumps(record["seed"]),
            "commit": _commit(record.get("commit")),
            "sha256": (record["sha256"] or "")[:12],
            "created": record.get("created") or "not made by the workflow",
        }
        for path, record in records.items()
    ]


def _commit(commit):
    if not commit:
        return "–"
    return commit[:10] + (" + changes" if commit.endswith("+changes") else "")


def environments(records):
    """[(versions and machine with which artefacts were made, number of those artefacts)]."""
    found = Counter()
    for record in records.values():
        if record.get("versions"):
            machine = record.get("machine") or {}
            versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
            found[f"{versions}; {machine.get('system', '')}, {machine.get('cpus', '?')} CPUs"] += 1
    return list(found.items())
