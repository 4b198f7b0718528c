"""The results of a run, as claims and the side-by-side comparison read them. A table is made when it is first read."""

from functools import cached_property

from twostage.report.results import convergence
from twostage.report.results.capacity import capacities
from twostage.report.results.gaussians import gaussian_curves
from twostage.report.results.halves import halves
from twostage.report.results.information import information_curves
from twostage.report.results.jump import jumps
from twostage.report.results.losses import loss_curves
from twostage.report.results.memorization import memorization_distances
from twostage.report.results.norms import norms_of
from twostage.report.results.paired import PairErrors
from twostage.report.results.plans import guidance_intervals, timestep_shifts, velocity_gains
from twostage.report.results.posterior import posterior_curves, saturation_of
from twostage.report.results.references import References
from twostage.report.results.settling import settled_copies, settling_images
from twostage.report.results.sources import SOURCES
from twostage.report.results.swaps import stage_swaps
from twostage.report.results.trajectories import flux_trajectories, sample_trajectories
from twostage.report.results.transitions import size_sweep, transition_points


class Results:
    """The tables of a run.

    sources: keywords with the names of ``SOURCES``. Each is a path, or {space: path} if the source's own path has a
    {space}. A source that is not given, or None, is missing in the run. models: names, smallest first, of the models
    that differ only in size; pairs: {oracle-supervised model: its CFM twin}; aligned: {latent space of an autoencoder:
    whether it is aligned with semantic features}. Raises TypeError for a name that is no source.
    """

    def __init__(self, *, models=None, pairs=None, aligned=None, **sources):
        if unknown := [name for name in sources if name not in SOURCES]:
            raise TypeError(f"{unknown[0]!r} is no source of results; expected one of {', '.join(SOURCES)}")
        self.given = {name: sources[name] for name in SOURCES if sources.get(name)}
        self.models, self.pairs, self.aligned = models, pairs, aligned or {}

    def has(self, name):
        return name in self.given

    def path(self, name):
        """A source as it was given: a path, or {space: path}; None if the run does not have it."""
        return self.given.get(name)

    @property
    def paths(self):
        """Paths of all given sources, for the provenance."""
        return self.paths_of(SOURCES)

    def paths_of(self, names):
        """Paths of the sources of these names, as far as they are given."""
        given = [self.given[name] for name in names if self.has(name)]
        return [path for source in given for path in (source.values() if isinstance(source, dict) else [source])]

    @cached_property
    def posteriors(self):
        return posterior_curves(self.path("posterior"), self.path("transition"), self.path("split"))

    @cached_property
    def information(self):
        return information_curves(self.path("information"), self.path("synthetic_information"))

    @cached_property
    def settling(self):
        return settling_images(self.path("settling"))

    @cached_property
    def settled_copies(self):
        return settled_copies(self.settling, self.path("followed_images"))

    @cached_property
    def gaussians(self):
        return gaussian_curves(self.path("top1"))

    @cached_property
    def losses(self):
        return loss_curves(self.path("oracle_loss"), self.path("split"), models=self.models)

    @cached_property
    def pairs_of(self):
        """{space: its PairErrors}"""
        return {space: PairErrors(path) for space, path in self.path("pair_errors").items()}

    @cached_property
    def norms(self):
        """{space: its Norms, None where an earlier version measured}"""
        return {space: norms_of(path) for space, path in self.path("pair_errors").items()}

    @cached_property
    def swaps(self):
        return stage_swaps(self.path("tab1"))

    @cached_property
    def transitions(self):
        return transition_points(self.path("transition") or {}, self.path("synthetic_transition"))

    @cached_property
    def sizes(self):
        return size_sweep(self.path("nsweep"))

    @cached_property
    def shifts(self):
        return timestep_shifts(self.path("tab2"), self.path("split"))

    @cached_property
    def guidance(self):
        return guidance_intervals(self.path("tab3"), self.path("split"))

    @cached_property
    def gains(self):
        return velocity_gains(self.path("tab_gain"), self.path("split"))

    @cached_property
    def halves(self):
        return halves(self.path("halves"), self.path("split"))

    @cached_property
    def capacities(self):
        return capacities(self.path("capacity"), self.path("split"))

    @cached_property
    def paths_of_samples(self):
        return sample_trajectories(self.path("trajectories"), self.path("split"))

    @cached_property
    def flux_trajectories(self):
        return flux_trajectories(self.path("flux"))

    @cached_property
    def references(self):
        """{space: its References}"""
        return {space: References(path) for space, path in self.path("references").items()}

    @cached_property
    def switched(self):
        return memorization_distances(self.path("memorization_switch"), "t_switch", self.path("split"))

    @cached_property
    def resumed(self):
        return memorization_distances(self.path("memorization_resume"), "t_resume", self.path("split"))

    @cached_property
    def jumps(self):
        return jumps(*(self.path(name) for name in ("jump", "memorization_jump", "split", "transition", "information")))

    @cached_property
    def twins(self):
        # Twins are trained where their experiment runs, which may not be every latent space.
        losses = {
            space: self.path("oracle_loss")[space]
            for space in self.path("oracle_supervised") or self.path("oracle_loss")
        }
        return convergence.losses_of_twins(losses, self.path("split"), self.pairs)

    @cached_property
    def twin_distances(self):
        return convergence.distances_of_twins(self.path("oracle_supervised"), self.pairs)

    def stages(self, space):
        """(split, saturation): the times that bound navigation from above and refinement from below.

        Navigation is [0, split]; refinement is [saturation, 1], where saturation is the time after which the top-1
        weight stays at 0.95 or above (about 0.1 in the paper). The times between the two belong to neither.
        """
        saturation = saturation_of(self.posteriors, space).value
        split = self.posteriors.loc[self.posteriors["space"] == space, "split"].iloc[0]
        return float(split), saturation
