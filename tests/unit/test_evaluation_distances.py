"""Distances between sets of features: closed forms, invariances, and other implementations."""

import warnings

import numpy as np
import pytest
import torch
from cleanfid.fid import frechet_distance as clean_fid_distance
from cleanfid.fid import kernel_distance as clean_fid_kernel_distance

from twostage.evaluation import neighbours
from twostage.evaluation.frechet import frechet_distance, frechet_from_statistics
from twostage.evaluation.kid import kernel_distance
from twostage.evaluation.neighbours import NearestNeighbours, Products, centre_of, pair_distances
from twostage.evaluation.prdc import precision_recall_density_coverage, radii


def rotation(dim, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))[0]


def standardised(samples, dim, seed):
    """Features whose sample mean is 0 and sample covariance (N - 1) the identity, up to rounding."""
    x = np.random.default_rng(seed).standard_normal((samples, dim))
    u, _, v = np.linalg.svd(x - x.mean(0), full_matrices=False)
    return np.sqrt(samples - 1) * u @ v


# -------------------------------------------------------------------------------------------------------------- Frechet


@pytest.mark.parametrize("dim", [1, 8, 200, 520])
def test_frechet_of_gaussians_with_common_axes_is_exact(dim):
    generator = np.random.default_rng(dim)
    std_a, std_b = generator.uniform(0.01, 3, dim), generator.uniform(0.01, 3, dim)
    mu_a, mu_b = generator.standard_normal((2, dim))
    axes = rotation(dim, 0)
    exact = np.square(mu_a - mu_b).sum() + np.square(std_a - std_b).sum()
    found = frechet_from_statistics(mu_a, axes * std_a**2 @ axes.T, mu_b, axes * std_b**2 @ axes.T)
    assert found == pytest.approx(exact, abs=1e-8)


def test_frechet_of_gaussians_with_different_axes_is_exact():
    # In two dimensions tr (A B)^(1/2) = sqrt(tr A B + 2 sqrt(det A B)).
    for seed in range(20):
        a, b = (root.T @ root for root in np.random.default_rng(seed).standard_normal((2, 2, 2)))
        cross = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a) * np.linalg.det(b)))
        exact = np.trace(a) + np.trace(b) - 2 * cross
        assert frechet_from_statistics(np.zeros(2), a, np.zeros(2), b) == pytest.approx(exact, abs=1e-8)


def test_frechet_with_singular_covariances_is_exact():
    dim = 64
    axes, zero = rotation(dim, 1), np.zeros(dim)
    std_a, std_b = np.zeros(dim), np.zeros(dim)
    std_a[:10], std_b[5:20] = 2.0, 3.0
    found = frechet_from_statistics(zero, axes * std_a**2 @ axes.T, zero, axes * std_b**2 @ axes.T)
    assert found == pytest.approx(np.square(std_a - std_b).sum(), abs=1e-5)  # a square root halves the digits
    point = frechet_from_statistics(zero, np.zeros((dim, dim)), zero + 1, np.eye(dim))
    assert point == pytest.approx(2 * dim, abs=1e-8)


@pytest.mark.parametrize(("samples", "dim"), [(400, 30), (25, 60)])
def test_frechet_of_features_is_exact_with_many_and_with_few_samples(samples, dim):
    rank = min(samples - 1, dim)
    x = standardised(samples, rank, 0) @ rotation(dim, 2)[:rank]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert frechet_distance(x, 3 * x + 1) == pytest.approx(dim + 4 * rank, abs=1e-8)
        assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-8)
        assert frechet_distance(x, -x) == pytest.approx(0, abs=1e-8)


def test_frechet_moves_as_a_squared_distance_does():
    generator = np.random.default_rng(3)
    a, b = generator.standard_normal((2, 300, 12)) * generator.uniform(0.1, 2, 12)
    distance, axes = frechet_distance(a, b), rotation(12, 4)
    assert frechet_distance(b, a) == pytest.approx(distance, abs=1e-10)
    assert frechet_distance(a @ axes + 5, b @ axes + 5) == pytest.approx(distance, abs=1e-9)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * distance, rel=1e-10)
    assert frechet_distance(a.astype(np.float32), b.astype(np.float32)) == pytest.approx(distance, rel=1e-5)


@pytest.mark.parametrize("samples", [600, 100])
def test_frechet_agrees_with_clean_fid(samples):
    generator = np.random.default_rng(5)
    mixing = generator.standard_normal((128, 128)) * np.exp(-np.arange(128) / 30)
    a, b = (generator.standard_normal((samples, 128)) @ mixing * scale + shift for scale, shift in ((1, 0), (1.2, 0.1)))
    moments = [(x.mean(0), np.cov(x, rowvar=False)) for x in (a, b)]
    theirs = clean_fid_distance(*moments[0], *moments[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert frechet_distance(a, b) == pytest.approx(theirs, rel=1e-3)
    assert frechet_from_statistics(*moments[0], *moments[1]) == pytest.approx(theirs, rel=1e-3)


def test_frechet_warns_of_too_few_samples_and_refuses_bad_features():
    x = np.random.default_rng(0).standard_normal((10, 20))
    with pytest.warns(UserWarning, match="features_b: 10 samples for 20 dimensions"):
        frechet_distance(np.random.default_rng(1).standard_normal((50, 20)), x)
    with pytest.raises(ValueError, match="20 and 19 dimensions"):
        frechet_distance(x, x[:, 1:])
    with pytest.raises(ValueError, match=r"features_a has shape \(1, 20\)"):
        frechet_distance(x[:1], x)
    with pytest.raises(ValueError, match=r"features_b: .* not finite"):
        frechet_distance(x, np.where(x > 1, np.nan, x))
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(2, 2\)"):
        frechet_from_statistics(np.zeros(3), np.eye(2), np.zeros(2), np.eye(2))


# ------------------------------------------------------------------------------------------------------------------ KID


def test_kernel_distance_is_the_unbiased_estimate_over_all_pairs():
    generator = np.random.default_rng(0)
    a, b = generator.standard_normal((7, 4)), generator.standard_normal((5, 4)) + 1
    kernel = lambda x, y: (x @ y / 4 + 1) ** 3  # noqa: E731
    within = [np.mean([kernel(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j]) for x in (a, b)]
    across = np.mean([kernel(x, y) for x in a for y in b])
    assert kernel_distance(a, b) == pytest.approx(sum(within) - 2 * across, rel=1e-12)


def test_kernel_distance_agrees_with_clean_fid():
    generator = np.random.default_rng(1)
    a, b = generator.standard_normal((1000, 16)), generator.standard_normal((1000, 16)) + 0.5
    np.random.seed(0)  # noqa: NPY002 (clean-fid draws its subsets from the global generator)
    theirs = clean_fid_kernel_distance(a, b, num_subsets=2)  # subsets of 1000: all of them
    assert kernel_distance(a, b) == pytest.approx(theirs, rel=0.01)
    with pytest.raises(ValueError, match="at least 2"):
        kernel_distance(a[:1], b)


HARD = {
    "spread": lambda draw: draw,
    "far from the origin": lambda draw: 100 + draw,
    "near-duplicates": lambda draw: draw[:50].repeat(len(draw) // 50 + 1, 1)[: len(draw)] + 1e-7 * draw,
    "copies": lambda draw: draw[:50].repeat(len(draw) // 50 + 1, 1)[: len(draw)],
    "many equal distances": lambda draw: draw.clamp(-1, 1).round(),
    "tiny": lambda draw: 1e-30 * draw,
    "products that overflow": lambda draw: 1e25 * draw,
}


# ----------------------------------------------------------------------------------------------------------------- PRDC


def test_prdc_agrees_with_loops_over_the_definitions():
    generator = np.random.default_rng(2)
    real, fake, k = generator.standard_normal((40, 3)), generator.standard_normal((30, 3)) + 1, 4
    radius = lambda x, i: sorted(np.linalg.norm(x - x[i], axis=1))[k]  # noqa: E731 (the 0th is the sample itself)
    inside = np.array([[np.linalg.norm(f - r) < radius(real, i) for i, r in enumerate(real)] for f in fake])
    in_fake = np.array([[np.linalg.norm(f - r) < radius(fake, j) for r in real] for j, f in enumerate(fake)])
    found = precision_recall_density_coverage(real, fake, k)
    assert found["precision"] == pytest.approx(inside.any(1).mean())
    assert found["recall"] == pytest.approx(in_fake.any(0).mean())
    assert found["density"] == pytest.approx(inside.sum() / (k * len(fake)))
    assert found["coverage"] == pytest.approx(inside.any(0).mean())
    assert 0 < found["precision"] < 1
    with pytest.raises(ValueError, match="more than k = 5"):
        precision_recall_density_coverage(real, fake[:5])


def prdc_by_differences(real, fake, k):
    apart = lambda x, y: torch.stack([(y.double() - each.double()).norm(dim=1) for each in x])  # noqa: E731
    between, real_radii = apart(fake, real), apart(real, real).kthvalue(k + 1, dim=1).values
    inside, fake_radii = between < real_radii, apart(fake, fake).kthvalue(k + 1, dim=1).values
    return {
        "precision": inside.any(1).double().mean().item(),
        "recall": (between < fake_radii[:, None]).any(0).double().mean().item(),
        "density": inside.sum().item() / (k * len(fake)),
        "coverage": inside.any(0).double().mean().item(),
    }


def test_prdc_counts_as_float64_differences_do():
    """Among near-duplicates and equal distances too, which float32 products do not tell apart."""
    generator = torch.Generator().manual_seed(5)
    base = torch.randn(40, 30, generator=generator)
    real = torch.cat([base, base + 1e-6 * torch.randn(40, 30, generator=generator), base[:7]]) + 10
    fake = torch.cat([real[:9], real[40:49] + 1e-6 * torch.randn(9, 30, generator=generator), base[9:18].round() + 10])
    expected = prdc_by_differences(real, fake, 3)
    assert precision_recall_density_coverage(real, fake, 3) == pytest.approx(expected, rel=1e-12)
    assert 0 < expected["recall"] < 1


@pytest.mark.parametrize("kind", HARD)
def test_prdc_does_not_depend_on_the_rounding_of_float32(kind, monkeypatch):
    monkeypatch.setattr("twostage.evaluation.neighbours.LEAST", 150)
    monkeypatch.setattr("twostage.evaluation.neighbours.BLOCK_NUMBERS", 150)
    generator = torch.Generator().manual_seed(6)
    fake, real = (HARD[kind](torch.randn(n, 12, generator=generator)) for n in (310, 700))
    found = precision_recall_density_coverage(real, fake, 2)
    assert found == pytest.approx(prdc_by_differences(real, fake, 2), rel=1e-12)
    nearest = torch.stack([(real.double() - each.double()).norm(dim=1) for each in real]).kthvalue(3, dim=1).values
    torch.testing.assert_close(radii(real, 2), nearest, rtol=1e-14, atol=0)


def test_prdc_of_a_set_with_itself_and_with_one_far_away():
    x = np.random.default_rng(3).standard_normal((50, 3))
    same = precision_recall_density_coverage(x, x)
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)
    assert set(precision_recall_density_coverage(x, x + 100).values()) == {0}


# ---------------------------------------------------------------------------------------------------------- neighbours


def direct_neighbours(queries, references, k):
    distances = torch.stack([(references.double() - query.double()).norm(dim=1) for query in queries])
    found = distances.sort(dim=1, stable=True)
    return found.values[:, :k], found.indices[:, :k]


@pytest.mark.parametrize("block", [1, 7, 100])
def test_neighbours_are_those_of_all_pairs_however_the_references_come(block):
    generator = torch.Generator().manual_seed(0)
    queries, references = (torch.randn(n, 6, generator=generator, dtype=torch.float64) for n in (20, 45))
    search = NearestNeighbours(queries, k=3)
    for start in range(0, 45, block):
        search.add(references[start : start + block])
    distances, positions = direct_neighbours(queries, references, 3)
    torch.testing.assert_close(search.distances, distances)
    assert torch.equal(search.positions, positions)


@pytest.mark.parametrize("kind", HARD)
def test_neighbours_do_not_depend_on_the_rounding_of_float32(kind, monkeypatch):
    """Of several blocks, some with products that tell nothing apart: as by float64 differences, ties by position."""
    monkeypatch.setattr("twostage.evaluation.neighbours.LEAST", 200)
    monkeypatch.setattr("twostage.evaluation.neighbours.BLOCK_NUMBERS", 200)
    generator = torch.Generator().manual_seed(1)
    queries, references = (HARD[kind](torch.randn(n, 33, generator=generator)) for n in (230, 700))
    queries[:5] = references[-5:]
    for k in (1, 4):
        search = NearestNeighbours(queries, k)
        search.add(references)
        distances, positions = direct_neighbours(queries, references, k)
        torch.testing.assert_close(search.distances, distances, rtol=1e-14, atol=0)
        assert torch.equal(search.positions, positions)


@pytest.mark.parametrize("kind", ["spread", "far from the origin", "many equal distances"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_error_of_a_product_is_within_its_bound(kind, dtype):
    generator = torch.Generator().manual_seed(2)
    queries, references = (HARD[kind](torch.randn(n, 3000, generator=generator)).to(dtype) for n in (20, 300))
    halves, error = Products(references, centre_of(references, queries))(queries)
    exact = torch.stack([(references.double() - query.double()).square().sum(1) for query in queries])
    assert ((halves - exact / 2).abs() <= error).all()
    assert (error < 1e4 * torch.finfo(dtype).eps * exact.amin(1, keepdim=True)).all()  # and it says something
    less = exact.amax(0).to(dtype) * torch.rand(300, generator=generator).to(dtype)
    margins, error = Products(references, centre_of(references, queries), less=less)(queries)
    assert ((margins - (exact / 2 - less)).abs() <= error).all()


def test_few_pairs_are_taken_again(monkeypatch):
    taken = []
    monkeypatch.setattr(
        neighbours, "pair_distances", lambda *pairs: taken.append(len(pairs[2])) or pair_distances(*pairs)
    )
    generator = torch.Generator().manual_seed(3)
    queries, references = (torch.randn(n, 2048, generator=generator) for n in (100, 2000))
    search = NearestNeighbours(queries, 5)
    search.add(references)
    assert len(search.positions) == 100
    assert 500 <= sum(taken) < 600  # those whose distances are asked for, and hardly more


def test_a_copy_has_distance_zero_and_near_duplicates_keep_their_order():
    # Far from the origin the matrix product loses the small differences between these; the re-ranking does not.
    base = torch.full((1, 500), 1000.0, dtype=torch.float64)
    steps = torch.tensor([3e-7, 1e-7, 0.0, 2e-7, 4e-7], dtype=torch.float64)
    references = base + steps[:, None]
    search = NearestNeighbours(base, k=4)
    search.add(references)
    assert search.positions.tolist() == [[2, 1, 3, 0]]
    assert search.distances[0, 0] == 0


def test_groups_keep_to_themselves():
    queries, references = torch.tensor([[0.0], [0.0]]), torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    search = NearestNeighbours(queries, k=2, groups=torch.tensor([0, 1]))
    search.add(references, torch.tensor([0, 1, 1, 0]))
    assert search.positions.tolist() == [[0, 3], [1, 2]]
    lonely = NearestNeighbours(queries[:1], k=2, groups=torch.tensor([5]))
    lonely.add(references, torch.tensor([0, 5, 1, 0]))
    assert lonely.positions.tolist() == [[1, -1]]
    assert lonely.distances[0, 1] == torch.inf


def test_pixels_are_searched_as_they_are():
    images = torch.from_numpy(np.random.default_rng(4).integers(0, 256, (30, 12), dtype=np.uint8))
    search = NearestNeighbours(images, k=1)
    search.add(images)
    assert search.positions[:, 0].tolist() == list(range(30))
    assert search.distances.max() == 0
