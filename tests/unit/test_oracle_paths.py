"""The oracle on any Gaussian path: against direct formulas, autograd of the log-density, closed forms and peers."""

import math
import re

import numpy as np
import pytest
import torch

from twostage.flow import RECTIFIED, Path, cosine, edm, ve, vp
from twostage.oracle import ClassOracle, Oracle
from twostage.oracle.__main__ import main
from twostage.oracle.law import (
    channel_information,
    conventions,
    corrected_self_weight,
    predicted_self_weight,
    transition_time,
)
from twostage.split import write_split

# of a data scale that is not 1 near the data: what is near the data is decided by s alone
OWN = Path("own", lambda t: 3 * t**2, lambda t: (1 - t) ** 2, start=0.0, stop=1.0)
PATHS = [RECTIFIED, vp(), cosine(), ve(0.001), edm(), OWN]
LEVELS = (0.02, 0.3, 1.0, 30.0, 480.0)  # s: prior, transition, later, near the data


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def direct(data, x, alpha, sigma):
    """Posterior weights and mean, score and log-density by direct float64 differences."""
    data, x = data.double().flatten(1), x.double().flatten(1)
    exponent = -(x[:, None] - alpha * data).square().sum(-1) / (2 * sigma**2)
    weights = exponent.softmax(1)
    normaliser = math.log(len(data)) + data.shape[1] * (math.log(sigma) + math.log(2 * math.pi) / 2)
    return weights, weights @ data, exponent.logsumexp(1) - normaliser


@pytest.fixture
def data():
    base = normal(30, 24)
    return torch.cat([base, base + 1e-2 * normal(30, 24, seed=1)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_mean_noise_score_and_velocity_are_those_of_the_direct_formula(path, data, dtype):
    data = data.to(dtype)
    oracle = Oracle(data, path=path)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-8
    for s in LEVELS:
        t = float(path.time(s))
        alpha, sigma = float(path.alpha(t)), float(path.sigma(t))
        x = path.interpolate(normal(9, 24, seed=2), data[:9].double(), t).to(dtype)
        weights, mean, density = direct(data, x, alpha, sigma)
        noise = (x.double() - alpha * mean) / sigma
        velocity = float(path.alpha_slope(t)) * mean + float(path.sigma_slope(t)) * noise
        torch.testing.assert_close(oracle.log_weights(x, t).exp(), weights, rtol=0, atol=2e-6)
        torch.testing.assert_close(oracle.log_density(x, t), density, rtol=1e-6, atol=1e-4)
        given = x.clone()
        for found, expected in (
            (oracle.posterior_mean(x, t), mean),
            (oracle.noise(x, t), noise),
            (oracle.score(x, t), -noise / sigma),
            (oracle.velocity(x, t), velocity),
        ):
            assert found.dtype == dtype
            error = (found.double() - expected).norm(dim=1) / expected.norm(dim=1)
            assert error.max() < tolerance, s
        assert torch.equal(x, given)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_the_score_is_the_gradient_of_the_log_density_by_autograd(path, data):
    t = path.time(torch.tensor([0.05, 0.4, 2.0], dtype=torch.float64))
    x = path.interpolate(normal(3, 24, seed=3), data[:3], t).requires_grad_()
    alpha, sigma = path.alpha(t)[:, None], path.sigma(t)[:, None]
    components = torch.distributions.Normal(alpha[:, None] * data, sigma[:, None])
    mixture = components.log_prob(x[:, None]).sum(-1).logsumexp(1) - math.log(len(data))
    [gradient] = torch.autograd.grad(mixture.sum(), x)
    oracle = Oracle(data, path=path)
    torch.testing.assert_close(oracle.log_density(x.detach(), t), mixture.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(oracle.score(x.detach(), t), gradient, rtol=1e-9, atol=1e-9)


def test_two_points_have_the_closed_form_of_the_hyperbolic_tangent():
    a, x = normal(1, 5), normal(4, 5, seed=1)
    for path, t in ((edm(), 1.3), (vp(), 0.4), (OWN, 0.45)):
        alpha, sigma = path.alpha(t), path.sigma(t)
        mean = a * torch.tanh(alpha * (x @ a.T) / sigma**2)
        torch.testing.assert_close(Oracle(torch.cat([a, -a]), path=path).posterior_mean(x, t), mean)


def test_one_sample_has_the_velocity_and_density_of_one_gaussian():
    sample, x = normal(1, 5), normal(4, 5, seed=1)
    for path, t in ((edm(), 1.3), (vp(), 0.4), (OWN, 0.45)):
        oracle, alpha, sigma = Oracle(sample, path=path), path.alpha(t), path.sigma(t)
        flow = path.alpha_slope(t) * sample + path.sigma_slope(t) / sigma * (x - alpha * sample)
        torch.testing.assert_close(oracle.velocity(x, t), flow)
        density = torch.distributions.Normal(alpha * sample, sigma).log_prob(x).sum(1)
        torch.testing.assert_close(oracle.log_density(x, t), density)


def test_many_gaussian_samples_approach_the_gaussian_denoiser():
    torch.manual_seed(0)
    scale, sigma = torch.tensor([2.0, 0.5]), 1.5
    x = torch.tensor([[1.0, 0.3], [-2.0, 0.8]])
    mean = Oracle(torch.randn(100_000, 2) * scale).posterior_mean(x, (1.0, sigma))
    torch.testing.assert_close(mean, x * scale**2 / (scale**2 + sigma**2), rtol=0, atol=0.02)


def test_the_noise_is_that_of_smalldiffusions_ideal_denoiser(data):
    """Permenter and Yuan's IdealDenoiser: x_t = x_1 + sigma x_0, weights softmax(-|x - x_i|^2 / (2 sigma^2))."""
    sigma = torch.tensor([0.05, 0.4, 3.0], dtype=torch.float64)
    x = data[:3] + sigma[:, None] * normal(3, 24, seed=4)
    distances = torch.cdist(x, data) ** 2
    ideal = (-distances / (2 * sigma[:, None] ** 2)).softmax(1)
    noise = (x - ideal @ data) / sigma[:, None]
    torch.testing.assert_close(Oracle(data, path=edm()).noise(x, sigma), noise, rtol=1e-8, atol=1e-8)
    # EDM's velocity by sigma is the noise
    torch.testing.assert_close(Oracle(data, path=edm()).velocity(x, sigma), noise, rtol=1e-8, atol=1e-8)


def test_the_posterior_mean_is_deepinvs_mmse():
    models = pytest.importorskip("deepinv.models")
    images, noise = normal(40, 1, 4, 6).float(), normal(5, 1, 4, 6, seed=1).float()
    for sigma in (0.2, 1.0, 4.0):
        x = images[:5] + sigma * noise
        mean = Oracle(images, path=edm()).posterior_mean(x, sigma)
        torch.testing.assert_close(
            mean, models.MMSE(images, device=torch.device("cpu"))(x, sigma), rtol=1e-4, atol=1e-4
        )


def test_scales_answer_without_a_path_and_classes_on_one(data):
    path, labels = vp(), torch.arange(60) % 3
    t, y = torch.tensor([0.7, 0.3, 0.05, 0.3]), torch.tensor([0, 2, 1, 0])
    x = path.interpolate(normal(4, 24, seed=5), data[:4], t)
    along = Oracle(data, path=path)
    scales = path.alpha(t), path.sigma(t)
    for name in ("posterior_mean", "noise", "score", "log_density", "log_weights"):
        torch.testing.assert_close(getattr(Oracle(data), name)(x, scales), getattr(along, name)(x, t))
    classes = ClassOracle(data, labels, path=path)
    for name in ("posterior_mean", "velocity", "noise", "score", "log_density", "divergence"):
        each = [getattr(Oracle(data[labels == k], path=path), name)(x[[i]], t[[i]]) for i, k in enumerate(y.tolist())]
        torch.testing.assert_close(getattr(classes, name)(x, t, y), torch.cat(each))
    torch.testing.assert_close(classes.posterior_mean(x, scales, y), classes.posterior_mean(x, t, y))


def test_the_ends_have_their_limits(data):
    x = normal(3, 24, seed=6)
    torch.testing.assert_close(Oracle(data).posterior_mean(x, (0.0, 7.0)), data.mean(0).expand(3, -1))
    nearest = data[torch.cdist(x, 2 * data).argmin(1)]
    torch.testing.assert_close(Oracle(data).posterior_mean(x, (2.0, 0.0)), nearest)
    with pytest.raises(ValueError, match="t is 1, where the velocity has no value"):
        Oracle(data).noise(x, (2.0, 0.0))


@pytest.mark.parametrize(
    ("t", "message"),
    [
        (81.0, r"t is 81; expected times of the path edm"),
        ((-1.0, 1.0), "alpha and sigma are -1 and 1; expected finite numbers"),
        ((0.0, 0.0), "and not both 0"),
        ((1.0, 1.0, 1.0), "t is a tuple of 3"),
        ((torch.ones(2), 1.0), r"alpha has shape \(2,\)"),
        (torch.ones((), requires_grad=True), "t requires a gradient; expected t.detach()"),
    ],
)
def test_places_that_are_none_are_refused(data, t, message):
    with pytest.raises(ValueError, match=message.replace("()", r"\(\)")):
        Oracle(data, path=edm()).posterior_mean(normal(3, 24), t)


def test_scales_alone_have_no_velocity(data):
    with pytest.raises(ValueError, match=r"which has no velocity.*expected a time of the path edm"):
        Oracle(data, path=edm()).velocity(normal(3, 24), (1.0, 2.0))


def test_the_law_is_a_function_of_s():
    eigenvalues, times = np.linspace(0.1, 2, 30), np.array([0.1, 0.4, 0.6])
    for path in PATHS[1:]:
        own = path.time(torch.from_numpy(times / (1 - times))).numpy()
        for law in (
            lambda *where: channel_information(eigenvalues, *where),
            lambda *where: predicted_self_weight(eigenvalues, 500, *where),
            lambda at, path=RECTIFIED: corrected_self_weight(eigenvalues, 500, at, path=path),
        ):
            np.testing.assert_allclose(law(own, path), law(times), rtol=1e-9)
        split = transition_time(eigenvalues, 500)
        assert path.rectified_time(transition_time(eigenvalues, 500, path)) == pytest.approx(split, rel=1e-9)
    with pytest.raises(ValueError, match="which the path edm reaches"):
        transition_time(eigenvalues, 1, edm())


def test_a_split_is_the_same_s_in_every_convention(tmp_path, capsys):
    found = conventions(0.25)
    assert found["EDM or VE, sigma"] == pytest.approx(3)
    assert vp().s(found["VP (beta 0.1 to 20), t"]) == pytest.approx(1 / 3)
    assert cosine().s(found["VP cosine, t"]) == pytest.approx(1 / 3)
    assert ve().s(found["VE (0.01 to 50), t"]) == pytest.approx(1 / 3)
    assert found["log-SNR"] == pytest.approx(-2 * math.log(3))
    assert conventions(0.001)["VP (beta 0.1 to 20), t"] is None
    with pytest.raises(ValueError, match=r"time is 1\.5"):
        conventions(1.5)

    (tmp_path / "transition.json").write_text('{"split": 0.25, "split_interval": [0.2, 0.5]}', encoding="utf-8")
    write_split(tmp_path / "transition.json", tmp_path / "split.json")
    assert main([str(tmp_path / "split.json")]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^EDM or VE, sigma +3  \(1 to 4\)$", said, re.MULTILINE)
    assert main(["0.0005"]) == 0
    assert "VP (beta 0.1 to 20), t  not reached" in capsys.readouterr().out
    assert main(["2"]) == 1
    assert "error: the stage split is 2.0" in capsys.readouterr().err
    (tmp_path / "transition.json").write_text('{"split": 0.0, "split_interval": [0.0, 0.0]}', encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"transition.json: the stage split is 0.0: one of at most two samples has half"
    ):
        write_split(tmp_path / "transition.json", tmp_path / "split.json")
