"""What a change makes run again, and what it does not."""


def test_a_change_in_a_figure_reruns_that_figure_and_the_report(finished):
    finished.edit("src/twostage/report/fig3.py", "\ndef draw(", "\nADDED = 1\n\n\ndef draw(")
    assert finished.reruns() == {"fig3", "report"}


def test_a_comment_in_a_figure_reruns_nothing(finished):
    finished.edit("src/twostage/report/fig3.py", "\ndef draw(", "\n# a comment\ndef draw(")
    assert finished.reruns() == set()


def test_a_comment_in_the_training_code_reruns_nothing(finished):
    for module in ("training/loop.py", "model/lightningdit.py", "data/latents.py", "data/encode.py"):
        path = finished.folder / "src/twostage" / module
        path.write_text(path.read_text() + "\n# a comment\n")
    assert finished.reruns() == set()


def test_another_learning_rate_retrains_and_nothing_upstream(finished):
    reruns = finished.reruns(config=["training={lr: 0.01, steps: 4, snapshots: [2, 4], batch_size: 32, ema: 0.9}"])
    assert {"train_S", "train_B", "train_XL", "oracle_loss", "sample_tab1", "fig7", "tab1", "report"} <= reruns
    assert not {"encode", "autoencoder", "posterior", "synthetic", "fig2", "fig3"} & reruns


def test_how_trainings_are_run_retrains_nothing(finished):
    training = "steps: 4, snapshots: [2, 4], batch_size: 32, lr: 1.0e-3, ema: 0.9"
    how = "checkpoint_every: 3, minutes: 30, tensorboard: true, accumulate: 2, compile: false, log_every: 1"
    assert finished.reruns(config=[f"training={{{training}, {how}}}"]) == {"report"}


def test_one_figure_alone_runs_only_what_it_needs(checkout):
    assert checkout.reruns("fig3") == {"synthetic", "fig3"}
    assert checkout.reruns("fig2") == {"autoencoder", "encode", "posterior", "fig2"}


def test_the_default_run_starts_at_most_60_jobs(checkout):
    output = checkout.snakemake("--dry-run", "--quiet", "rules", configfile=None).stdout
    total = next(int(line.split()[1]) for line in output.splitlines() if line.startswith("total"))
    assert total <= 60
