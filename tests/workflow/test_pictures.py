"""The pictures of README and docs: which of them the workflow draws, and of which run."""

import re
import shutil

from conftest import ROOT


def test_the_pictures_are_those_of_the_documentation_and_no_others_are_drawn(checkout):
    shutil.copytree(ROOT / "docs/results", checkout.folder / "docs/results")
    done = checkout.snakemake("--dry-run", "--", "pictures")
    kept = {str(path.relative_to(ROOT)) for path in (ROOT / "docs/pictures").rglob("*.png")}
    assert set(re.findall(r"docs/pictures/\S+\.png", done.stdout + done.stderr)) == kept
    for other in ("digits/fig9", "cifar10_cpu/fig2"):  # each is drawn of the other run
        assert (checkout.folder / f"docs/results/{other}.csv").exists()
        done = checkout.snakemake("--dry-run", "--", f"docs/pictures/{other}.png", check=False)
        assert done.returncode == 1
        assert f"No rule to produce docs/pictures/{other}.png" in done.stdout + done.stderr
