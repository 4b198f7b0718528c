"""What the terminal shows of a job that fails: the reason, the rule and the log, where it fails and at the end."""

import re
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

CONFIG = {
    "run": "bad",
    "data": {"name": "image_folder", "path": "images", "image_size": 16, "held_out": 0.25},
    "spaces": {"pixel": {"encoder": {"kind": "identity"}}},
    "models": {"S": {"hidden_size": 8, "depth": 1, "num_heads": 1}},
    "training": {"steps": 1},
    "sampling": {"samples": 4, "seeds": [0], "steps": 2},
    "experiments": {"tab_plans": {"plans": {"plain": {"parts": [{"field": "S"}]}}}},
}
RESULTS = "results/bad"
LATENTS = f"{RESULTS}/data/pixel/latents.h5"
SNAPSHOT = f"{RESULTS}/training/pixel/S/step-0000001.safetensors"
SAMPLES = f"{RESULTS}/samples/pixel/tab_plans-plain/shard-0.h5"
NSWEEP = f"{RESULTS}/oracle/pixel/nsweep.csv"
TOO_SMALL = "images/dog/0.png: 15 x 40 pixels, smaller than the crop of 16; "


@pytest.fixture
def run(checkout):
    """Two classes of four images, one too small; a function that makes a target, or fails: what the terminal shows."""
    for name in ("cat", "dog"):
        (checkout.folder / "images" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(checkout.folder / "images" / name / f"{number}.png")
    Image.new("RGB", (15, 40)).save(checkout.folder / "images/dog/0.png")
    (checkout.folder / "bad.yaml").write_text(yaml.safe_dump(CONFIG))

    def make(target, *, fails=True):
        arguments = ("--rerun-triggers", "mtime", "--", target)
        done = checkout.snakemake(*arguments, configfile="bad.yaml", check=False, forked=False)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        assert done.stdout == ""
        return checkout.folder, done.stderr.splitlines()

    return make


def reason(folder, lines, rule, log):
    """The reason that the terminal gives, after a check that it gives it where it should and nothing besides."""
    log = f"{RESULTS}/logs/{log}"
    *_, said, complete, elapsed, last, failed = lines
    assert (last, failed) == ("WorkflowError:", "At least one job did not complete successfully.")
    assert complete.startswith("Complete log(s): ")
    assert elapsed.startswith("Elapsed time: ")
    why = re.fullmatch(rf"error: (.*) \({rule}; log: {log}\)", said)[1]
    assert f"    error: {why} (log: {log})" in lines  # the end of Snakemake's own words about the job
    assert (folder / log).read_text().splitlines()[-1].removeprefix("error: ") == why
    for noise in ("leaked", "nanobind", "Traceback"):
        assert not any(noise in line for line in lines)
    return why


def test_every_kind_of_rule_says_why_it_failed(run):
    folder, said = run(LATENTS)
    assert reason(folder, said, "encode", "encode/pixel.log").startswith(TOO_SMALL)
    shutil.copy(folder / "images/cat/0.png", folder / "images/dog/0.png")
    (folder / RESULTS / "data/index.csv").unlink()
    run(SAMPLES, fails=False)
    latents = (folder / LATENTS).read_bytes()

    (folder / SNAPSHOT).write_bytes((folder / SNAPSHOT).read_bytes()[:500])
    assert reason(*run(SAMPLES), "sample_tab_plans", "sample/tab_plans/pixel-0.log").startswith(f"{SNAPSHOT}: ")

    (folder / LATENTS).write_bytes(latents[:2000])
    assert reason(*run(SNAPSHOT), "train_S", "train/pixel/S.log").startswith(f"{LATENTS}: not a whole HDF5 file")

    (folder / NSWEEP).parent.mkdir(parents=True)
    (folder / NSWEEP).write_text("a table,of something else\n1,2\n")
    assert NSWEEP in reason(*run("nsweep"), "nsweep", "report/nsweep.log")

    for log in (folder / RESULTS / "logs").rglob("*.log"):
        assert "leaked" not in log.read_text()
