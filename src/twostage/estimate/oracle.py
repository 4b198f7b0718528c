"""Jobs of workflow/rules/oracle.smk and synthetic.smk: posteriors over latents and over unit Gaussians."""

from twostage.estimate.row import MULTIPLY_ADD, Row
from twostage.estimate.sampling import samples_of

# Times of a sweep at which many weights are summed; beyond the transition few are (twostage.oracle.sweep).
DENSE_TIMES = 20
# Looks at all weights of a pair until its time is found; operations that one weight then takes as long as (measured).
LOOKS, WEIGHT = 35, 500
EIGENVALUES = 10  # operations of a symmetric eigendecomposition, in cubes of its size
SECONDS_PER_DRAW = 1e-8  # one sample of a synthetic posterior at one time, on one core (measured)


def rows(setting):
    """The row of the synthetic posteriors."""
    s = setting.config.synthetic
    curves = len(s.dims) * s.size + sum(s.sizes)
    law = len(s.law_dims) * sum(s.law_sizes)
    yield Row(
        "synthetic",
        samples=s.trials * (len(s.dims) + len(s.sizes)) + s.law_trials * len(s.law_dims) * len(s.law_sizes),
        flops=MULTIPLY_ADD * s.trials * s.time_steps * (s.size * sum(s.dims) + s.dim * sum(s.sizes)),
        cpu_seconds=SECONDS_PER_DRAW * s.time_steps * (s.trials * curves + s.law_trials * law),
        stage="synthetic",
        makes=("synthetic/",),
    )


def rows_of_space(setting, space):
    """Rows of the posterior, the split and the sweep over N in a latent space."""
    o, n, dim = setting.config.oracle, setting.config.nsweep, setting.dim(space)
    wide = float64_cost(setting.config)
    latents = (f"data/{space}/latents.h5",)
    pools = [(setting.class_size, setting.classes, o.pairs_per_class), (setting.stored, 1, o.pairs_unconditional)]
    yield Row(
        "posterior",
        space,
        samples=sum(times * pairs for _, times, pairs in pools),
        flops=sum(
            times * (sweep_flops(pairs, pool, dim, wide) + spectrum_flops(pool, dim, wide))
            for pool, times, pairs in pools
        )
        + sweep_flops(o.pairs_unconditional, setting.class_size, dim, wide),  # each within its class
        stage="oracle",
        needs=latents,
        makes=tuple(f"oracle/{space}/{name}" for name in ("posterior", "transition", "law", "information")),
    )
    if setting.config.settling:
        yield _settle(setting, space, wide)
    yield Row("split", space, needs=(f"oracle/{space}/transition",), makes=(f"oracle/{space}/split",))
    flops = pairs = 0
    for pool, times, _ in pools:
        sizes = [size for size in n.sizes if size <= pool]
        flops += times * (
            n.repeats * sum(sweep_flops(n.pairs, size, dim, wide) for size in sizes) + spectrum_flops(pool, dim, wide)
        )
        pairs += times * n.repeats * n.pairs * len(sizes)
    yield Row(
        "vary_size", space, samples=pairs, flops=flops, stage="oracle", needs=latents, makes=(f"oracle/{space}/nsweep",)
    )


def _settle(setting, space, wide):
    """Pairs of single images, each within its class; one matrix product for all times, differences, and the weights."""
    s, config, needs = setting.config.settling, setting.config, [f"data/{space}/latents.h5"]
    images, followed = setting.classes * min(s.images, setting.class_size), 0
    if config.experiments.fig5 and space in setting.spaces_of("fig5"):
        followed = max(samples_of(setting, "fig5").values())
        needs.append(f"evaluation/{space}/fig5-")
    if config.spaces[space].decodes:
        needs += setting.encoder_files(space)
    images += followed
    products = wide * MULTIPLY_ADD * (s.noises + 1) * setting.dim(space)
    return Row(
        "settle", space, samples=images * s.noises,
        flops=images * setting.class_size * (products + LOOKS * WEIGHT * s.noises),
        stage="oracle", needs=tuple(needs), makes=(f"oracle/{space}/settling",),
    )  # fmt: skip


def float64_cost(config):
    """How many operations in float32 take as long as one in float64, where the oracle runs; on a CPU taken as 1."""
    hardware = config.estimate
    return hardware.gpu_float32_tflops / hardware.gpu_float64_tflops if config.jobs.oracle.gpu else 1.0


def sweep_flops(pairs, count, dim, wide=1.0):
    """Operations of ``twostage.oracle.sweep``: two float64 matrix products for all times, and the weighted sums.

    wide: ``float64_cost``, what one in float64 counts as.
    """
    return MULTIPLY_ADD * (2 * wide + DENSE_TIMES) * pairs * count * dim


def spectrum_flops(count, dim, wide=1.0):
    """Operations of the covariance's eigenvalues, in float64, by the smaller of the two Gram matrices."""
    small = min(count, dim)
    return wide * (MULTIPLY_ADD * count * dim * small + EIGENVALUES * small**3)
