"""The provenance of artefacts, of the files from which they were made, and so on down to the images."""

import json
from pathlib import Path

from twostage.provenance import provenance_path
from twostage.storage import here, name_of

KEPT = ("sha256", "commit", "config", "seed", "inputs", "versions", "created", "machine")


def lineage(artefacts):
    """{name: its provenance} of the artefacts and everything behind them, dict of dicts, the artefacts first.

    A file without provenance beside it (the user's own images or weights) has only its sha256, which the artefact made
    from it recorded. Raises ValueError for a provenance file that is not JSON.
    """
    found, pending = {}, [(name_of(path), None) for path in artefacts]
    while pending:
        path, digest = pending.pop(0)
        if path in found:
            continue
        found[path] = _record(path) or {"sha256": digest, "inputs": {}}
        pending.extend(found[path]["inputs"].items())
    return found


def _record(path):
    file = provenance_path(here(path))
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON ({error}); delete it and make {path} again") from None
    return {key: content.get(key) for key in KEPT} | {"inputs": content.get("inputs") or {}}


def stage_of(path, folder):
    """The stage of an artefact: the first folder inside the run's ``folder``; "" for a file that lies elsewhere."""
    parts, base = Path(path).parts, Path(folder).parts
    return parts[len(base)] if parts[: len(base)] == base and len(parts) > len(base) + 1 else ""


def edges(records, folder):
    """Pairs (stage, stage that reads it) among the artefacts' stages, as a set."""
    pairs = {
        (stage_of(source, folder), stage_of(path, folder)) for path in records for source in records[path]["inputs"]
    }
    return {(first, second) for first, second in pairs if first and second and first != second}
