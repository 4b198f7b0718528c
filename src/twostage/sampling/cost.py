"""The cost of a plan for one sample: evaluations of each field, and the networks' operations.

The solvers themselves count the evaluations: they run with a field that only counts. A guided evaluation counts twice.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from twostage.flow import time_grid
from twostage.model.operations import forward_flops
from twostage.sampling.plan import Part, Plan
from twostage.sampling.solver import SOLVERS
from twostage.sampling.velocity import Guided


def evaluations_of(plan: Plan) -> Counter[str]:
    """{field: evaluations for one sample} of a resolved plan, its fields in the order of its parts.

    >>> parts = [{"field": "oracle", "stop": 0.4}, {"field": "B", "guidance": 2.0}]
    >>> dict(evaluations_of(Plan.from_dict("mixed", {"parts": parts, "steps": 10}).resolve()))
    {'oracle': 4, 'B': 12}
    """
    found: Counter[str] = Counter()
    for part in plan.parts:
        found[part.field] += part_evaluations(plan, part)
    return found


def part_evaluations(plan: Plan, part: Part) -> int:
    """Evaluations of the field of a resolved plan's part, for one sample."""
    guidance = None if part.guidance == 1 else (part.guidance, part.interval, part.channels)
    return grid_evaluations(plan.solver, time_grid(part.steps, part.start, part.stop, part.shift), guidance)


def grid_evaluations(
    solver: str, grid: Float[Tensor, " edges"] | Sequence[float], guidance: tuple[Any, ...] | None = None
) -> int:
    """Evaluations of a field by a solver on a grid; guidance: (scale, interval, channels), None for none."""
    seen = []

    def count(x: Tensor, t: float, y: Int64[Tensor, " batch"]) -> Tensor:
        seen.append(len(x))
        return torch.zeros_like(x)

    field = Guided(count, *guidance, dropped_label=0) if guidance else count
    SOLVERS[solver](field, torch.zeros(1, 1), grid, torch.zeros(1, dtype=torch.int64))
    return sum(seen)


def network_flops(plan: Plan, architectures: Mapping[str, Mapping[str, Any]]) -> int:
    """Operations of the networks for one sample of a resolved plan.

    architectures: {field: ``LightningDiT.architecture``}; fields without one, such as the oracle, are no networks.
    """
    found = evaluations_of(plan)
    return sum(found[field] * forward_flops(each) for field, each in architectures.items() if field in found)
