"""Gaussian paths against their closed forms, and predictions of every kind turned into every other."""

import itertools
import math
import pickle

import pytest
import torch

from twostage.flow import RECTIFIED, Path, cosine, edm, interpolate, named, ve, velocity_target, vp
from twostage.paths import KINDS, NAMED

OWN = Path("own", lambda t: t**2, lambda t: (1 - t) ** 2, start=0.0, stop=1.0)
PATHS = [*(named(name) for name in NAMED), cosine(0.0), OWN]
INSIDE = (0.03, 0.4, 0.9)  # shares of the way from start to stop


def times(path):
    return torch.tensor([path.start + share * (path.stop - path.start) for share in INSIDE], dtype=torch.float64)


def normal(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_every_prediction_becomes_every_other(path):
    t, x_0, x_1 = times(path), normal(3, 2, 4), normal(6, 2, 4)[3:]
    x_t = path.interpolate(x_0, x_1, t)
    true = {"velocity": path.target(x_0, x_1, t), "noise": x_0, "data": x_1}
    true["score"] = -x_0 / path.sigma(t)[:, None, None]
    for of, to in itertools.product(KINDS, KINDS):
        torch.testing.assert_close(path.convert(true[of], x_t, t, of=of, to=to), true[to], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_the_target_is_the_slope_of_the_path(path):
    t, x_0, x_1 = times(path), normal(3, 5), normal(6, 5)[3:]
    step = 1e-6 * abs(path.stop - path.start)
    slope = (path.interpolate(x_0, x_1, t + step) - path.interpolate(x_0, x_1, t - step)) / (2 * step)
    torch.testing.assert_close(path.target(x_0, x_1, t), slope, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_s_rises_towards_the_data_and_gives_the_time_back(path):
    along = torch.linspace(path.start, path.stop, 50, dtype=torch.float64)
    s = path.s(along)
    assert (s.diff() > 0).all()
    torch.testing.assert_close(path.time(s), along, rtol=1e-9, atol=1e-12)
    assert path.time(path.reach[0]) == path.start
    assert path.time(path.reach[1]) == path.stop
    torch.testing.assert_close(path.rectified_time(along), torch.where(s.isinf(), 1.0, s / (1 + s)))


def test_the_named_paths_have_their_published_schedules():
    t = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    beta = 0.1 + t * 19.9
    variance = 1 - torch.exp(-(0.1 * t + 19.9 * t**2 / 2))
    torch.testing.assert_close(vp().sigma(t) ** 2, variance)
    torch.testing.assert_close(vp().alpha_slope(t), -beta / 2 * vp().alpha(t))  # dx = -beta x / 2 dt + ...
    torch.testing.assert_close(cosine(0).alpha(t), torch.cos(math.pi / 2 * t))
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    torch.testing.assert_close(cosine().alpha(t) ** 2, f)
    torch.testing.assert_close(cosine().sigma(t) ** 2, 1 - f)
    torch.testing.assert_close(ve().sigma(t), 0.01 * 5000**t)
    assert edm().sigma(3.0) == 3
    assert edm().alpha(3.0) == 1


def test_the_rectified_path_is_that_of_the_flow():
    t, x_0, x_1 = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64), normal(3, 4), normal(6, 4)[3:]
    assert torch.equal(RECTIFIED.interpolate(x_0, x_1, t), interpolate(x_0, x_1, t))
    torch.testing.assert_close(RECTIFIED.target(x_0, x_1, t), velocity_target(x_0, x_1))
    v, x_t = velocity_target(x_0, x_1), interpolate(x_0, x_1, t)
    torch.testing.assert_close(RECTIFIED.convert(v, x_t, t, of="velocity", to="data"), x_1)  # at both ends too
    torch.testing.assert_close(RECTIFIED.convert(v, x_t, t, of="velocity", to="noise"), x_0)


def test_near_the_data_a_conversion_of_float32_numbers_loses_nothing_more():
    x_0, x_1, sigma = normal(1, 8, dtype=torch.float32), normal(2, 8, dtype=torch.float32)[1:], 1e-3
    path = edm(sigma_min=0)
    x_t = path.interpolate(x_0, x_1, sigma)
    noise = path.convert(x_1, x_t, sigma, of="data", to="noise")
    torch.testing.assert_close(noise.double(), (x_t.double() - x_1.double()) / sigma, rtol=1e-7, atol=1e-7)


def test_a_point_of_another_path_has_the_same_s_and_the_same_direction():
    x_0, x_1, t = normal(4, 6), normal(8, 6)[4:], torch.tensor([0.02, 0.3, 0.7, 0.99], dtype=torch.float64)
    for path in PATHS:
        x, time = path.point_of(RECTIFIED, RECTIFIED.interpolate(x_0, x_1, t), t)
        torch.testing.assert_close(x, path.interpolate(x_0, x_1, time), rtol=1e-9, atol=1e-9)
        back, rectified = RECTIFIED.point_of(path, x, time)
        torch.testing.assert_close(rectified, t, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(back, RECTIFIED.interpolate(x_0, x_1, t), rtol=1e-9, atol=1e-9)


def test_an_s_beyond_the_path_becomes_the_nearest_that_it_reaches():
    x, sigma = edm().point_of(RECTIFIED, torch.ones(2, 3), torch.tensor([0.0, 1.0]))
    assert sigma.tolist() == [80.0, 0.002]
    torch.testing.assert_close(x, torch.tensor([81.0, 1.002])[:, None].expand(2, 3))
    with pytest.raises(ValueError, match=r"s is 0; expected alpha / sigma in \[0.0125, 500\], which the path edm"):
        edm().time(0.0)


def test_a_path_that_does_not_rise_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"the path back has alpha / sigma = inf .* expected it to rise from start=0"):
        Path("back", lambda t: 1 - t, lambda t: t, start=0.0, stop=1.0)
    with pytest.raises(ValueError, match="the path flat has alpha / sigma = 1 "):
        Path("flat", lambda t: 1.0, lambda t: 1.0, start=0.0, stop=1.0)
    with pytest.raises(ValueError, match=r"the path below has sigma = -"):
        Path("below", lambda t: t, lambda t: 0.5 - t, start=0.0, stop=1.0)
    with pytest.raises(ValueError, match="expected one number per time"):
        Path("two", lambda t: torch.stack([t, t]), lambda t: 1 - t, start=0.0, stop=1.0)
    with pytest.raises(ValueError, match="two different finite times"):
        Path("endless", lambda t: t, lambda t: t, start=math.inf, stop=0.0)
    with pytest.raises(ValueError, match="sigma_min and sigma_max of the path ve are 1 and 1"):
        ve(1, 1)
    with pytest.raises(ValueError, match="the path is 'vq'; expected one of rectified, vp, cosine, ve, edm"):
        named("vq")


def test_times_outside_and_conversions_without_an_answer_are_refused():
    x = torch.zeros(1, 2)
    with pytest.raises(ValueError, match=r"t is 81; expected times of the path edm, in \[0.002, 80\]"):
        edm().alpha(81.0)
    assert edm().sigma(torch.tensor(0.002, dtype=torch.float32)) == pytest.approx(0.002)
    with pytest.raises(ValueError, match="at t = 0 of the path rectified a prediction of the noise gives no data"):
        RECTIFIED.convert(x, x, 0.0, of="noise", to="data")
    with pytest.raises(ValueError, match="at t = 1 of the path rectified a prediction of the data gives no score"):
        RECTIFIED.convert(x, x, 1.0, of="data", to="score")
    with pytest.raises(ValueError, match="sigma of the path vp has no finite slope at t = 0"):
        vp().target(x, x, 0.0)
    with pytest.raises(ValueError, match=r"t has shape \(2,\)"):
        vp().interpolate(x, x, torch.tensor([0.1, 0.2]))


def test_slopes_may_be_given_and_paths_are_pickled():
    given = Path("given", lambda t: t, lambda t: 1 - t, 0.0, 1.0, slopes=(lambda t: 1.0, lambda t: -1.0))
    assert given.alpha_slope(torch.tensor([0.2, 0.4])).tolist() == [1.0, 1.0]
    assert given.sigma_slope(0.2) == -1
    with torch.inference_mode():
        assert vp().alpha_slope(0.5) == pytest.approx(-float(vp().alpha(0.5)) * (0.1 + 0.5 * 19.9) / 2)
    for name in NAMED:
        assert pickle.loads(pickle.dumps(named(name))).sigma(0.5) == named(name).sigma(0.5)
