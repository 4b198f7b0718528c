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

    found, known = Counter(), set()
    for name, plan in plans.items():
        ways = [((samples[name], prefix), part.field, _of_part(plan, part)) for part, prefix in _parts(plan)]
        if plan.follow and not plan.resumes:
            grid = follow_grid(plan)
            ways.append(((samples[name], plan.solver, grid), ORACLE, _of_grid(plan.solver, grid)))
        for way, field, count in ways:
            if way not in known:
                known.add(way)
                found[field] += samples[name] * count
    return found


def followed_evaluations(plans, samples):
    """The same of ``twostage.sampling.trajectory``, which follows every plan from its start to its end."""
    found = Counter()
    for plan in plans.values():
        for part in plan.parts:
            found[part.field] += samples * _of_part(plan, part)
    return found


def _parts(plan):
    return zip(plan.parts, prefixes(plan))


def _of_part(plan, part):
    """Evaluations of a part's field for one sample."""
    from twostage.flow import time_grid

    guidance = None if part.guidance == 1 else (part.guidance, part.interval, part.channels)
    return _of_grid(plan.solver, time_grid(part.steps, part.start, part.stop, part.shift), guidance)


def _of_grid(solver, grid, guidance=None):
    import torch

    from twostage.sampling.solver import SOLVERS
    from twostage.sampling.velocity import Guided

    seen = []

    def count(x, t, y):
        seen.append(len(x))
        return torch.zeros_like(x)

    field = Guided(count, *guidance, dropped_label=0) if guidance else count
    SOLVERS[solver](field, torch.zeros(1, 1), grid, torch.zeros(1, dtype=torch.int64))
    return sum(seen)
