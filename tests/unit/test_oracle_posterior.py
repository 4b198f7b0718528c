"""Theorem 2.1 against direct float64 differences, closed forms, limits and streams."""

import numpy as np
import pytest
import torch

from twostage.oracle import ClassOracle, Oracle, posterior
from twostage.oracle.points import Points

TIMES = (0.0, 1e-4, 0.01, 0.1, 0.3, 0.9, 0.99, 0.999, 1 - 1e-6)


def near_duplicates(distance, count=60, dim=48, mean=0.0):
    base = mean + torch.randn(count // 2, dim)
    return torch.cat([base, base + distance * torch.randn(count // 2, dim)])


DATA = {
    "iid": lambda: torch.randn(60, 48),
    "duplicates within 1e-3": lambda: near_duplicates(1e-3),
    "duplicates within 1e-6": lambda: near_duplicates(1e-6),
    "exact duplicates": lambda: near_duplicates(0.0),
    "mean 10": lambda: 10 + torch.randn(60, 48),
    "mean 10 and duplicates": lambda: near_duplicates(1e-5, mean=10.0),
    "one tight cluster": lambda: torch.randn(1, 48) + 1e-4 * torch.randn(60, 48),
    "positive": lambda: torch.randn(60, 48).abs(),
    "one sample": lambda: torch.randn(1, 48),
    "float64": lambda: torch.randn(60, 48, dtype=torch.float64),
}


def reference(data, x_t, t):
    """Weights, and the velocity, by direct differences in float64."""
    data, x_t = data.double(), x_t.double()
    distance = (x_t[:, None] - t * data).square().sum(-1)
    weights = (-distance / (2 * (1 - t) ** 2)).softmax(1)
    return weights, (weights[:, :, None] * (data - x_t[:, None])).sum(1) / (1 - t)


def points(data, t, seed=1):
    noise = torch.randn(len(data), data.shape[1], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (t * data.double() + (1 - t) * noise).to(data.dtype)


@pytest.fixture(params=DATA)
def data(request):
    torch.manual_seed(0)
    return DATA[request.param]()


@pytest.mark.parametrize("t", TIMES)
def test_weights_and_velocity_match_direct_differences(data, t):
    oracle, x_t = Oracle(data), points(data, t)
    weights, velocity = reference(data, x_t, t)
    torch.testing.assert_close(oracle.log_weights(x_t, t).exp(), weights, rtol=0, atol=2e-6)
    error = (oracle.velocity(x_t, t).double() - velocity).norm(dim=1) / velocity.norm(dim=1)
    assert error.max() < 2e-6


@pytest.mark.parametrize(("dtype", "scale"), [(torch.float32, 100), (torch.float64, 3e6)])
def test_near_samples_far_from_the_others_share_as_by_differences(dtype, scale):
    """Products lose what tells near samples apart: in float32 a float64 product of the pair mends it, in float64 only
    the difference does."""
    torch.manual_seed(0)
    far = scale * torch.randn(20, 64, dtype=dtype)
    data = torch.cat([far, far + 0.2 * torch.randn(20, 64, dtype=dtype)])
    x_t = points(data, 0.5)
    weights, _ = reference(data, x_t, 0.5)
    assert ((weights > 0.01) & (weights < 0.99)).sum() > 20
    torch.testing.assert_close(Oracle(data).log_weights(x_t, 0.5).exp(), weights, rtol=0, atol=1e-7)


@pytest.mark.parametrize("t", [0.02, 0.5])
@pytest.mark.parametrize("count", [1, 2, 16])
def test_rounding_does_not_grow_with_the_number_of_samples(count, t):
    """Neither where the differences to x_t add up, nor where the samples do, whose mean is not zero, nor where many
    small weights stand beside a large sum."""
    torch.manual_seed(0)
    data, noise = 0.7 + torch.randn(200_000, 16), torch.randn(count, 16)
    x_t = t * data[:count] + (1 - t) * noise
    expected = Oracle(data.double()).velocity(x_t.double(), t)
    error = (Oracle(data).velocity(x_t, t) - expected).norm(dim=1) / expected.norm(dim=1)
    assert error.max() < 2e-6


@pytest.mark.parametrize("count", [1, 2, 16])
def test_the_error_of_long_products_is_within_its_estimate(count):
    torch.manual_seed(0)
    data, x_t = torch.randn(60, 1 << 16), torch.randn(count, 1 << 16)
    oracle, t = Oracle(data), torch.full((count,), 0.5, dtype=torch.float64)
    points = Points(oracle.samples, x_t, t, None)
    products, _ = oracle._logits(points, 0, data)
    error = (products.double() - x_t.double() @ data.double().T).abs().amax(1, keepdim=True) * points.kappa
    assert (error < oracle._product_error(products, points) / 2).all()


@pytest.mark.parametrize("t", TIMES)
def test_parts_of_the_data_make_up_the_velocity_over_all(data, t):
    x_t = points(data, t)
    parts = [part for part in data.tensor_split([1, max(1, len(data) // 3)]) if len(part)]
    found = [Oracle(part).part_of_velocity(x_t, t) for part in parts]
    evidence = torch.stack([each[1] for each in found])
    distance = (x_t.double()[:, None] - t * data.double()).square().sum(-1)
    whole = (-distance / (2 * (1 - t) ** 2)).logsumexp(1)
    torch.testing.assert_close(evidence.logsumexp(0), whole, rtol=1e-13, atol=2e-6)
    combined = (evidence.softmax(0)[..., None] * torch.stack([each[0] for each in found]).double()).sum(0)
    _, velocity = reference(data, x_t, t)
    error = (combined - velocity).norm(dim=1) / velocity.norm(dim=1)
    assert error.max() < 2e-6


@pytest.mark.parametrize("t", [0.02, 0.25, 0.45, 0.7, 0.89, 0.95])
def test_parts_leave_out_the_product_where_few_samples_count_and_nothing_else(monkeypatch, t):
    """Past the transition: what few samples count is taken by differences, and a part that has none adds nothing."""
    torch.manual_seed(0)
    data, noise, multiplied = torch.randn(1500, 64), torch.randn(8, 64), []
    add = posterior.weighted_sum
    monkeypatch.setattr(posterior, "weighted_sum", lambda some, rows: multiplied.append(len(some)) or add(some, rows))
    x_t = t * data[:8] + (1 - t) * noise
    known = -noise.double().square().sum(1) / 2  # the log-evidence of x_1 alone
    found = [Oracle(part).part_of_velocity(x_t, t, known) for part in data.split(500)]
    evidence = torch.stack([each[1] for each in found])
    combined = (evidence.softmax(0)[..., None] * torch.stack([each[0] for each in found]).double()).sum(0)
    _, velocity = reference(data, x_t, t)
    assert ((combined - velocity).norm(dim=1) / velocity.norm(dim=1)).max() < 2e-6
    distance = (x_t.double()[:, None] - t * data.double()).square().sum(-1)
    whole = (-distance / (2 * (1 - t) ** 2)).logsumexp(1)
    torch.testing.assert_close(evidence.logsumexp(0), whole, rtol=1e-13, atol=2e-6)
    if t in (0.7, 0.89):
        assert not multiplied
    if t == 0.02:
        assert multiplied == [8, 8, 8]


def test_a_part_refuses_the_end_of_time():
    with pytest.raises(ValueError, match="t is 1, where the velocity has no value"):
        Oracle(torch.randn(5, 4)).part_of_velocity(torch.randn(1, 4), 1.0)


def test_classes_hold_no_more_than_the_budget_beyond_the_data():
    data, labels = 30 + torch.randn(400, 64), torch.arange(4).repeat_interleave(100)
    oracle = ClassOracle(data, labels, budget_mb=0.06)  # two classes less their centres: 51 kB
    expected = torch.cat([Oracle(data[labels == label]).velocity(data[:3], 0.4) for label in range(4)])
    found = oracle.velocity(data[:3].repeat(4, 1), 0.4, torch.arange(4).repeat_interleave(3))
    assert torch.equal(found, expected)
    assert sum(each.samples.held for each in oracle._oracles.values()) <= 0.06 * 2**20
    assert Oracle(data, budget_mb=0.06).samples.held == 0 < Oracle(data).samples.held


def test_on_one_sample_the_velocity_points_to_it():
    x, sample = torch.randn(5, 7), torch.randn(1, 7)
    t = torch.tensor([0.0, 0.2, 0.5, 0.9, 0.999])
    expected = (sample - x) / (1 - t.double()[:, None])
    torch.testing.assert_close(Oracle(sample).velocity(x, t).double(), expected, rtol=1e-6, atol=0)


def test_two_samples_weigh_as_the_logistic_function_of_the_distance():
    data = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    x, t = torch.tensor([[0.3, 5.0], [-0.2, 1.0]], dtype=torch.float64), 0.4
    expected = torch.sigmoid(2 * t * x[:, 0] / (1 - t) ** 2)
    torch.testing.assert_close(Oracle(data).log_weights(x, t)[:, 1].exp(), expected)


def test_many_gaussian_samples_approach_the_gaussian_closed_form():
    """For data N(0, s^2) the posterior mean is t s^2 x / (t^2 s^2 + (1 - t)^2)."""
    torch.manual_seed(0)
    data, x, t, s = 1.5 * torch.randn(200_000, 2), torch.tensor([[0.3, -0.4], [0.1, 0.6]]), 0.5, 1.5
    expected = t * s**2 * x / (t**2 * s**2 + (1 - t) ** 2)
    torch.testing.assert_close(Oracle(data).posterior_mean(x, t), expected, rtol=0, atol=0.02)


def test_at_the_prior_the_mean_is_the_mean_and_weights_are_uniform(data):
    oracle, x = Oracle(data), torch.randn(3, data.shape[1], dtype=torch.float64)
    mean = data.double().mean(0)
    torch.testing.assert_close(oracle.posterior_mean(x, 0.0), mean.expand(3, -1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(oracle.velocity(x, 0.0), mean - x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(oracle.log_weights(x, 0.0).exp(), torch.full((3, len(data)), 1 / len(data)).double())


def test_at_the_data_the_mean_is_the_nearest_sample():
    torch.manual_seed(0)
    data = near_duplicates(1e-6)
    x = data.double() + 1e-8 * torch.randn(data.shape, dtype=torch.float64)
    assert torch.equal(Oracle(data).posterior_mean(x, 1.0), data.double())
    assert torch.equal(Oracle(data).log_weights(x, 1.0).exp(), torch.eye(len(data), dtype=torch.float64))


def test_at_the_data_equally_near_samples_share():
    data = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 9.0]])
    weights = Oracle(data).log_weights(torch.tensor([[0.0, 0.5], [2.0, 0.0]]), 1.0).exp()
    torch.testing.assert_close(weights, torch.tensor([[1, 1, 1, 0], [1.5, 0, 1.5, 0]]).double() / 3)
    mean = Oracle(data).posterior_mean(torch.tensor([[0.0, 0.5]]), 1.0)
    torch.testing.assert_close(mean, torch.tensor([[1 / 3, 0.0]]))


def test_the_velocity_approaches_its_limit_without_artefact():
    """On the path to a sample u* tends to x_1 - x_0, with no growth of the error as t -> 1."""
    torch.manual_seed(0)
    data, noise = torch.randn(50, 32), torch.randn(50, 32).double()
    oracle = Oracle(data)
    for t in (0.99, 0.9999, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12):
        velocity = oracle.velocity(t * data.double() + (1 - t) * noise, t)
        error = (velocity - (data.double() - noise)).abs().max()
        assert error < 1e-15 / (1 - t) + 1e-13, t  # the rounding of x_t itself, divided by 1 - t


def test_order_of_the_samples_does_not_matter(data):
    permutation = torch.randperm(len(data))
    x_t, t = points(data, 0.3), 0.3
    expected = Oracle(data).log_weights(x_t, t).exp()[:, permutation]
    torch.testing.assert_close(Oracle(data[permutation]).log_weights(x_t, t).exp(), expected, rtol=0, atol=4e-6)


@pytest.mark.parametrize("t", [0.0, 0.1, 0.5, 0.95, 1.0])
def test_chunks_add_up_to_the_whole(data, t):
    whole, chunked = Oracle(data), Oracle(data, budget_mb=0.06)
    x_t = points(data, t)
    assert chunked._chunk(len(x_t)) < max(len(data), 2)
    torch.testing.assert_close(chunked.log_weights(x_t, t).exp(), whole.log_weights(x_t, t).exp(), rtol=0, atol=4e-6)
    torch.testing.assert_close(chunked.posterior_mean(x_t, t), whole.posterior_mean(x_t, t), rtol=2e-6, atol=2e-6)


def test_a_near_duplicate_in_a_later_chunk_shares_as_it_should():
    """A chunk whose one sample outweighs its others must have that logit exact: its twin may be in the next."""
    torch.manual_seed(0)
    base = torch.randn(8, 8192)
    data = torch.cat([base, base + 2e-3 * torch.randn(8, 8192)])
    oracle, x_t = Oracle(data, budget_mb=0.6), points(data, 0.6)[:2]
    assert oracle._chunk(2) <= 8
    expected, _ = reference(data, x_t, 0.6)
    assert expected.max() < 0.9
    torch.testing.assert_close(oracle.log_weights(x_t, 0.6).exp(), expected, rtol=0, atol=2e-6)


def test_a_time_for_each_sample():
    torch.manual_seed(0)
    data, times = torch.randn(40, 3, 4, 4), torch.tensor([0.0, 0.05, 0.3, 0.7, 0.95, 0.9999])
    x_t = torch.randn(6, 3, 4, 4)
    oracle = Oracle(data)
    each = torch.cat([oracle.velocity(x_t[k : k + 1], float(times[k])) for k in range(6)])
    torch.testing.assert_close(oracle.velocity(x_t, times), each, rtol=1e-5, atol=1e-5)
    means = torch.cat([oracle.posterior_mean(x_t[k : k + 1], t) for k, t in enumerate([0.0, 0.2, 1.0])])
    torch.testing.assert_close(oracle.posterior_mean(x_t[:3], torch.tensor([0.0, 0.2, 1.0])), means)


def test_shape_and_dtype_follow_x_t():
    oracle = Oracle(torch.randn(10, 2, 3, 3))
    for x in (torch.randn(4, 2, 3, 3), torch.randn(4, 18, dtype=torch.float64)):
        assert oracle.velocity(x, 0.5).shape == x.shape
        assert oracle.velocity(x, 0.5).dtype == x.dtype


@pytest.mark.parametrize("switch", ["old", "new"])
def test_reduced_matrix_precision_of_the_process_changes_nothing(switch):
    torch.manual_seed(0)
    data = torch.randn(50, 64)
    x_t = points(data, 0.2)
    expected = Oracle(data).velocity(x_t, 0.2)
    try:
        if switch == "old":
            torch.set_float32_matmul_precision("medium")
        else:
            torch.backends.mkldnn.matmul.fp32_precision = "bf16"
            torch.backends.cuda.matmul.fp32_precision = "tf32"
        assert torch.equal(Oracle(data).velocity(x_t, 0.2), expected)
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("labels", [torch.arange(40) // 10, torch.arange(40) % 4, np.arange(40) % 4 * 7])
def test_class_oracle_looks_at_one_class_a_row(labels):
    torch.manual_seed(0)
    data, y = torch.randn(40, 1, 4, 4), torch.as_tensor(labels)[torch.tensor([3, 39, 0, 17, 3])]
    x_t, t = torch.randn(5, 1, 4, 4), torch.tensor([0.1, 0.4, 0.6, 0.8, 0.97])
    found = ClassOracle(data, labels).velocity(x_t, t, y)
    for k in range(5):
        members = data[torch.as_tensor(labels) == y[k]]
        torch.testing.assert_close(
            found[k : k + 1], Oracle(members).velocity(x_t[k : k + 1], t[k]), rtol=1e-5, atol=1e-5
        )


def test_class_oracle_takes_one_label_for_all():
    data, labels = torch.randn(20, 6), torch.arange(20) % 2
    x = torch.randn(3, 6)
    assert torch.equal(ClassOracle(data, labels).velocity(x, 0.5, 1), Oracle(data[labels == 1]).velocity(x, 0.5))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch.full((3, 4), float("nan")), "NaN or infinite"),
        (torch.tensor([[1.0, float("inf")]]), "sample 0 of the data holds NaN or infinite"),
        (torch.zeros(0, 4), r"shape \(0, 4\)"),
        (torch.zeros(4), r"shape \(4,\)"),
        (torch.zeros(4, 4, dtype=torch.int64), "int64"),
    ],
)
def test_bad_data_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        Oracle(data)


@pytest.mark.parametrize(
    ("x_t", "t", "message"),
    [
        (torch.zeros(2, 4), 1.5, r"t is 1\.5"),
        (torch.zeros(2, 4), -0.1, r"t is -0\.1"),
        (torch.zeros(2, 4), float("nan"), "t is nan"),
        (torch.zeros(2, 4), torch.zeros(3), r"t has shape \(3,\)"),
        (torch.zeros(2, 5), 0.5, r"x_t has shape \(2, 5\)"),
        (torch.zeros(4), 0.5, r"x_t has shape \(4,\)"),
        (torch.full((2, 4), float("nan")), 0.5, "NaN or infinite"),
        (torch.zeros(2, 4, dtype=torch.int64), 0.5, "int64"),
        (torch.zeros(2, 4), 1.0, "t is 1, where the velocity"),
    ],
)
def test_bad_queries_are_refused(x_t, t, message):
    with pytest.raises(ValueError, match=message):
        Oracle(torch.randn(6, 4)).velocity(x_t, t)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": torch.tensor([0, 1, 1])}, r"y has shape \(3,\); expected one value or \(2,\)"),
        ({"y": torch.tensor([0.0, 1.0])}, "y has dtype torch.float32; expected integer labels"),
        ({"t": torch.tensor([0.1, 0.2, 0.3])}, r"t has shape \(3,\); expected one value or \(2,\)"),
        ({"t": 2.0}, r"t is 2\.0"),
        ({"x_t": torch.zeros(4)}, r"x_t has shape \(4,\)"),
        ({"x_t": torch.zeros(2, 5)}, r"x_t has shape \(1, 5\); expected \(B, 4\)"),
    ],
)
def test_bad_queries_of_a_class_are_refused(change, message):
    oracle = ClassOracle(torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 3, 3]))
    with pytest.raises(ValueError, match=message):
        oracle.velocity(**{"x_t": torch.zeros(2, 4), "t": 0.5, "y": torch.tensor([0, 1]), **change})


def test_bad_labels_are_refused():
    data = torch.randn(6, 4)
    oracle = ClassOracle(data, torch.tensor([0, 0, 1, 1, 3, 3]))
    with pytest.raises(ValueError, match=r"label 2 has no samples; expected one of \[0, 1, 3\]"):
        oracle.velocity(torch.zeros(1, 4), 0.5, torch.tensor([2]))
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        ClassOracle(data, torch.zeros(5, dtype=torch.int64))
    with pytest.raises(ValueError, match="float32"):
        ClassOracle(data, torch.zeros(6))
    with pytest.raises(ValueError, match="one per sample"):
        ClassOracle(data)
    with pytest.raises(ValueError, match="label is 1 for a tensor"):
        Oracle(data, label=1)
    with pytest.raises(ValueError, match="budget_mb is 0"):
        Oracle(data, budget_mb=0)
