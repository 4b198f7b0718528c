"""A run as an RO-Crate: read back by its own package, the profile's MUST items, and runs that have none."""

import json
import shutil
from datetime import datetime
from types import SimpleNamespace

import pytest
import yaml
from rocrate.rocrate import ROCrate

from twostage.provenance import sha256, write_json, write_provenance
from twostage.provenance.verify import verify
from twostage.report.crate import METADATA, main, make_crate

CLAIM = {
    "id": "drop", "statement": "The gap falls.", "verdict": "holds", "rule": "holds if below 0", "quantity": "slope",
    "sources": ["results/tiny/oracle/pixel/posterior.csv"],
    "findings": [{"case": "pixel", "value": -1.25, "interval": [-1.5, -1.0]}, {"case": "vae", "value": None}],
}  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run of five stages, tiny: provenance names its files as a run does, relative to where it ran."""
    monkeypatch.chdir(tmp_path)
    made = "results/tiny"
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")

    def put(name, text, *inputs, **facts):
        path = tmp_path / made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        write_provenance(
            f"{made}/{name}", inputs=[file if file == "weights.pt" else f"{made}/{file}" for file in inputs], **facts
        )

    put("data/pixel/latents.h5", "latents", "weights.pt", config={"flips": True}, seed=0)
    put("oracle/pixel/posterior.csv", "t\n0", "data/pixel/latents.h5")
    put("training/pixel/B/step.safetensors", "w", latents={"path": f"{made}/data/pixel/latents.h5", "fingerprint": "f"})
    put("report/fig2.png", "png", "oracle/pixel/posterior.csv")
    put("report/claims.json", "", "oracle/pixel/posterior.csv")
    write_json(f"{made}/report/claims.json", {"claims": [CLAIM]})
    write_provenance(f"{made}/report/claims.json", inputs=[f"{made}/oracle/pixel/posterior.csv"])
    put("report.html", "page", "report/claims.json", "report/fig2.png", config={"run": "tiny"})
    put("config.yaml", yaml.safe_dump({"run": "tiny", "data": {"name": "digits"}}))
    return tmp_path / made


def ids(value):
    """The ids of what a property refers to."""
    found = value if isinstance(value, list) else [] if value is None else [value]
    return [item["@id"] if isinstance(item, dict) else item.id for item in found]


def graph_of(run):
    content = json.loads((run / METADATA).read_text(encoding="utf-8"))
    return {entity["@id"]: entity for entity in content["@graph"]}


def of_type(graph, kind):
    return [entity for entity in graph.values() if kind in (entity["@type"], *entity["@type"])]


def test_the_crate_is_read_back_with_every_file_digest_figure_and_claim(run):
    assert make_crate(run) == run / METADATA
    crate = ROCrate(run)
    assert crate.mainEntity.id == "crate/Snakefile"
    assert (run / "crate/workflow/rules/common.smk").is_file()
    files = {entity.id: entity for entity in crate.data_entities}
    for name in ("data/pixel/latents.h5", "report/fig2.png", "report.html", "report/claims.json", "crate/Snakefile"):
        assert files[name]["sha256"] == sha256(run / name)
    for name in files:
        assert (run / name).is_file()
    assert {"report/fig2.png", "report/claims.json", "report.html"} <= set(ids(crate.get("#run")["result"]))
    made = crate.get("#made/oracle/pixel/posterior.csv")
    assert made["object"].id == "data/pixel/latents.h5"
    assert made["result"].id == "oracle/pixel/posterior.csv"
    assert "data/pixel/latents.h5" in ids(crate.get("#made/training/pixel/B/step.safetensors")["object"])
    versions = json.loads((run / "report.html.provenance.json").read_text())["versions"]
    needed = {(each["name"], each["softwareVersion"]) for each in crate.get("#tool/oracle")["softwareRequirements"]}
    assert needed == {item for item in versions.items() if item[0] != "twostage"}
    claim = crate.get("#claim/drop")
    assert claim["text"] == "The gap falls."
    assert claim["description"] == "holds (holds if below 0): slope pixel: -1.25 [-1.5, -1]"
    assert claim["isBasedOn"].id == "oracle/pixel/posterior.csv"


def test_settings_seeds_and_what_came_from_elsewhere_are_told(run):
    make_crate(run)
    graph = graph_of(run)
    told = ids(graph["#made/data/pixel/latents.h5"]["object"])
    values = {graph[name]["name"]: graph[name]["value"] for name in told if name.startswith("#settings/")}
    assert values == {"config": '{"flips": true}', "seed": "0"}
    elsewhere = graph["#elsewhere/weights.pt"]
    assert elsewhere["identifier"] == f"sha256:{sha256(run.parents[1] / 'weights.pt')}"
    assert "#elsewhere/weights.pt" in ids(graph["#run"]["object"])


def test_what_the_profile_requires_is_there(run):
    """Every MUST of RO-Crate 1.1, Workflow RO-Crate 1.0, and the Process, Workflow and Provenance Run Crates 0.5."""
    make_crate(run)
    graph = graph_of(run)
    content = json.loads((run / METADATA).read_text(encoding="utf-8"))
    assert content["@context"] == [
        "https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"
    ]  # fmt: skip
    root, descriptor = graph["./"], graph[METADATA]
    assert descriptor["about"] == {"@id": "./"}
    assert "https://w3id.org/ro/crate/1.1" in ids(descriptor["conformsTo"])
    assert {"name", "description", "datePublished", "license"} <= set(root)
    datetime.fromisoformat(root["datePublished"])
    profiles = {f"https://w3id.org/ro/wfrun/{name}/0.5" for name in ("process", "workflow", "provenance")}
    assert set(ids(root["conformsTo"])) == profiles | {"https://w3id.org/workflowhub/workflow-ro-crate/1.0"}
    assert all("CreativeWork" in graph[name]["@type"] for name in ids(root["conformsTo"]))
    workflow = graph[root["mainEntity"]["@id"]]
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"} <= set(workflow["@type"])
    assert "ComputerLanguage" in graph[workflow["programmingLanguage"]["@id"]]["@type"]
    assert set(ids(workflow["hasPart"])) == {f"#tool/{s}" for s in ("data", "oracle", "training", "report")}
    for key in ("input", "output"):
        for name in ids(workflow[key]):
            assert graph[name]["@type"] == "FormalParameter"
            assert graph[name]["additionalType"]
            assert graph[name]["workExample"]["@id"] in graph
    used = [name for action in of_type(graph, "CreateAction") for name in ids(action["instrument"])]
    assert set(ids(workflow["hasPart"])) <= set(used)
    assert root["mainEntity"]["@id"] in used
    steps = of_type(graph, "HowToStep")
    assert {step["@id"] for step in steps} == set(ids(workflow["step"]))
    assert all(step["workExample"]["@id"] in ids(workflow["hasPart"]) and int(step["position"]) >= 0 for step in steps)
    control = of_type(graph, "ControlAction")
    assert {action["instrument"]["@id"] for action in control} == {step["@id"] for step in steps}
    ordered = {name for action in control for name in ids(action["object"])}
    assert ordered == {action["@id"] for action in of_type(graph, "CreateAction")} - {"#run"}
    (orders,) = of_type(graph, "OrganizeAction")
    assert graph[orders["instrument"]["@id"]]["name"] == "Snakemake"
    assert set(ids(orders["object"])) == {action["@id"] for action in control}
    assert orders["result"] == {"@id": "#run"}
    assert all(action["endTime"] for action in of_type(graph, "CreateAction"))
    # Every reference leads to an entity, except those to the web.
    for entity in graph.values():
        for key, value in entity.items():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict) and not item["@id"].startswith("https://"):
                    assert item["@id"] in graph, (entity["@id"], key)


def test_a_crate_is_no_problem_to_verify_and_is_made_again_under_another_name(run):
    make_crate(run)
    assert verify(run).problems == []
    first = graph_of(run)
    moved = run.with_name("moved")
    shutil.move(run, moved)
    make_crate(moved, "https://creativecommons.org/licenses/by/4.0/")
    again = graph_of(moved)
    assert again.keys() - first.keys() == {"https://creativecommons.org/licenses/by/4.0/"}
    assert again["./"]["license"] == {"@id": "https://creativecommons.org/licenses/by/4.0/"}


def broken(run, name):
    shutil.rmtree(run) if name == "." else (run / name).unlink()
    if name == ".":
        run.mkdir()


@pytest.mark.parametrize(
    ("gone", "why"),
    [
        (".", "tiny: no provenance in it; expected the folder of a run, such as results/digits"),
        ("report.html", "tiny is not a finished run: report.html missing; run the workflow to its end first"),
        ("report/claims.json", "tiny is not a finished run: report/claims.json missing"),
        ("report/fig2.png.provenance.json", None),
        ("config.yaml.provenance.json", "tiny is not a finished run: config.yaml missing"),
    ],
)
def test_a_run_that_has_no_crate_is_told_in_one_line(run, gone, why, capsys):
    broken(run, gone)
    assert main([str(run)]) == (1 if why else 0)
    error = capsys.readouterr().err
    assert error.count("\n") == (1 if why else 0)
    assert (why or "") in error
    assert (run / METADATA).exists() == (why is None)


def test_what_the_report_was_made_from_has_to_be_there_and_provenance_to_be_read(run, capsys):
    record = run / "report/fig2.png.provenance.json"
    (run / "report/fig2.png").unlink()
    kept = record.read_text()
    record.unlink()
    assert main([str(run)]) == 1
    assert "report.html was made from results/tiny/report/fig2.png, which is not there" in capsys.readouterr().err
    record.write_text(kept[:40])
    assert main([str(run)]) == 1
    assert "fig2.png.provenance.json cannot be read as provenance" in capsys.readouterr().err


def test_a_package_without_its_workflow_says_so(run, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("twostage.report.crate.PACKAGE_ROOT", SimpleNamespace(parent=SimpleNamespace(parent=tmp_path)))
    assert main([str(run)]) == 1
    assert "has no Snakefile; expected the checkout whose workflow made the run" in capsys.readouterr().err


def test_a_crate_of_a_report_that_was_drawn_again_does_not_hinder_the_next(run):
    make_crate(run)
    (run / "report.html").write_text("page, drawn again", encoding="utf-8")
    inputs = [f"results/tiny/report/{name}" for name in ("claims.json", "fig2.png")]
    write_provenance("results/tiny/report.html", inputs=inputs)
    assert verify(run).problems == []
    make_crate(run)
    assert graph_of(run)["report.html"]["sha256"] == sha256(run / "report.html")
