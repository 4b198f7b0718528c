"""The parts of the report, by the stage whose results a figure draws. Rules read this while the workflow is parsed."""

# {part: stages}, in the order of the report and of the workflow.
PARTS = {
    "The training target": ("oracle", "synthetic"),
    "What models learn": ("training",),
    "Along the trajectories": ("samples",),
    "What is sampled": ("evaluation",),
}


def part_of(sources):
    """The part that a figure belongs to, from the paths it reads inside a run's folder: that of the latest stage."""
    stages = {path.split("/")[0] for path in sources}
    found = [part for part, names in PARTS.items() if stages & set(names)]
    return found[-1] if found else next(iter(PARTS))
