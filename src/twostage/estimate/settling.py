"""The job of workflow/rules/oracle.smk that finds when the posterior settles on single images."""

from twostage.estimate.memory import MIB, NETWORK, autoencoder_peaks, store, streamed
from twostage.estimate.oracle import WEIGHT, float64_cost, swept_bytes
from twostage.estimate.row import BYTES, MULTIPLY_ADD, Row
from twostage.estimate.sampling import samples_of

LOOKS = 35  # at all weights of a pair until its time is found


def rows_of_space(setting, space):
    """The row of a latent space: pairs of single images, each within its class, and those that Fig. 5 follows.

    One matrix product for all times, differences, and the weights.
    """
    config, needs, followed = setting.config, [f"data/{space}/latents.h5"], 0
    s, dim, budget = config.settling, setting.dim(space), config.oracle.memory_mb
    if not s:
        return
    if config.experiments.fig5 and space in setting.spaces_of("fig5"):
        followed = max(samples_of(setting, "fig5").values())
        needs.append(f"evaluation/{space}/fig5-")
    if config.spaces[space].decodes:
        needs += setting.encoder_files(space)
    pairs = round(setting.classes * min(s.images, setting.class_size) + followed) * s.noises
    products = float64_cost(config) * MULTIPLY_ADD * (s.noises + 1) * dim / s.noises

    def on_host():
        # The noise of some images and what is drawn of it at a time; the pictures.
        noise = min(budget * MIB // 2, 2 * pairs * dim * BYTES)
        return store(setting) + noise + streamed(setting, space, budget) + NETWORK

    yield Row(
        "settle", space, samples=pairs, flops=pairs * setting.class_size * (products + LOOKS * WEIGHT),
        stage="oracle", needs=tuple(needs), makes=(f"oracle/{space}/settling",),
        on_gpu=lambda: swept_bytes(setting, space, pairs) + autoencoder_peaks(setting, space, "oracle")[1],
        on_host=on_host,
    )  # fmt: skip
