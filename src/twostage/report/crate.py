"""A finished run as a Workflow Run RO-Crate: a machine-readable record that repositories and other tools read.

    python -m twostage.report.crate results/digits

The run's folder becomes the crate; nothing in it is copied or changed. ``ro-crate-metadata.json`` says, from the
provenance beside each file, which step made it, from which files, with which settings, seed, commit and versions, and
what the claims found. The workflow's own files are copied into the folder ``crate``. The crate keeps to the profile
Provenance Run Crate 0.5 (https://w3id.org/ro/wfrun/provenance/0.5), and so to Workflow Run Crate and Process Run Crate.
"""

import argparse
import json
import mimetypes
import shutil
import sys
from datetime import datetime
from pathlib import Path

import yaml

from twostage.provenance import PACKAGE_ROOT, atomic_write, git_commit, sha256, write_provenance
from twostage.provenance.verify import CRATE, SUFFIX
from twostage.report.pages.stages import NAMES
from twostage.report.results.lineage import stage_of

METADATA = "ro-crate-metadata.json"
LICENSE = "https://spdx.org/licenses/MIT"
RO_CRATE, CONTEXT = "1.1", "https://w3id.org/ro/terms/workflow-run/context"
PROFILES = {  # besides Workflow RO-Crate, which the main workflow brings
    f"https://w3id.org/ro/wfrun/{name}/0.5": f"{name.capitalize()} Run Crate"
    for name in ("process", "workflow", "provenance")
}
FINISHED = ("config.yaml", "report.html", "report/claims.json")
FIGURE = {".png", ".pdf", ".csv", ".html"}
BIOSCHEMAS = "https://bioschemas.org/profiles"
PAPER = "https://arxiv.org/abs/2512.02826"


def make_crate(run, license_url=LICENSE):
    """Write the RO-Crate of the finished run in the folder ``run``. Returns the path of its metadata.

    license_url: under which the run's files may be used. The digests are those of the provenance: ``python -m
    twostage.provenance verify`` compares them with the files. Raises ValueError, in one line, for a folder without
    provenance, a run that is not finished, and a package without the workflow's files beside it.
    """
    run = Path(run)
    records = _records(run)
    missing = [name for name in FINISHED if name not in records or not (run / name).is_file()]
    if missing:
        raise ValueError(
            f"{run} is not a finished run: {', '.join(missing)} missing; run the workflow to its end first"
        )
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    absent = [name for name in records["report.html"]["inputs"] if not _inside(run, config["run"], name).is_file()]
    if absent:
        raise ValueError(f"{run} is not a finished run: report.html was made from {absent[0]}, which is not there")
    _copy_workflow(run)
    _Crate(run, config, records, license_url).write()
    # Not among its inputs: a report that is drawn again would make the crate a problem that hinders making it again.
    write_provenance(run / METADATA, report=records["report.html"]["sha256"])
    return run / METADATA


def _records(run):
    """{path of an artefact below the run's folder: its provenance}"""
    found = {}
    for file in sorted(run.rglob(f"*{SUFFIX}")):
        name = file.relative_to(run).as_posix().removesuffix(SUFFIX)
        if name == METADATA:
            continue
        try:
            found[name] = json.loads(file.read_text(encoding="utf-8"))
            found[name]["sha256"], found[name]["inputs"], found[name]["created"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file} cannot be read as provenance ({error}); make {name} again") from None
    if not found:
        raise ValueError(f"{run}: no provenance in it; expected the folder of a run, such as results/digits")
    return found


def _inputs(record):
    """{path, as provenance names it: sha256, or None where it has another digest} of all that an artefact was made
    from."""
    found = {**record["inputs"], **record.get("shards", {})}
    if record.get("latents"):
        found[record["latents"]["path"]] = None
    return found


def _inside(run, called, name):
    """The path of a file that provenance names. Files of the run, which was ``called`` so when they were made, lie in
    its folder, whatever that is called now."""
    parts = Path(name).parts
    return run.joinpath(*parts[2:]) if parts[:2] == ("results", called) else Path(name)


def _copy_workflow(run):
    """Copy the Snakefile and what it includes into the crate."""
    root = PACKAGE_ROOT.parent.parent
    if not (root / "Snakefile").is_file():
        raise ValueError(f"{root} has no Snakefile; expected the checkout whose workflow made the run")
    shutil.rmtree(run / CRATE, ignore_errors=True)
    sources = [root / "Snakefile", *(path for path in (root / "workflow").rglob("*") if path.is_file())]
    for path in (path for path in sources if path.suffix != ".pyc"):
        with atomic_write(run / CRATE / path.relative_to(root)) as temporary:
            shutil.copyfile(path, temporary)


class _Crate:
    """The metadata of a run, made entity by entity."""

    def __init__(self, run, config, records, license_url):
        from rocrate.rocrate import ROCrate

        self.run, self.name, self.records = run, config["run"], records
        self.crate = ROCrate(version=RO_CRATE)
        self.crate.metadata.extra_contexts.append(CONTEXT)
        root, end = self.crate.root_dataset, records["report.html"]["created"]
        root["name"] = f"twostage: the run {self.name}"
        root["description"] = (
            "Data, models, samples, figures and checked claims of a reproduction of From Navigation to Refinement "
            f"(arXiv 2512.02826) on {config['data']['name']}."
        )
        root["datePublished"] = datetime.fromisoformat(end).date().isoformat()
        root["license"] = self.entity(license_url, "CreativeWork", name=license_url.rsplit("/", 1)[-1])
        root["citation"] = self.entity(PAPER, "ScholarlyArticle", name="From Navigation to Refinement")
        self.files = {name: self.file(name) for name in records if (run / name).is_file()}
        self.workflow()
        root["conformsTo"] = [
            *(self.entity(url, "CreativeWork", name=name, version="0.5") for url, name in PROFILES.items()),
            self.entity("https://w3id.org/workflowhub/workflow-ro-crate/1.0", "CreativeWork", name="Workflow RO-Crate",
                        version="1.0"),
        ]  # fmt: skip
        root["mentions"] = [*self.actions(), *self.claims()]

    def write(self):
        content = json.dumps(self.crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False)
        with atomic_write(self.run / METADATA) as temporary:
            temporary.write_text(content + "\n", encoding="utf-8")

    def entity(self, identifier, kind, /, **properties):
        """A contextual entity, made once."""
        from rocrate.model.contextentity import ContextEntity

        if (found := self.crate.get(identifier)) is None:
            found = self.crate.add(ContextEntity(self.crate, identifier, properties={"@type": kind}))
            for key, value in properties.items():
                found[key] = value[0] if isinstance(value, list) and len(value) == 1 else value
        return found

    def file(self, name, digest=None):
        """The data entity of a file below the run's folder; digest: its sha256, where it has no provenance."""
        record = self.records.get(name, {})
        said = {"name": name, "sha256": record.get("sha256", digest), "dateModified": record.get("created")}
        said["encodingFormat"] = mimetypes.guess_type(name)[0] or "application/octet-stream"
        said["contentSize"] = str((self.run / name).stat().st_size)
        if name.startswith("report/") and Path(name).suffix in FIGURE:
            said["description"] = f"{Path(name).stem}: figure, table or page of the report"
        known = {key: value for key, value in said.items() if value is not None}
        return self.crate.add_file(dest_path=name, properties=known)

    def source(self, name, digest):
        """The entity of something that an artefact was made from: a file of the crate, or one from elsewhere."""
        path = _inside(self.run, self.name, name)
        if path.is_file() and path.is_relative_to(self.run):
            below = path.relative_to(self.run).as_posix()
            if below not in self.files:
                self.files[below] = self.file(below, digest)
            return self.files[below]
        said = {"identifier": f"sha256:{digest}"} if digest else {}
        note = "not part of the crate: a file from elsewhere, or a temporary one that was removed"
        return self.entity(f"#elsewhere/{name}", "CreativeWork", name=name, description=note, **said)

    def workflow(self):
        """The main workflow, its steps and the tool of each."""
        versions = self.records["report.html"].get("versions", {})
        self.main = self.crate.add_workflow(
            dest_path=f"{CRATE}/Snakefile", main=True, lang="snakemake", lang_version=versions.get("snakemake"),
            properties={"name": "twostage", "url": PAPER, "version": git_commit() or versions.get("twostage", ""),
                        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
                        "sha256": sha256(self.run / CRATE / "Snakefile"), "encodingFormat": "text/plain",
                        "conformsTo": {"@id": f"{BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE"}},
        )  # fmt: skip
        self.steps, self.tools = {}, {}
        stages = {_stage(name) for name in self.records}
        for position, stage in enumerate(stage for stage in NAMES if stage in stages):
            own = [record for name, record in self.records.items() if _stage(name) == stage]
            found = sorted({item for record in own for item in (record.get("versions") or {}).items()})
            needs = [
                self.entity(f"#software/{name}-{version}", "SoftwareApplication", name=name, softwareVersion=version)
                for name, version in found
                if name != "twostage"
            ]
            commits = sorted({record["commit"] for record in own if record.get("commit")})
            self.tools[stage] = self.entity(
                f"#tool/{stage}", "SoftwareApplication", name=f"twostage, stage {stage}", softwareRequirements=needs,
                softwareVersion=" ".join([*(version for name, version in found if name == "twostage"), *commits]),
            )  # fmt: skip
            self.steps[stage] = self.entity(
                f"#step/{stage}", "HowToStep", name=f"{stage}: {NAMES[stage]}", position=str(position),
                workExample=self.tools[stage],
            )  # fmt: skip
        self.main["hasPart"], self.main["step"] = list(self.tools.values()), list(self.steps.values())
        for key, name, what in (("input", "config.yaml", "configuration"), ("output", "report.html", "report")):
            parameter = self.entity(
                f"#parameter/{what}", "FormalParameter", name=what, additionalType="File", workExample=self.files[name],
                conformsTo={"@id": f"{BIOSCHEMAS}/FormalParameter/1.0-RELEASE"},
            )  # fmt: skip
            self.main[key], self.files[name]["exampleOfWork"] = parameter, parameter
        for path in sorted((self.run / CRATE).rglob("*")):
            if path.is_file() and path.name != "Snakefile":
                self.file(path.relative_to(self.run).as_posix(), sha256(path))

    def actions(self):
        """The actions: one per artefact, one per step that orders those, the run as a whole, and Snakemake's."""
        made, elsewhere = {stage: [] for stage in self.steps}, {}
        for name, record in self.records.items():
            sources = [self.source(path, digest) for path, digest in _inputs(record).items()]
            elsewhere |= {source.id: source for source in sources if source.id.startswith("#elsewhere/")}
            settings = {key: record[key] for key in ("config", "seed") if record.get(key) is not None}
            values = [
                self.entity(
                    f"#settings/{name}/{key}", "PropertyValue", name=key, value=json.dumps(value, sort_keys=True)
                )
                for key, value in settings.items()
            ]
            made[_stage(name)].append(
                self.entity(
                    f"#made/{name}", "CreateAction", name=f"make {name}", instrument=self.tools[_stage(name)],
                    object=[*sources, *values], result=[self.source(f"results/{self.name}/{name}", record["sha256"])],
                    endTime=_time(record["created"]), description=f"commit {record.get('commit') or 'unknown'}",
                )
            )  # fmt: skip
        results = [entity for name, entity in self.files.items() if _stage(name) == "report"]
        whole = self.entity(
            "#run", "CreateAction", name=f"the run {self.name}", instrument=self.main, result=results,
            object=[self.files["config.yaml"], *elsewhere.values()], description="every job of the run",
            endTime=_time(self.records["report.html"]["created"]),
        )  # fmt: skip
        control = [
            self.entity(f"#control/{stage}", "ControlAction", name=f"{stage} of the run", instrument=step,
                        object=made[stage])
            for stage, step in self.steps.items()
        ]  # fmt: skip
        version = self.records["report.html"].get("versions", {}).get("snakemake", "")
        engine = self.entity("#snakemake", "SoftwareApplication", name="Snakemake", softwareVersion=version,
                             url="https://snakemake.github.io")  # fmt: skip
        ordered = self.entity(
            "#orders", "OrganizeAction", name=f"Snakemake orders the steps of {self.name}", instrument=engine,
            object=control, result=whole, endTime=_time(self.records["report.html"]["created"]),
        )  # fmt: skip
        return [whole, ordered, *(action for actions in made.values() for action in actions)]

    def claims(self):
        """A claim per statement that the run checked, with its verdict, rule and sources."""
        content = json.loads((self.run / "report/claims.json").read_text(encoding="utf-8"))
        return [
            self.entity(
                f"#claim/{claim['id']}", "Claim", name=claim["id"], text=claim["statement"],
                description=f"{claim['verdict']} ({claim['rule']}){_found(claim)}",
                appearance=self.files["report/claims.json"],
                isBasedOn=[self.source(path, None) for path in claim.get("sources", ())],
            )
            for claim in content["claims"]
        ]  # fmt: skip


def _stage(name):
    """The stage that made an artefact, by its path below the run's folder."""
    return stage_of(f"run/{name}", "run") or "report"


def _found(claim):
    """What was measured, case by case, as words."""
    words = [
        f"{finding['case']}: {finding['value']:.4g}"
        + (" [{:.4g}, {:.4g}]".format(*finding["interval"]) if finding.get("interval") else "")
        for finding in claim.get("findings", ())
        if isinstance(finding.get("value"), int | float)
    ]
    return f": {claim['quantity']} {'; '.join(words)}" if words else ""


def _time(text):
    """A time of provenance in ISO 8601 with its offset."""
    return datetime.fromisoformat(text).isoformat()


def main(arguments=None):
    """Make a run's crate; a ValueError or OSError becomes one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m twostage.report.crate", description=__doc__.split("\n")[0])
    parser.add_argument("run", help="folder of a finished run, e.g. results/digits")
    parser.add_argument(
        "--license", default=LICENSE, help=f"URL of the license of the run's files (default: {LICENSE})"
    )
    options = parser.parse_args(arguments)
    try:
        print(make_crate(options.run, options.license))
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name != "rocrate":
            raise
        print("error: the package rocrate is not installed: pip install rocrate", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
