"""Training curves and oracle-supervised training: draw what their CSV holds, refuse bad input by name."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from report_results import described, oracle_loss, split_of, write

from twostage.provenance import provenance_path
from twostage.report.figures import fig7, fig_oracle_supervised, fig_training, pictures
from twostage.report.figures.pictures import read_snapshots
from twostage.report.results import convergence

SPLITS = {"pixel": 0.45, "vae": 0.4}
PAIRS = {"B_oracle": "B"}


def log(steps, loss=0.5, every=10):
    """Lines of a training log: loss and gradient norm fall towards ``loss``; the second line is an outlier."""
    rows = [
        {
            "step": step, "loss": loss + 10 / step, "grad_norm": 0.6 + 5 / step, "lr": 1e-3,
            "samples_per_second": 100.0 if step > every else 1.0, "seconds": step / 5,
        }
        for step in range(every, steps + 1, every)
    ]  # fmt: skip
    return rows


def write_log(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def stats(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    return {
        space: [write_log(folder / space / model / "stats.jsonl", log(steps)) for model, steps in lengths.items()]
        for space, lengths in (("pixel", {"S": 600, "XL": 1200}), ("vae", {"S": 600, "XL": 1200}))
    }


def write_snapshots(path, snapshots):
    """samples.h5 of (model, step) pairs: eight grey images each, brighter from step to step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["model"], file["step"] = [model for model, _ in snapshots], [step for _, step in snapshots]
        file["labels"] = np.arange(8)
        file["images"] = np.stack([np.full((8, 4, 4, 1), step // 10, np.uint8) for _, step in snapshots])
    return path


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """{space: samples.h5}: S to step 600, XL to 1200."""
    folder = tmp_path_factory.mktemp("samples")
    snapshots = [("S", 300), ("S", 600), ("XL", 600), ("XL", 1200)]
    return {space: write_snapshots(folder / f"{space}.h5", snapshots) for space in SPLITS}


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """The arguments of ``fig_oracle_supervised.draw``: B and B_oracle, which has a later snapshot and lacks one."""
    folder = tmp_path_factory.mktemp("twins")
    losses, evaluations, splits = {}, {}, {}
    for space, split in SPLITS.items():
        sized = oracle_loss(split)
        twin = sized[sized["model"] == "B"]
        extra = twin[twin["step"] == 600].assign(step=1200)
        supervised = pd.concat([twin[twin["step"] != 75], extra]).assign(model="B_oracle")
        supervised["oracle"] *= 0.98
        losses[space] = write(folder, f"{space}/oracle_loss.csv", pd.concat([sized, supervised]))
        rows = [
            (f"fig_oracle_supervised-{model}-{step:07d}", seed, "classifier", value + 600 / step + 0.1 * seed)
            for model, value in (("B", 3.0), ("B_oracle", 3.2))
            for step in (150, 300, 600)
            for seed in (0, 1, 2)
        ]
        table = pd.DataFrame(rows, columns=["plan", "seed", "features", "distance"])
        evaluations[space] = write(folder, f"{space}/evaluation.csv", described(table))
        splits[space] = write(folder, f"{space}/split.json", split_of(split))
    return {"oracle_loss": losses, "evaluation": evaluations, "split": splits, "pairs": PAIRS}


def made(module, folder, **arguments):
    outputs = {f"output_{suffix}": folder / f"figure.{suffix}" for suffix in ("pdf", "png", "csv")}
    module.draw(**arguments, **outputs, config={"seed": 0})
    for path in outputs.values():
        assert provenance_path(path).is_file()
    assert outputs["output_pdf"].read_bytes().startswith(b"%PDF")
    assert outputs["output_png"].read_bytes().startswith(b"\x89PNG")
    return pd.read_csv(outputs["output_csv"])


def lines(picture):
    return [np.asarray(line.get_xydata(), float) for axes in picture.axes for line in axes.lines]


def has_line(axes, x, y):
    wanted = np.column_stack([x, y])
    found = [np.asarray(line.get_xydata(), float) for line in axes.lines]
    return any(one.shape == wanted.shape and np.allclose(one, wanted) for one in found)


def same_lines(one, two):
    assert len(lines(one)) == len(lines(two)) > 0
    for first, second in zip(lines(one), lines(two)):
        np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------------------------------------------- training curves


def test_training_curves_draw_what_their_csv_holds(stats, samples, tmp_path):
    table = made(fig_training, tmp_path, stats=stats, samples=samples, models=["S", "XL"])
    picture = fig_training.figure(table)
    same_lines(picture, fig_training.figure(fig_training.drawn(stats, samples, models=["S", "XL"])))
    rows = table.query("space == 'vae' and model == 'XL'")
    rows = rows[rows["kind"] == "curve"]
    assert len(rows) == 120
    for axes, quantity in zip(picture.axes[2:4], ("loss", "grad_norm")):
        assert has_line(axes, rows["step"], rows[quantity])
        assert has_line(axes, rows["step"], rows[f"{quantity}_smoothed"])


def test_samples_stand_in_the_row_of_their_step_and_the_block_of_their_model(stats, samples):
    snapshots = read_snapshots(samples["vae"])
    assert (snapshots.models, snapshots.steps) == (["S", "XL"], [300, 600, 1200])
    table = fig_training.drawn(stats, samples)
    tiles = table[(table["kind"] == "tile") & (table["space"] == "vae")]
    starts = tiles.groupby("model")["column"].min().astype(int).to_dict()
    grey = pictures.in_rows_and_columns(tiles)[..., 0, 0, 0]
    assert starts == {"S": 0, "XL": 9}
    assert grey[:, starts["S"]].tolist() == [30, 60, 255]  # white where there is no snapshot
    assert grey[:, starts["XL"]].tolist() == [255, 60, 120]
    assert (grey[:, 8] == 255).all()
    words = [text.get_text() for text in fig_training.figure(fig_training.drawn(stats, samples)).axes[-1].texts]
    assert words == ["S", "XL", "step", "300", "600", "1,200"]


def test_samples_that_are_not_there_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"samples\.h5 is not there"):
        read_snapshots(tmp_path / "samples.h5")


def test_models_are_named_by_their_folders_or_as_given(stats):
    assert list(dict.fromkeys(fig_training.drawn(stats, {})["model"])) == ["S", "XL"]
    assert list(dict.fromkeys(fig_training.drawn(stats, {}, models=["a", "b"])["model"])) == ["a", "b"]
    with pytest.raises(ValueError, match="pixel has 2 training logs for the models S; expected one each"):
        fig_training.drawn(stats, {}, models=["S"])


def test_one_model_a_space_may_come_as_a_path(stats):
    table = fig_training.drawn({"pixel": stats["pixel"][0]}, {}, models=["S"])
    assert len(table) == 60


def test_the_legend_gives_throughput_and_time(stats, samples):
    picture = fig_training.figure(fig_training.drawn(stats, samples))
    words = [text.get_text() for text in picture.axes[0].get_legend().get_texts()]
    assert words == ["S: 100 samples/s, 2 min", "XL: 100 samples/s, 4 min"]


def test_smoothing_keeps_a_straight_line_and_narrows_noise(tmp_path):
    straight = [{**row, "loss": 5 - row["step"] / 1000} for row in log(2000)]
    noisy = [{**row, "loss": 1 + 0.1 * (-1) ** (row["step"] // 10)} for row in log(2000)]
    for rows, check in (
        (straight, lambda own: np.allclose(own["loss_smoothed"][10:-10], own["loss"][10:-10])),
        (noisy, lambda own: (own["loss_smoothed"] - 1).abs()[10:-10].max() < 0.02),
    ):
        assert check(fig_training.drawn({"x": [write_log(tmp_path / "stats.jsonl", rows)]}, {}, models=["S"]))


def test_long_logs_are_drawn_as_means_of_consecutive_lines(tmp_path):
    rows = log(50_000)
    table = fig_training.drawn({"x": [write_log(tmp_path / "stats.jsonl", rows)]}, {}, models=["S"])
    assert len(table) == 1000
    assert table["loss"].iloc[3] == pytest.approx(np.mean([row["loss"] for row in rows[15:20]]))
    assert table["step"].iloc[[0, -1]].tolist() == [50, 50_000]
    assert table["seconds"].iloc[-1] == rows[-1]["seconds"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("", "has no lines"),
        ('{"step": 10}\n', "line 1 is no line of a training log"),
        (json.dumps(log(10)[0]) + '\n{"step": 20, "lo', "line 2 is no line of a training log"),
        ("[1, 2]\n", "line 1 is no line of a training log"),
    ],
)
def test_broken_logs_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "stats.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message) as raised:
        fig_training.drawn({"x": [path]}, {}, models=["S"])
    assert "stats.jsonl" in str(raised.value)


# ------------------------------------------------------------------------------------------ oracle-supervised training


def test_oracle_supervised_draws_what_its_csv_holds(twins, tmp_path):
    table = made(fig_oracle_supervised, tmp_path, **twins)
    picture = fig_oracle_supervised.figure(table)
    same_lines(picture, fig_oracle_supervised.figure(fig_oracle_supervised.drawn(**twins)))
    assert len(picture.axes) == 4
    for model in ("B", "B_oracle"):
        rows = table.query(f"kind == 'loss' and space == 'vae' and model == '{model}'")
        assert set(zip(rows["step"], rows["snapshot"])) == {(300, "middle"), (600, "last")}
        for _, own in rows.groupby("step"):
            assert has_line(picture.axes[2], own["t"], own["oracle"])
        means = table.query(f"kind == 'distance' and space == 'vae' and model == '{model}'").groupby("step")["distance"]
        assert has_line(picture.axes[3], [150, 300, 600], means.mean())


def test_distances_have_a_mean_over_the_seeds_with_its_interval(twins):
    table = convergence.distances_of_twins(twins["evaluation"], PAIRS)
    rows = table.query("space == 'pixel' and model == 'B_oracle' and step == 300")
    assert set(rows["target"]) == {"oracle"}
    assert rows["mean"].iloc[0] == pytest.approx(5.3)
    assert rows["mean_high"].iloc[0] - 5.3 == pytest.approx(4.302653 * 0.1 / 3**0.5)  # Student's t, three seeds


def test_twins_are_compared_at_the_snapshots_both_have(twins):
    table = convergence.losses_of_twins(twins["oracle_loss"], twins["split"], PAIRS)
    assert sorted(set(table["step"])) == [150, 300, 600]
    assert set(table.loc[table["snapshot"] == "other", "step"]) == {150}
    assert set(table["pair"]) == {"B"}


def test_twins_that_cannot_be_compared_are_refused(twins, tmp_path):
    sized = oracle_loss(0.4, sizes={"B": 1.0}, steps=(100,), longer=None)
    apart = pd.concat([sized, sized.assign(model="B_oracle", step=200)])
    losses = {"x": write(tmp_path, "loss.csv", apart)}
    splits = {"x": write(tmp_path, "split.json", split_of(0.4))}
    with pytest.raises(ValueError, match=r"loss\.csv: B_oracle and B have no snapshot in common"):
        convergence.losses_of_twins(losses, splits, PAIRS)
    with pytest.raises(ValueError, match="no rows of model 'M'"):
        convergence.losses_of_twins(losses, splits, {"M": "B"})
    with pytest.raises(ValueError, match="no plan of model 'M'"):
        convergence.distances_of_twins(twins["evaluation"], {"M": "B"})
    with pytest.raises(ValueError, match="no pair was given"):
        convergence.distances_of_twins(twins["evaluation"], {})


def test_a_plan_of_no_snapshot_is_refused(tmp_path):
    table = pd.DataFrame(
        {"plan": ["x"], "seed": 0, "features": "classifier", "distance": 1.0, "model": "B", "step": np.nan}
    )
    with pytest.raises(ValueError, match="plan 'x' is of no snapshot; expected a field model@step"):
        convergence.distances_of_twins({"x": write(tmp_path, "evaluation.csv", table)}, PAIRS)


def test_a_model_name_may_have_hyphens(tmp_path):
    plans = [f"fig_oracle_supervised-{model}-600" for model in ("B", "B-oracle")]
    table = pd.DataFrame({"plan": plans, "seed": 0, "features": "classifier", "distance": [1.0, 2.0]})
    table = table.assign(model=["B", "B-oracle"], step=600)
    found = convergence.distances_of_twins({"x": write(tmp_path, "evaluation.csv", table)}, {"B-oracle": "B"})
    assert dict(zip(found["model"], found["distance"])) == {"B": 1.0, "B-oracle": 2.0}


def test_models_that_are_not_named_are_left_aside(tmp_path):
    # A model of another target in the same file, trained shorter than the rest, would else shorten the shared length.
    sized = oracle_loss(0.4)
    other = sized[(sized["model"] == "B") & (sized["step"] <= 150)].assign(model="B_oracle")
    splits = {"x": write(tmp_path, "split.json", split_of(0.4))}
    alone = fig7.drawn({"x": write(tmp_path, "alone.csv", sized)}, splits, models=["S", "B", "XL"])
    both = {"x": write(tmp_path, "both.csv", pd.concat([other, sized, other.assign(model="Z")]))}
    pd.testing.assert_frame_equal(fig7.drawn(both, splits, models=["S", "B", "XL"]), alone)
    assert not fig7.drawn(both, splits).equals(alone)
