"""The paper's App. H: the two stages of a large text-to-image model (Flux.1)."""

from twostage.report.claims.claim import (
    BANDS,
    NOT_TESTED,
    Claim,
    Finding,
    above,
)
from twostage.report.claims.trajectories import half_left
from twostage.report.results import curves


def _two_stages_in_flux(run):
    rows = run.flux_trajectories
    if 1 not in set(rows["shift"]):
        return [Finding("Flux", NOT_TESTED, note="no uniform steps (s = 1)")]
    rows = rows[rows["shift"] == 1]
    layout, whole = (half_left(rows, measure) for measure in ("layout_to_end", "to_end"))
    lead = curves.difference(whole, layout)
    note = (
        f"{rows['prompts'].iloc[0]} prompts; half is left at {layout.value:.3f} of the layout, {whole.value:.3f} of all"
    )
    return [Finding("Flux", above(lead, 0.0), lead, note)]


STAGES_IN_FLUX = Claim(
    id="stages-in-flux",
    section="App. H",
    statement="A large text-to-image model (Flux.1) shows the same two stages: first the layout, then the details.",
    paper="by eye",
    figure="fig_flux",
    quantity="time at which half of the distance to the end is left, whole latent minus layout (uniform steps)",
    rule=f"holds if the whole interval is above zero; {BANDS}",
    form="time",
    needs=("flux",),
    check=_two_stages_in_flux,
)
