"""The parts of the report, by the stage whose results a figure draws. Rules read this while the workflow is parsed."""

# {part: stages}, in the order of the report and of the workflow.
PARTS = {
    "The training target": ("oracle", "synthetic"),
    "What models learn": ("training",),
    "Along the trajectories": ("samples",),
    "What is sampled": ("evaluation",),
}


def part_of(sources):
    """The part to which a figure belongs: that of the latest stage among the paths that it reads inside a run's
    folder."""
    stages = {path.split("/")[0] for path in sources}
    found = [part for part, names in PARTS.items() if stages & set(names)]
    return found[-1] if found else next(iter(PARTS))
