"""Adapter: every statement of the paper that this run can check, its numbers beside ours, the law to play with."""

from twostage.job import job
from twostage.report.claims import verdicts
from twostage.report.figures import style
from twostage.report.pages import claims as claims_page
from twostage.report.pages import interactive, side_by_side

with job(snakemake):
    spaces, sources = snakemake.params.spaces, {}
    for name, paths in snakemake.input.items():
        # What was given once a latent space arrives as a list in the order of the spaces.
        sources[name] = dict(zip(spaces[name], paths)) if name in spaces else paths
    known = next(iter(sources.pop("replicates")), None)
    out, params = snakemake.output, snakemake.params
    told = {"models": params.models, "pairs": params.pairs, "aligned": params.aligned}
    style.colour_by(**params.order)
    verdicts.write(out.json, out.csv, config=told, known=known, **told, **sources)
    claims_page.write(out.html, out.json, config=told)
    side_by_side.write(out.beside, out.beside_csv, config=told, **told, **sources)
    interactive.write(out.interactive, sources["transition"])
