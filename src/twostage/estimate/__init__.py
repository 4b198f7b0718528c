"""What a run will cost, before anything is spent: jobs, samples, operations, hours and disk of every rule.

Counted, not guessed: floating-point operations of the very networks (run on torch's meta device, which computes
nothing) times how often each is applied, which the sampler's own plans and solvers say. Hours follow from the
hardware's rate and the share of it that is reached, both in the configuration (`estimate`) and printed with the result.
The time to read and write files is left out, except for decoding images.

One module per stage says which jobs its rules start, and what each takes: operations, seconds, disk, memory of its GPU
and of its host (``data``, ``oracle``, ``training``, ``sampling``, ``evaluation``). Drawing takes seconds and is left
out. ``setting`` says what the jobs run on; ``networks``, ``peaks`` and ``evaluations`` what one image or sample costs;
``memory`` what jobs of all stages hold alike; ``costs`` adds up what a target needs; ``text`` prints it; ``limits``
makes time limits of it. Nothing here imports torch before it counts.
"""

from twostage.estimate.costs import Costs
from twostage.estimate.limits import TimeLimits, hours_of
from twostage.estimate.text import jobs, report


def estimate(config, plans, targets, on_demand):
    """The text of the estimate of a configuration (a dict), from what the workflow made of it.

    plans: {experiment: {plan name: plan dict}}; targets: {name: paths below results/{run} that it is drawn from}, all
    of which a run makes; on_demand: the same of those that are made when asked for by name.
    """
    return report(_costs(config, plans), targets, on_demand)


def limits(config, plans, targets):
    """The text on what one job of each rule takes and asks for; arguments as ``estimate``'s."""
    return jobs(_costs(config, plans), targets)


def _costs(config, plans):
    """The ``Costs``, whose hours are kept for `runtime: auto`."""
    from twostage.config import load

    costs = Costs(load(config), plans)
    TimeLimits(costs.config, plans).keep(hours_of(costs))
    return costs
