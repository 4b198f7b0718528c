"""What a change makes run again, and what it does not: each test is a row of docs/reruns.md."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

SAMPLING = {"sample_tab1", "sample_tab2", "sample_tab3", "sample_fig5", "sample_fig6", "follow_fig8", "evaluate"}
UPSTREAM = {"encode", "autoencoder", "posterior", "synthetic", "vary_size"}
UPSTREAM |= {"fig2", "fig3", "law", "nsweep", "fig_information"}
TRAINING = {"train_S", "train_S_oracle", "train_B", "train_XL"}


def test_a_change_in_a_figure_reruns_that_figure_and_the_report(finished):
    finished.edit("src/twostage/report/figures/fig3.py", "\ndef draw(", "\nADDED = 1\n\n\ndef draw(")
    assert finished.reruns() == {"fig3", "report"}


def test_a_change_of_a_caption_reruns_that_figure_and_the_report(finished):
    caption = finished.folder / "workflow/report/fig3.rst"
    caption.write_text(caption.read_text() + "\nOne sentence more.\n")
    assert finished.reruns() == {"fig3", "report"}


def test_a_change_of_style_redraws_what_is_drawn_and_runs_nothing_else(finished):
    finished.edit("src/twostage/report/figures/style.py", "\ndef save(", "\nADDED = 1\n\n\ndef save(")
    found = finished.reruns()
    assert {"fig2", "fig3", "tab1", "claims", "report"} <= found
    assert all(re.match("fig|tab|law|nsweep|claims|report", rule) for rule in found)


def test_a_change_of_a_template_remakes_pages_and_no_figure(finished):
    template = finished.folder / "src/twostage/report/pages/verdicts.html"
    template.write_text(template.read_text() + "<!-- more -->\n")
    tables = {"tab1", "tab2", "tab3", "tab_capacity", "tab_gain", "tab_halves", "tab_plans"}
    assert finished.reruns() == {"claims", *tables, "report"}


def test_a_comment_a_docstring_a_type_or_formatting_anywhere_reruns_nothing(finished):
    for path in (finished.folder / "src/twostage").rglob("*.py"):
        text = path.read_text()
        assert text.startswith('"""'), f"{path}: expected a docstring to change"
        text = text.replace('"""', '"""Changed. ', 1).replace("path: PathLike", "path: None | PathLike")
        path.write_text(text + "\n\n\n# a comment\n")
    assert finished.reruns() == set()


def test_one_experiments_settings_rerun_its_plans_and_figures(finished):
    reruns = finished.reruns(config=["experiments={tab3: {guidance: 3.0}}"])
    assert reruns == {"sample_tab3", "evaluate", "tab3", "claims", "report"}


def test_a_fixed_split_reruns_only_what_uses_a_split(finished):
    reruns = finished.reruns(config=["split=0.3"])
    samples = {"sample_tab1", "sample_tab_plans", "sample_tab_capacity", "sample_tab_halves", "sample_fig_jump"}
    measured = {"evaluate", "memorization"}
    drawn = {"fig2", "fig5", "fig6", "fig7", "fig8", "fig9", "fig_memorization", "fig_oracle_supervised", "fig_shift"}
    drawn |= {"fig_jump", "fig_norms", "fig_references", "fig_spaces", "tab1", "tab2", "tab3", "tab_capacity"}
    drawn |= {"tab_gain", "tab_halves", "tab_plans"}
    assert reruns == {"split", "claims", "report"} | samples | measured | drawn


def test_a_new_size_trains_that_size_and_measures_it(finished):
    reruns = finished.reruns(config=["models={M: {hidden_size: 8, depth: 1, num_heads: 2}}"])
    assert {"train_M", "oracle_loss", "fig7", "fig9", "report"} <= reruns
    assert not reruns & (TRAINING | SAMPLING | {"autoencoder", "encode", "posterior", "vary_size", "synthetic"})


def test_another_recipe_retrains_and_runs_nothing_upstream(finished):
    reruns = finished.reruns(config=["training={lr: 0.01, steps: 4, snapshots: [2, 4], batch_size: 32, ema: 0.9}"])
    assert TRAINING | SAMPLING | {"oracle_loss", "fig7", "tab1", "report"} <= reruns
    assert not UPSTREAM & reruns


def test_a_raised_training_version_retrains(finished):
    path = finished.folder / "src/twostage/training/__init__.py"
    path.write_text(re.sub(r"TRAINING_VERSION = (\d+)", r"TRAINING_VERSION = \g<1>0", path.read_text()))
    reruns = finished.reruns()
    assert reruns >= TRAINING
    assert not UPSTREAM & reruns


def test_other_data_rerun_all_but_the_synthetic(finished):
    reruns = finished.reruns(config=["data={held_out: 0.4}"])
    assert TRAINING | SAMPLING | {"classifier", "encode", "posterior", "fig2"} <= reruns
    assert not {"synthetic", "fig3"} & reruns


def test_an_index_brought_up_to_date_reruns_nothing_unless_images_changed(checkout):
    folder = checkout.folder
    for name in ("ant", "bee"):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng([number, ord(name[0])]).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{number}.png")
    shutil.copy(folder / "images/ant/1.png", folder / "images/bee/copy.png")
    images = {"name": "image_folder", "path": "images", "image_size": 16}
    config = yaml.safe_load((folder / "tests/workflow/smoke.yaml").read_text())
    config |= {"data": images | {"held_out": 0.25}, "spaces": {"pixel": config["spaces"]["pixel"]}}
    config.pop("experiments")
    (folder / "images.yaml").write_text(yaml.safe_dump(config))
    run = lambda *options: checkout.snakemake(  # noqa: E731
        *options, "--", "results/smoke/data/pixel/latents.h5", configfile="images.yaml"
    )
    done = run()
    assert (done.stdout + done.stderr).count("warning: 1 of 9 images are copies of an earlier one") == 1

    def index():
        words = [sys.executable, "-m", "twostage.data", "index", "--output", "results/smoke/data/index.csv"]
        words += ["--dataset", str(images).replace("'", '"')]
        subprocess.run(words, cwd=folder, check=True, env={"PYTHONPATH": str(folder / "src")}, capture_output=True)

    index()
    assert "Nothing to be done" in (nothing := run("--dry-run")).stdout + nothing.stderr
    Image.new("RGB", (16, 16)).save(folder / "images/bee/3.png")
    index()
    assert re.search(r"^encode +1$", run("--dry-run", "--quiet", "rules").stdout, flags=re.MULTILINE)


def test_how_trainings_are_run_retrains_nothing(finished):
    training = "steps: 4, snapshots: [2, 4], batch_size: 32, lr: 1.0e-3, ema: 0.9"
    how = "checkpoint_every: 3, minutes: 30, tensorboard: true, accumulate: 2, compile: false, log_every: 1"
    how += ", state_folder: /mnt"
    assert finished.reruns(config=[f"training={{{training}, {how}}}"]) == {"report"}


def test_what_jobs_ask_for_reruns_nothing_else(finished):
    jobs = "jobs={training: {mem_mb: 9000, runtime: 7}, sampling: {threads: 2, runtime: auto}}"
    assert finished.reruns(config=[jobs]) == {"report"}
    assert not (finished.folder / ".snakemake/twostage").exists()  # nothing is estimated for a dry run


@pytest.mark.parametrize(
    ("target", "rules"),
    [
        ("fig3", {"synthetic", "fig3"}),
        ("fig2", {"autoencoder", "encode", "posterior", "split", "fig2"}),
        ("nsweep", {"autoencoder", "encode", "vary_size", "nsweep"}),
        (
            "tab3",
            {"autoencoder", "encode", "posterior", "split", "windows", "train_B", "train_XL", "classifier"}
            | {"sample_tab3", "evaluate", "tab3"},
        ),
    ],
)
def test_one_figure_alone_runs_only_what_it_needs(checkout, target, rules):
    assert checkout.reruns(target) == rules


def test_what_reruns_is_said_with_its_reason(finished):
    said = finished.snakemake("--dry-run", "--quiet", "rules", "--config", "training={ema: 0.5}").stdout
    reasons = said.partition("Reasons:")[2]
    assert "params have changed since last execution:\n        train_B" in reasons


def test_the_default_run_starts_at_most_80_jobs(checkout):
    output = checkout.snakemake("--dry-run", "--quiet", "rules", configfile=None).stdout
    total = next(int(line.split()[1]) for line in output.splitlines() if line.startswith("total"))
    assert total <= 80
