"""How often each velocity field is evaluated: the sampler's own plans and solvers, run with fields that only count."""

from collections import Counter

from twostage.sampling.plan import ORACLE, Plan, prefixes


def resolved(plans, split, windows=None):
    """{name: resolved ``Plan``} of plan dicts, with ``split`` for "split" and ``windows`` for those of the data."""
    return {name: Plan.from_dict(name, content).resolve(split, windows) for name, content in plans.items()}


def evaluations(plans, samples):
    """{field: evaluations} of sampling resolved ``plans``, ``samples`` of each: {name: number}.

    As in ``twostage.sampling.run``: what plans with as many samples have in common is solved once, a guided evaluation
    is two, and a plan that follows its training image has the oracle's way there besides.
    """
    from twostage.sampling.context import follow_grid
    from twostage.sampling.cost import grid_evaluations, part_evaluations

    found, known = Counter(), set()
    for name, plan in plans.items():
        ways = [((samples[name], prefix), part.field, part_evaluations(plan, part)) for part, prefix in _parts(plan)]
        if plan.follow and not plan.resumes:
            grid = follow_grid(plan)
            ways.append(((samples[name], plan.solver, grid), ORACLE, grid_evaluations(plan.solver, grid)))
        for way, field, count in ways:
            if way not in known:
                known.add(way)
                found[field] += samples[name] * count
    return found


def followed_evaluations(plans, samples):
    """The same of ``twostage.sampling.trajectory``, which follows every plan from its start to its end."""
    from twostage.sampling.cost import evaluations_of

    found = Counter()
    for plan in plans.values():
        for field, count in evaluations_of(plan).items():
            found[field] += samples * count
    return found


def _parts(plan):
    return zip(plan.parts, prefixes(plan))
