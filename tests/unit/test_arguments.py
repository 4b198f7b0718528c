"""Arguments of the library: arrays as well as tensors, one ValueError for what cannot be used, devices."""

import numpy as np
import pytest
import torch
from data_examples import write_random_store

from twostage.arguments import as_device, as_tensor
from twostage.data.encoders import load_encoder
from twostage.data.latents import LatentStore
from twostage.evaluation.features import load_extractors
from twostage.flow import interpolate, predict_data, time_grid, velocity_target
from twostage.model.checkpoints import load_model
from twostage.model.lightningdit import LightningDiT
from twostage.oracle import ClassOracle, Oracle, sweep
from twostage.oracle import law as law_module
from twostage.sampling.solver import solve_euler, solve_heun
from twostage.sampling.velocity import Guided, ModelVelocity, OracleVelocity, Staged
from twostage.training.oracle_loss import balanced_rows

RANDOM = np.random.default_rng(0)
DATA = RANDOM.standard_normal((12, 2, 4, 4)).astype(np.float32)
LABELS = np.repeat([0, 1, 2], 4)
X = RANDOM.standard_normal((3, 2, 4, 4)).astype(np.float32)
T, Y = np.array([0.2, 0.4, 0.6]), np.array([0, 2, 1])
TENSORS = tuple(map(torch.from_numpy, (X, T, Y)))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = LightningDiT(
        input_size=4, in_channels=2, num_classes=3, patch_size=2, hidden_size=16, depth=1, num_heads=2
    ).eval()
    for weight in model.parameters():  # a fresh one's velocity is zero
        torch.nn.init.normal_(weight, std=0.1) if weight.requires_grad else None
    return model


def fields(model):
    plain = ModelVelocity(model)
    return {
        "model": plain,
        "oracle": OracleVelocity(ClassOracle(torch.from_numpy(DATA), torch.from_numpy(LABELS))),
        "guided": Guided(plain, 2.0, (0.3, 0.5)),
        "staged": Staged([(0.3, plain), (1, OracleVelocity(Oracle(DATA)))]),
    }


# -------------------------------------------------------------------------------------------------------------- arrays


def test_oracles_take_arrays_as_tensors():
    of_all, same = Oracle(DATA), Oracle(torch.from_numpy(DATA))
    for method in ("velocity", "posterior_mean", "log_weights"):
        assert torch.equal(getattr(of_all, method)(X, T), getattr(same, method)(*TENSORS[:2])), method
    of_class, same = ClassOracle(DATA, LABELS), ClassOracle(torch.from_numpy(DATA), torch.from_numpy(LABELS))
    for method in ("velocity", "posterior_mean"):
        assert torch.equal(getattr(of_class, method)(X, T, Y), getattr(same, method)(*TENSORS)), method
    assert torch.equal(of_class.oracle(np.int64(1)).samples.mean, same.oracle(1).samples.mean)


def test_sweeps_and_spectra_take_arrays_as_tensors():
    index, noise = np.array([0, 5]), RANDOM.standard_normal((2, 2, 4, 4))
    ours = sweep(DATA, index, noise, T)
    theirs = sweep(torch.from_numpy(DATA), torch.from_numpy(index), torch.from_numpy(noise), TENSORS[1])
    assert np.array_equal(ours.self_weight, theirs.self_weight)
    values = law_module.spectrum(DATA)
    assert np.array_equal(values, law_module.spectrum(torch.from_numpy(DATA)))
    assert law_module.transition_time(torch.from_numpy(values), 12) == law_module.transition_time(values, 12)
    weights = law_module.predicted_self_weight(values, np.int64(12), T)
    assert np.array_equal(weights, law_module.predicted_self_weight(torch.from_numpy(values), 12, TENSORS[1]))


@pytest.mark.parametrize("name", ["model", "oracle", "guided", "staged"])
def test_fields_and_solvers_take_arrays_as_tensors(model, name):
    field = fields(model)[name]
    with torch.no_grad():
        assert torch.equal(field(X, T, Y), field(*TENSORS))
        assert torch.equal(field(X, 0.4, Y), field(TENSORS[0], 0.4, TENSORS[2]))
        for solve in (solve_euler, solve_heun):
            edges = [0.0, 0.3, 0.6]
            theirs = solve(field, TENSORS[0], torch.tensor(edges, dtype=torch.float64), TENSORS[2])
            assert torch.equal(solve(field, X, edges, Y), theirs)


def test_the_path_takes_arrays_as_tensors():
    x_0, t = TENSORS[0] + 1, TENSORS[1].float()
    assert torch.equal(interpolate(x_0.numpy(), X, t.numpy()), interpolate(x_0, TENSORS[0], t))
    assert torch.equal(velocity_target(x_0.numpy(), X), velocity_target(x_0, TENSORS[0]))
    assert torch.equal(predict_data(X, x_0.numpy(), t.numpy()), predict_data(TENSORS[0], x_0, t))


@pytest.mark.parametrize(
    "values",
    [X[::-1], X.astype(">f4"), np.broadcast_to(X[:1], X.shape), X.astype(">f8")[:, ::-1], 0.3, [0.1, 0.2]],
    ids=["backwards", "big-endian", "broadcast", "both", "number", "list"],
)  # fmt: skip
def test_arrays_of_any_layout_are_taken_in_full_precision(values):
    found = as_tensor("x", values)
    assert found.shape == np.shape(values)
    assert np.array_equal(found.numpy(), values)


def test_float64_states_pass_through_a_float32_model(model):
    with torch.no_grad():
        for name in ("model", "guided"):
            wide = fields(model)[name](X.astype(np.float64), 0.4, Y)
            assert wide.dtype == torch.float64
            torch.testing.assert_close(wide.float(), fields(model)[name](X, 0.4, Y))
        end = solve_euler(ModelVelocity(model), TENSORS[0].double(), [0, 0.5, 1], TENSORS[2])
    assert end.dtype == torch.float64


def test_a_field_without_weights_sees_the_state_as_it_is():
    assert ModelVelocity(lambda x, t, y: x)(X.astype(np.float64), 0.5, Y).dtype == torch.float64


# ------------------------------------------------------------------------------------------------------------ refusals

WRONG = [None, "text", object(), {"a": 1}, X.astype(int), X[:0], X > 0, np.array(["a"]), [[1, 2], [3]], 1.0]


@pytest.mark.parametrize("wrong", WRONG, ids=[f"{number}" for number in range(len(WRONG))])
def test_states_of_another_kind_and_none_at_all_are_refused(wrong):
    of_all, of_class = Oracle(DATA), ClassOracle(DATA, LABELS)
    for ask in (
        lambda: of_all.velocity(wrong, 0.5),
        lambda: of_all.posterior_mean(wrong, 0.5),
        lambda: of_all.log_weights(wrong, 0.5),
        lambda: of_class.velocity(wrong, 0.5, 0),
        lambda: of_class.posterior_mean(wrong, 0.5, 0),
        lambda: sweep(DATA, [0, 1, 2], wrong, [0.5]),
        lambda: Oracle(wrong),
        lambda: ClassOracle(wrong, LABELS),
        lambda: law_module.spectrum(wrong),
    ):
        with pytest.raises(ValueError, match="expected"):
            ask()


@pytest.mark.parametrize("wrong", [None, "text", 2, -0.1, np.nan, [0.5] * 5, [], {}, np.array([True] * 3)])
def test_times_of_another_kind_are_refused(wrong):
    for ask in (
        lambda: Oracle(DATA).velocity(X, wrong),
        lambda: ClassOracle(DATA, LABELS).velocity(X, wrong, Y),
    ):
        with pytest.raises(ValueError, match="expected"):
            ask()


@pytest.mark.parametrize("wrong", [None, "text", 0.5, [0.0, 1.0, 2.0], [0, 1], [True] * 3, 7])
def test_labels_of_another_kind_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        ClassOracle(DATA, LABELS).velocity(X, 0.5, wrong)
    with pytest.raises(ValueError, match=r"expected|labels go with"):
        ClassOracle(DATA, wrong)


@pytest.mark.parametrize("wrong", [None, "text", [], [0.5], [True], [99], [[0]]])
def test_pairs_of_another_kind_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        sweep(DATA, wrong, X[:1], [0.5])
    with pytest.raises(ValueError, match="expected"):
        sweep(DATA, [0], X[:1], "soon")


@pytest.mark.parametrize("wrong", [None, "text", {}, [], [-1.0], [np.nan], [[1.0]], object()])
def test_spectra_of_another_kind_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        law_module.transition_time(wrong, 5)
    with pytest.raises(ValueError, match="expected"):
        law_module.predicted_self_weight(wrong, 5, [0.5])


@pytest.mark.parametrize("wrong", [None, "5", 0, -1, np.inf, np.nan, True, [5]])
def test_counts_of_another_kind_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        law_module.transition_time([1.0], wrong)
    with pytest.raises(ValueError, match="expected"):
        Oracle(DATA, budget_mb=-1 if wrong in (np.inf,) or isinstance(wrong, list) else wrong)


@pytest.mark.parametrize("wrong", [None, "text", [], np.empty((0, 3)), np.empty((3, 0)), [[2.0]]])
def test_curves_of_another_kind_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        law_module.measured_transition(wrong, [0.5] if isinstance(wrong, list) and wrong else [])
    with pytest.raises(ValueError, match="expected"):
        law_module.crossing_time(wrong, [])


@pytest.mark.parametrize(
    ("x", "times"), [(None, [0, 1]), ("x", [0, 1]), (X.astype(int), [0, 1]), (X, "now"), (X, [1, 0]), (X, [])]
)
def test_solvers_refuse_states_and_times_of_another_kind(x, times):
    for solve in (solve_euler, solve_heun):
        with pytest.raises(ValueError, match="expected"):
            solve(lambda x, t, y: x, x, times, Y)


@pytest.mark.parametrize("wrong", [None, "5", 2.0, 0, True])
def test_steps_and_pairs_of_another_kind_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"steps is .*; expected a whole number"):
        time_grid(wrong)
    write_random_store(tmp_path / "latents.h5")
    with pytest.raises(ValueError, match=r"pairs is .*; expected a whole number"):
        balanced_rows(LatentStore.open(tmp_path / "latents.h5"), wrong, 0)


# ------------------------------------------------------------------------------------------------------------- devices


@pytest.mark.parametrize("wrong", ["gpu", "", None, 1.5, "cuda:x"])
def test_devices_of_another_name_are_refused(wrong):
    with pytest.raises(ValueError, match="expected cpu or cuda"):
        as_device(wrong)


def test_a_gpu_that_is_not_there_is_refused_everywhere_in_the_same_words(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    write_random_store(tmp_path / "latents.h5")
    store = LatentStore.open(tmp_path / "latents.h5")
    for ask in (
        lambda: as_device("cuda:1"),
        lambda: Oracle(DATA, device="cuda"),
        lambda: Oracle(store, device="cuda"),
        lambda: ClassOracle(store, device="cuda").velocity(X[:1, :, :3], 0.5, 0),
        lambda: sweep(DATA, [0], X[:1], [0.5], device="cuda"),
        lambda: law_module.spectrum(DATA, device="cuda"),
        lambda: load_model(tmp_path / "model.safetensors", "cuda"),
        lambda: load_encoder({"kind": "identity"}, device="cuda"),
        lambda: load_extractors(["classifier"], classifier_path="x", device="cuda"),
    ):
        with pytest.raises(ValueError, match=r"^device is 'cuda(:1)?', but torch sees no GPU; expected one, or device"):
            ask()
