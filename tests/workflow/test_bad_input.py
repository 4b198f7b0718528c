"""A mistake ends the run before it starts, with one line that says what and how to mend it."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--config", "sead=1"], "config: unknown key sead: 1; expected one of run, seed"),
        (
            ["--config", "split=1.5"],
            "config: split is 1.5; expected 'measured' or a number between 0 and 1, both excluded",
        ),
        (
            ["--config", "experiments={tab1: {spaces: [pixels]}}"],
            "config: experiments.tab1.spaces is 'pixels'; expected a latent space of `spaces`: pixel, vae",
        ),
        (
            ["--config", "experiments={tab3: {short: [[0.5, 0.2]]}}"],
            "config: experiments: plan tab3-0.5-0.2, part 1 (B): interval is [0.5, 0.2]; expected lo < hi",
        ),
        (
            ["--config", "experiments={tab3: {wide: [[0.5, 1.2]]}}"],
            'config: experiments.tab3.wide.0.1 is "1.2"; expected a number less than or equal to 1',
        ),
        (
            ["--config", "experiments={tab_plans: {plans: {a: {parts: [{field: Bee}]}}}}"],
            "config: experiments: plan tab_plans-a, part 1 (Bee): field is 'Bee'; expected one of S, S_oracle, B, XL",
        ),
        (
            ["--config", "data={name: image_folder, image_size: 8, path: no/such}"],
            "config: data.path is 'no/such'; expected a folder that exists",
        ),
    ],
)
def test_one_clear_line_and_a_non_zero_exit(checkout, arguments, line):
    done = checkout.snakemake("--dry-run", *arguments, check=False)
    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert sum(text.startswith(line) for text in output.splitlines()) == 1
    assert "Traceback" not in output
    assert not (checkout.folder / "results").exists()
