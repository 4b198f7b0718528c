"""The files from which claims and the side-by-side comparison are made: their paths, and what their intervals cover.

Each file is named only here. Rules read this while the workflow is parsed.
"""

from dataclasses import dataclass

OF_SAMPLES = "the sampling: other noise and labels, the same trained models"
OF_PAIRS = "the pairs (x_0, x_1): other noise and images of the same data, the same trained models"
OF_STEPS = "the steps: other batches, the same machine under the same load"
OF_DATA = "the pairs (x_0, x_1): other noise and images of the same data"
OF_TRIALS = "the trials: other unit Gaussians"


@dataclass(frozen=True)
class Source:
    """A result of an earlier stage.

    path: below the run's folder; {space} stands for one file per latent space, {supervised} for the oracle-supervised
    model; covers: the randomness that intervals made from it cover, in words; experiment: the experiment (or "flux")
    that makes it, None if every run makes it.
    """

    path: str
    covers: str = ""
    experiment: str | None = None


# If a claim needs several sources, the first of them in this order says what its intervals cover.
SOURCES = {
    "pair_errors": Source("training/{space}/oracle_loss.h5", OF_PAIRS),
    "oracle_loss": Source("training/{space}/oracle_loss.csv", OF_PAIRS),
    "tab1": Source("evaluation/{space}/tab1.csv", OF_SAMPLES, "tab1"),
    "tab2": Source("evaluation/{space}/tab2.csv", OF_SAMPLES, "tab2"),
    "tab3": Source("evaluation/{space}/tab3.csv", OF_SAMPLES, "tab3"),
    "tab_gain": Source("evaluation/{space}/tab_gain.csv", OF_SAMPLES, "tab_gain"),
    "halves": Source("evaluation/{space}/tab_halves.csv", OF_SAMPLES, "tab_halves"),
    "capacity": Source("evaluation/{space}/tab_capacity.csv", OF_SAMPLES, "tab_capacity"),
    "oracle_supervised": Source("evaluation/{space}/fig_oracle_supervised.csv", OF_SAMPLES, "fig_oracle_supervised"),
    "references": Source("samples/{space}/fig_references.h5", OF_PAIRS, "fig_references"),
    "trajectories": Source("samples/{space}/fig8.csv", OF_SAMPLES, "fig8"),
    "flux": Source("samples/flux.csv", OF_SAMPLES, "flux"),
    "memorization_switch": Source("evaluation/{space}/fig5-memorization.csv", OF_SAMPLES, "fig5"),
    "memorization_resume": Source("evaluation/{space}/fig6-memorization.csv", OF_SAMPLES, "fig6"),
    "jump": Source("evaluation/{space}/fig_jump.csv", OF_SAMPLES, "fig_jump"),
    "memorization_jump": Source("evaluation/{space}/fig_jump-memorization.csv", OF_SAMPLES, "fig_jump"),
    "top1": Source("synthetic/top1.csv", OF_TRIALS),
    "synthetic_transition": Source("synthetic/transition.csv", OF_TRIALS),
    "nsweep": Source("oracle/{space}/nsweep.csv", "the subsets of the data"),
    "supervised_log": Source("training/{space}/{supervised}/stats.jsonl", OF_STEPS, "fig_oracle_supervised"),
    "transition": Source("oracle/{space}/transition.json", OF_DATA),
    "posterior": Source("oracle/{space}/posterior.csv", OF_DATA),
    "split": Source("oracle/{space}/split.json"),
    "information": Source("oracle/{space}/information.csv", OF_DATA),
    "settling": Source("oracle/{space}/settling.csv", OF_DATA, "settling"),
    "followed_images": Source("evaluation/{space}/fig5-neighbours.csv", OF_SAMPLES, "fig5"),
    "synthetic_information": Source("synthetic/information.csv", OF_TRIALS),
}


def paths_of(*names):
    """{name: path below the run's folder} of some sources."""
    return {name: SOURCES[name].path for name in names}
