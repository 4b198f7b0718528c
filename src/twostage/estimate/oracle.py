"""Jobs of workflow/rules/oracle.smk and synthetic.smk: posteriors over latents and over unit Gaussians."""

import math

from twostage.estimate.memory import MIB, default_of, store, streamed
from twostage.estimate.row import BYTES, MULTIPLY_ADD, WIDE, Row

# Times of a sweep at which many weights are summed; beyond the transition few are (twostage.oracle.sweep).
DENSE_TIMES = 20
# Times of a sweep as they usually are, those that resolve the transition included, and the operations that one weight
# at one time takes as long as (measured: 19 to 30 ns on a core of 68 GFLOP/s).
SWEPT_TIMES, WEIGHT = 160, 1500
EIGENVALUES = 10  # operations of a symmetric eigendecomposition, in cubes of its size
SECONDS_PER_DRAW = 1e-8  # one sample of a synthetic posterior at one time, on one core (measured)
TIMES = 300  # times of a posterior study at most, those that resolve the transitions included


def rows(setting):
    """The row of the synthetic posteriors."""
    s = setting.config.synthetic
    curves = len(s.dims) * s.size + sum(s.sizes)
    law = len(s.law_dims) * sum(s.law_sizes)

    def on_host():
        # In each thread blocks of 2^20 samples in float64; the weights at all times of all trials.
        trials = s.law_trials * len(s.law_dims) * len(s.law_sizes) + 4 * s.trials
        return setting.config.jobs.synthetic.threads * 16 * WIDE * (1 << 20) + WIDE * TIMES * trials

    yield Row(
        "synthetic",
        samples=s.trials * (len(s.dims) + len(s.sizes)) + s.law_trials * len(s.law_dims) * len(s.law_sizes),
        flops=MULTIPLY_ADD * s.trials * s.time_steps * (s.size * sum(s.dims) + s.dim * sum(s.sizes)),
        cpu_seconds=SECONDS_PER_DRAW * s.time_steps * (s.trials * curves + s.law_trials * law),
        stage="synthetic",
        makes=("synthetic/",),
        on_host=on_host,
    )


def rows_of_space(setting, space):
    """Rows of the posterior, the split, the windows and the sweep over N in a latent space."""
    yield _posterior(setting, space)
    yield Row("split", space, needs=(f"oracle/{space}/transition",), makes=(f"oracle/{space}/split",))
    tables = (f"oracle/{space}/law", f"oracle/{space}/information")
    yield Row("windows", space, needs=tables, makes=(f"oracle/{space}/windows",))
    yield _vary_size(setting, space)


def _pools(setting):
    """[(latents, times that as many are asked, pairs)] of the oracle: within each class, and over all."""
    of_class, of_all = setting.config.pairs
    pools = [(setting.class_size, setting.classes, of_class), (setting.stored, 1, of_all)]
    return [pool for pool in pools if pool[-1]]


def _posterior(setting, space):
    o, dim, wide, pools = setting.config.oracle, setting.dim(space), float64_cost(setting.config), _pools(setting)
    pairs = sum(times * pairs for _, times, pairs in pools)

    def on_host():
        from twostage.oracle.study import STATISTICS

        arrays = len(STATISTICS) + 1  # of a sweep, of all pairs and times; and the posterior's variance
        swept = 3 * arrays * WIDE * TIMES * pairs  # found, pooled, and found again on finer times
        spectra = 2 * WIDE * setting.classes * min(dim, math.ceil(setting.class_size))
        return store(setting) + swept + spectra + streamed(setting, space, o.memory_mb)

    return Row(
        "posterior",
        space,
        samples=pairs,
        flops=sum(
            times * (sweep_flops(pairs, pool, dim, wide) + spectrum_flops(pool, dim, wide))
            for pool, times, pairs in pools
        )
        + sweep_flops(setting.config.pairs[1], setting.class_size, dim, wide),  # each within its class
        stage="oracle",
        needs=(f"data/{space}/latents.h5",),
        makes=tuple(f"oracle/{space}/{name}" for name in ("posterior", "transition", "law", "information")),
        on_gpu=lambda: swept_bytes(setting, space, max(setting.config.pairs)),
        on_host=on_host,
    )


def _vary_size(setting, space):
    n, dim, wide = setting.config.nsweep, setting.dim(space), float64_cost(setting.config)
    flops = pairs = 0
    for pool, times, _ in _pools(setting):
        sizes = [size for size in n.sizes if size <= pool]
        flops += times * (
            n.repeats * sum(sweep_flops(n.pairs, size, dim, wide) for size in sizes) + spectrum_flops(pool, dim, wide)
        )
        pairs += times * n.repeats * n.pairs * len(sizes)
    subset = 4 * max(n.sizes) * dim * BYTES
    return Row(
        "vary_size", space, samples=pairs, flops=flops, stage="oracle", needs=(f"data/{space}/latents.h5",),
        makes=(f"oracle/{space}/nsweep",), on_gpu=lambda: swept_bytes(setting, space, n.pairs) + subset,
        on_host=lambda: store(setting) + streamed(setting, space, setting.config.oracle.memory_mb),
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- operations


def float64_cost(config):
    """How many operations in float32 take as long as one in float64, where the oracle runs; on a CPU taken as 1."""
    hardware = config.estimate
    return hardware.gpu_float32_tflops / hardware.gpu_float64_tflops if config.jobs.oracle.gpu else 1.0


def sweep_flops(pairs, count, dim, wide=1.0):
    """Operations of ``twostage.oracle.sweep``: two float64 matrix products for all times, the weighted sums, and the
    weights themselves.

    wide: ``float64_cost``, what one in float64 counts as.
    """
    return pairs * count * (MULTIPLY_ADD * (2 * wide + DENSE_TIMES) * dim + SWEPT_TIMES * WEIGHT)


def spectrum_flops(count, dim, wide=1.0):
    """Operations of the covariance's eigenvalues, in float64, by the smaller of the two Gram matrices."""
    small = min(count, dim)
    return wide * (MULTIPLY_ADD * count * dim * small + EIGENVALUES * small**3)


# --------------------------------------------------------------------------------------------------------------- memory


def swept_bytes(setting, space, points):
    """Bound of what sweeps of ``points`` pairs take, over all latents, within the configured budget."""
    count, dim, budget = setting.stored, setting.dim(space), setting.config.oracle.memory_mb * MIB
    return oracle_bytes(count, dim, budget, points, TIMES) + spectrum_bytes(count, dim)


def velocities_bytes(setting, space, points):
    """Bound of what the oracle velocities of ``points`` states take, over all latents, within the default budget."""
    return oracle_bytes(setting.stored, setting.dim(space), velocities_mb() * MIB, points)


def velocities_mb():
    """Budget of the oracle in MiB, where sampling and the oracle loss ask for its velocities."""
    from twostage.oracle import ClassOracle

    return default_of(ClassOracle, "budget_mb")


def oracle_bytes(count, dim, budget, points, times=1):
    """Bound of what ``twostage.oracle`` takes for ``points`` states at ``times`` times over ``count`` samples.

    Rows are held up to half of the budget, and once more where they are centred; work takes at most the budget, and no
    more than all points and samples at once would; besides, ten numbers per sample.
    """
    held = 2 * min(count * dim * BYTES, budget // 2)
    work = min(budget, points * (100 * count + 6 * WIDE * dim * (times + 4)))
    return held + work + 10 * WIDE * count


def spectrum_bytes(count, dim):
    """Bound of what ``twostage.oracle.law.spectrum`` takes: the smaller Gram matrix, held, scaled and decomposed in
    float64, and the centred rows that it is made of, 8 MiB at a time where there are more of them than numbers in one.
    """
    side = min(count, dim)
    return WIDE * (5 * side**2 + (count * dim if count < dim else 0)) + 24 * MIB
