"""Models in other conventions: asked at the same posterior, what they predict becomes the velocity of this path."""

import itertools
import json

import foreign_models
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from foreign_models import Denoiser
from training_examples import ATTRIBUTES, write_latents

from twostage import paths
from twostage.data.latents import LatentStore, write_store
from twostage.flow import interpolate, sample_noise
from twostage.model import levels
from twostage.model.checkpoints import load_model, read_header
from twostage.model.foreign import Foreign
from twostage.model.identity import refuse_other_model
from twostage.model.operations import forward_flops
from twostage.oracle import ClassOracle, Oracle
from twostage.provenance import write_json
from twostage.sampling.context import Context
from twostage.sampling.run import sample_plans
from twostage.sampling.velocity import Guided, ModelVelocity
from twostage.training.foreign import import_foreign
from twostage.training.oracle_loss import measure_oracle_loss

EDM = {
    "factory": "foreign_models:denoiser", "weights": None, "options": {}, "path": "edm", "predicts": "data",
    "normalisation": "store", "sigma_min": None, "sigma_max": None, "dropped_label": 3,
}  # fmt: skip
DIT = EDM | {"factory": "foreign_models:transformer", "path": "vp", "predicts": "noise"}
INSIDE = (0.1, 0.3, 0.499, 0.5, 0.7, 0.9, 0.99)
# Of the model's data, and of this run's latents: other means per channel, and stds in one proportion.
MEAN, STD = [0.3, -0.2], [0.4, 0.8]
STORE_MEAN, STORE_STD = [1.0, 2.0], [0.6, 1.2]


def exact(path, kind, data):
    """The prediction of a foreign model that knows its data (N, ...): from the posterior on its own path."""

    def model(x, t, y):
        alpha, sigma = (of(t.double()).reshape(-1, 1) for of in (path.alpha, path.sigma))
        apart = (x.double().flatten(1)[:, None] - alpha[:, None] * data.double().flatten(1)).square().sum(2)
        weights = torch.softmax(-apart / (2 * sigma**2), 1)
        mean = (weights @ data.double().flatten(1)).reshape(x.shape)
        return path.convert(mean, x.double(), t, of="data", to=kind).to(x.dtype)

    return model


def in_units(z):
    """Latents of this run in the model's units."""
    column = lambda values: torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1)  # noqa: E731
    return ((z.double() * column(STORE_STD) + column(STORE_MEAN)) - column(MEAN)) / column(STD)


@pytest.mark.parametrize("kind", paths.KINDS)
@pytest.mark.parametrize("name", paths.NAMED)
def test_an_exact_model_of_any_path_prediction_and_units_has_the_oracle_velocity(name, kind):
    torch.manual_seed(0)
    data = torch.randn(12, 2, 3, 3)
    units = {"mean": MEAN, "std": STD, "store_mean": STORE_MEAN, "store_std": STORE_STD}
    field = Foreign(exact(paths.named(name), kind, in_units(data)), name, kind, **units)
    assert field.times[0] < INSIDE[0]
    assert INSIDE[-1] < field.times[1]
    oracle = Oracle(data)
    for t in INSIDE:
        x = interpolate(torch.randn(6, 2, 3, 3), data[:6], t)
        torch.testing.assert_close(field(x, t, None), oracle.velocity(x, t), rtol=1e-4, atol=1e-4)
    t = torch.tensor(INSIDE[:6])  # each sample at its own time
    x = interpolate(torch.randn(6, 2, 3, 3), data[:6], t)
    torch.testing.assert_close(field(x, t, None), oracle.velocity(x, t), rtol=1e-4, atol=1e-4)


def test_a_rectified_velocity_in_the_same_units_is_itself():
    field = Foreign(lambda x, t, y: x + t.reshape(-1, 1), "rectified", "velocity")
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    for t in (0.0, 0.25, 0.75, 1.0):
        torch.testing.assert_close(field(x, t, None), x + t)
    assert field.times == (0.0, 1.0)
    assert field.clamped == "asked at all times"


def test_no_noise_level_makes_up_for_scales_that_differ_between_channels():
    """Why such a model is refused: whatever level it is asked at, its posterior is another one."""
    torch.manual_seed(1)
    data, x_0 = torch.randn(8, 2, 1, 1, dtype=torch.float64), torch.randn(1, 2, 1, 1, dtype=torch.float64)
    ratio = torch.tensor([1.0, 4.0], dtype=torch.float64).reshape(2, 1, 1)
    t = 0.5
    x = interpolate(x_0, data[:1], t)
    ours = Oracle(data).log_weights(x, t).exp()
    apart = (ratio * (x / t - data)).square().flatten(1).sum(1)
    levels = torch.logspace(-2, 3, 2000, dtype=torch.float64)  # of the noise, in the model's units
    theirs = torch.softmax(-apart / (2 * levels[:, None] ** 2), 1)
    assert (theirs - ours).abs().amax(1).min() > 0.01
    alike = torch.softmax(-(4 * (x / t - data)).square().flatten(1).sum(1) / (2 * 4**2), 0)  # one ratio: the same
    torch.testing.assert_close(alike, ours[0])
    with pytest.raises(ValueError, match=r"over the model's are 1, 4 per channel; .*normalise: all\)"):
        Foreign(lambda x, t, y: x, "edm", "data", store_std=[1.0, 4.0])
    with pytest.raises(ValueError, match=r"normalise: {std: \[1.0, 2.0\]}"):
        Foreign(lambda x, t, y: x, "edm", "data", std=[1.0, 2.0])
    with pytest.raises(ValueError, match="2 and 3 channels; expected as many, or one number"):
        Foreign(lambda x, t, y: x, "edm", "data", std=[1.0] * 2, store_std=[1.0] * 3)
    Foreign(lambda x, t, y: x, "edm", "data", std=[1.0, 2.0], store_std=[3.0, 6.001])  # written with few digits


def test_beyond_its_noise_levels_a_model_is_asked_at_the_nearest():
    asked = []

    def model(x, sigma, y):
        asked.append((x.clone(), sigma.clone()))
        return torch.zeros_like(x)

    field = Foreign(model, "edm", "data", sigma_min=0.01, sigma_max=50.0)
    low, high = field.times
    assert np.allclose((low, high), (1 / 51, 1 / 1.01))
    x = torch.tensor([[2.0], [3.0]])
    for t, sigma, scale in ((0.0, 50, 50), (low / 2, 50, 50 / (1 - low / 2)), (0.5, 1, 2), (1.0, 0.01, 1)):
        velocity = field(x, t, None)
        torch.testing.assert_close(asked[-1][1], torch.full((2,), float(sigma)))
        torch.testing.assert_close(asked[-1][0], scale * x)
        assert velocity.isfinite().all()
        if t < 0.5:  # towards the predicted data, which is 0
            torch.testing.assert_close(velocity, -x / (1 - t))
    said = "asked at sigma / alpha 0.01 to 50 of its own, here t = 0.01961 to 0.9901; at other times at the nearest of"
    assert field.clamped == f"{said} these"
    with pytest.raises(ValueError, match="sigma / alpha from 60 to 80; expected levels that the path ve reaches"):
        Foreign(model, paths.ve(0.01, 50), "score", sigma_min=60)


@pytest.mark.parametrize("path", paths.NAMED)
@pytest.mark.parametrize("predicts", paths.KINDS)
def test_noise_levels_are_refused_by_the_configuration_exactly_where_the_model_would_be(path, predicts):
    x = torch.ones(1, 2)
    for least, most in itertools.product((None, 0.0, 0.001, 1.0, 100.0, 200.0), (None, 0.001, 0.01, 80.0, 1e30)):
        try:
            field = Foreign(lambda x, t, y: torch.zeros_like(x), path, predicts, sigma_min=least, sigma_max=most)
            works = all(field(x, t, None).isfinite().all() for t in (0.0, 0.5, 1.0))
        except ValueError:
            works = False
        assert (levels.problem(path, predicts, least, most) is None) == works, (least, most)


def test_the_ends_of_paths_that_the_configuration_knows_are_theirs():
    for path, (least, most) in levels.ENDS.items():
        np.testing.assert_allclose(paths.named(path).reach, (1 / most, 1 / least))
    for path, most in levels.MOST.items():
        np.testing.assert_allclose(paths.named(path).reach[0], 1 / most)


def test_the_label_of_no_class_is_the_models_own():
    seen = []

    def model(x, t, y):
        seen.append(y.tolist())
        return x

    field = Foreign(model, "rectified", "velocity", num_classes=3, dropped_label=1000)
    Guided(ModelVelocity(field), scale=2.0)(torch.ones(2, 1), 0.5, torch.tensor([0, 2]))
    assert seen == [[0, 2, 1000, 1000]]
    with pytest.raises(ValueError, match="guidance needs the label of a dropped class; the field has none"):
        Guided(ModelVelocity(Foreign(model, "rectified", "velocity", num_classes=3)), scale=2.0)


def test_a_model_is_called_in_the_precision_of_its_weights_and_answers_in_that_of_the_state():
    field = Foreign(Denoiser(1, 1).double(), "edm", "data")
    x, y = torch.ones(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64)
    assert ModelVelocity(field)(x, 0.5, y).dtype == torch.float32


# ------------------------------------------------------------------------------------------------------ in a workflow


@pytest.fixture
def latents(tmp_path):
    return write_latents(tmp_path / "latents.h5")


def test_what_a_model_is_goes_into_a_small_file_that_gives_the_same_model(latents, tmp_path, capfd):
    torch.save(Denoiser(width=4).state_dict(), tmp_path / "w.pt")
    description = EDM | {"weights": str(tmp_path / "w.pt"), "options": {"width": 4}}
    import_foreign(description, latents, tmp_path / "m.safetensors", step=7)
    assert (tmp_path / "m.safetensors").stat().st_size < 5000
    assert "here t = 0.01235 to 0.998; at other times at the nearest" in capfd.readouterr().err
    architecture, metadata = read_header(tmp_path / "m.safetensors")
    store = LatentStore.open(latents)
    refuse_other_model("m", architecture, metadata, store, {"architecture": description, "step": 7})
    with pytest.raises(ValueError, match="a model of predicts data; expected predicts noise"):
        refuse_other_model("m", architecture, metadata, store, {"architecture": {"predicts": "noise"}})
    # F's two convolutions on 4 x 4 pixels, the layer of the noise.
    assert forward_flops(architecture) == 2 * (2 * 2 * 4 * 9 * 16 + 4)
    model = load_model(tmp_path / "m.safetensors")
    assert "asked at sigma / alpha 0.002 to 80" in capfd.readouterr().err
    weights = Denoiser(width=4)
    weights.load_state_dict(torch.load(tmp_path / "w.pt"))
    x, y = sample_noise(0, range(3), (2, 4, 4)), torch.tensor([0, 1, 3])
    denoised = weights.eval()(x / 0.3, torch.full((3,), 0.7 / 0.3), y)
    torch.testing.assert_close(model(x, 0.3, y), (denoised - x) / 0.7)
    torch.save(Denoiser(width=4).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w.pt has changed since .*m.safetensors was made of it; expected the same"):
        load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize("description", [EDM, DIT], ids=["edm", "diffusers"])
def test_oracle_loss_sampling_halves_and_guidance_take_a_foreign_model_like_any_other(latents, tmp_path, description):
    import_foreign(description, latents, tmp_path / "m.safetensors")
    write_json(tmp_path / "transition.json", {"split": 0.5, "split_interval": [0.4, 0.6]})
    checkpoints = {("Mine", 0): tmp_path / "m.safetensors"}
    measure_oracle_loss(
        latents, checkpoints, tmp_path / "loss.csv", tmp_path / "loss.h5",
        transition_path=tmp_path / "transition.json", time_steps=4, pairs=6, seed=0,
    )  # fmt: skip
    store, model = LatentStore.open(latents), load_model(tmp_path / "m.safetensors")
    table = pd.read_csv(tmp_path / "loss.csv")
    with h5py.File(tmp_path / "loss.h5") as file:
        labels = torch.from_numpy(file["label"][()])
        assert json.loads(file.attrs["clamped"]) == {"Mine": model.clamped}
    x_0, x_1 = sample_noise(0, range(6), (2, 4, 4)), store.read(_rows(store))
    x_t = interpolate(x_0, x_1, 0.5)
    error = (model(x_t, 0.5, labels) - ClassOracle(store).velocity(x_t, 0.5, labels)).square().mean()
    np.testing.assert_allclose(table.set_index("t").oracle[0.5], error, rtol=1e-5)
    half = {"field": "Mine", "stop": 0.5, "guidance": 2.0}
    plans = {
        "own": {"parts": [half, {"field": "oracle"}], "steps": 4},
        "whole": {"parts": [{"field": "Mine"}], "steps": 4},
    }
    context = Context(
        latents, {"kind": "identity"}, None, {"Mine": tmp_path / "m.safetensors"}, plans, space="pixel",
    )  # fmt: skip
    context.decode = lambda x: np.zeros((len(x), 4, 4, 2), np.uint8)  # these latents are no images
    outputs = {name: tmp_path / f"{name}.h5" for name in plans}
    sample_plans(context, outputs, samples=6, seeds=[0])
    with h5py.File(outputs["own"]) as file:
        said = json.loads(file.attrs["weights"])["Mine"]["metadata"]
        assert "at other times at the nearest" in said["foreign"]["clamped"]
        assert file.attrs["network_flops"] == 2 * 2 * context.architectures["Mine"]["forward_flops"] > 0


def _rows(store):
    from twostage.training.oracle_loss import balanced_rows

    return balanced_rows(store, 6, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factory": "foreign_models:wrong_shape"}, r"returned torch.float32 of shape \(2, 4, 4, 4\) for x of shape"),
        ({"factory": "foreign_models:no_model"}, r"returned a int; expected a callable \(x, t, y\)"),
        ({"factory": "foreign_models:fails"}, r"'foreign_models:fails' failed \(KeyError: 'weights of another"),
        ({"factory": "foreign_models:of_the_batch"}, "depends on the other states of its batch; expected"),
        ({"factory": "foreign_models:draws_noise"}, "to the next: the model draws random numbers; .* eval mode"),
        ({"factory": "foreign_models:ends"}, r"'foreign_models:ends' failed \(SystemExit: 3"),
        ({"dropped_label": 2}, "dropped_label is 2, one of the 3 classes; expected the label .* no class, such as 3"),
        ({"options": {"heads": 3}}, r"failed \(TypeError: .*unexpected keyword argument 'heads'"),
        ({"options": {"channels": 3}}, r"the model failed at x of shape \(2, 2, 4, 4\), t = 0 here \(RuntimeError: "),
        (
            {"normalisation": {"mean": 0.0, "std": [1.0, 2.0]}},
            r"over the model's are .*\.normalise: {std: \[1.0, 2.0\]}",
        ),
        ({"path": "foreign_models:no_model"}, "'foreign_models:no_model' returned a int; expected a twostage.paths"),
        ({"path": "vp", "sigma_min": 0.0}, "a prediction of the data gives no noise"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_in_one_line(latents, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        import_foreign(EDM | changes, latents, tmp_path / "m.safetensors")
    assert str(caught.value).startswith(f"{tmp_path}/m.safetensors: ")
    assert not (tmp_path / "m.safetensors").exists()


def test_a_model_may_change_what_it_is_called_with():
    field = Foreign(foreign_models.changes_its_arguments(), "vp", "noise")
    x, y = torch.ones(2, 3, dtype=torch.float64), torch.tensor([1, 2])
    velocity = field(x, 0.25, y)
    assert (x.tolist(), y.tolist()) == ([[1.0] * 3] * 2, [1, 2])
    expected = Foreign(lambda x, t, y: torch.ones_like(x), "vp", "noise")(x, 0.25, y)
    torch.testing.assert_close(velocity, expected)


def test_images_that_are_not_square(tmp_path):
    with write_store(tmp_path / "wide.h5", 4, (2, 4, 6)) as writer:
        writer.write(0, np.random.default_rng(0).standard_normal((4, 2, 4, 6)))
        writer.finish([0, 0, 1, 1], range(4), 2, ATTRIBUTES)
    import_foreign(EDM | {"dropped_label": None}, tmp_path / "wide.h5", tmp_path / "m.safetensors")
    architecture, metadata = read_header(tmp_path / "m.safetensors")
    assert architecture["input_size"] == [4, 6]
    refuse_other_model("m", architecture, metadata, LatentStore.open(tmp_path / "wide.h5"), {"step": 0})


def test_a_path_of_ones_own_that_changed_is_noticed(latents, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "from twostage import paths\n\n\ndef build():\n    return paths.edm()\n"
    (tmp_path / "path_of_mine.py").write_text(text)
    import_foreign(EDM | {"path": "path_of_mine:build"}, latents, tmp_path / "m.safetensors")
    load_model(tmp_path / "m.safetensors")
    (tmp_path / "path_of_mine.py").write_text(f"{text}\n\nOTHER = 1\n")
    with pytest.raises(ValueError, match=r"path_of_mine.py has changed since .*m.safetensors was made of it"):
        load_model(tmp_path / "m.safetensors")
