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
        (
            ["--config", "experiments={tab_plans: {plans: {a: {parts: [{field: B, guidance: two}]}}}}"],
            'config: experiments.tab_plans.plans.a.parts.0.guidance is "two"; expected a number',
        ),
        (
            [
                "--config",
                "split=0.3",
                "experiments={tab_plans: {plans: {a: {parts: [{field: B, stop: 0.5}, {field: B, "
                "stop: split}, {field: XL}]}}}}",
            ],
            "config: experiments: plan tab_plans-a, part 2 (B): stops at 0.3 but starts at 0.5; expected a later stop",
        ),
        (
            [
                "--config",
                "models={B: {checkpoint: {vae: B.pt}}}",
                "experiments={tab_plans: {spaces: [vae], plans: {a: {parts: [{field: B@2}]}}}}",
            ],
            "config: experiments.tab_plans.plans.a names B@2, but B is imported in latent space vae",
        ),
        (
            ["--config", "models={XL: {checkpoint: no.pt}}"],
            "config: models.XL.checkpoint.pixel is 'no.pt'; no such file, and no place to fetch it from; expected a",
        ),
        (["--config", "run=2024.01"], 'config: run is 2024.01; expected text: put it in quotes, "2024.01"'),
    ],
)
def test_one_clear_line_and_a_non_zero_exit(checkout, arguments, line):
    done = checkout.snakemake("--dry-run", *arguments, check=False)
    assert done.returncode == 1
    output = done.stdout + done.stderr
    assert sum(text.startswith(line) for text in output.splitlines()) == 1
    assert "Traceback" not in output
    assert not (checkout.folder / "results").exists()


def test_a_key_that_stands_twice_and_a_date(checkout):
    checkout.edit("tests/workflow/smoke.yaml", "seed: 0\n", "seed: 0\nseed: 1\n")
    done = checkout.snakemake("--dry-run", check=False)
    assert (
        "smoke.yaml, line 5: the key seed stands twice, first in line 4; expected it once" in done.stdout + done.stderr
    )
    checkout.edit("tests/workflow/smoke.yaml", "seed: 0\nseed: 1\n", "")
    checkout.edit("tests/workflow/smoke.yaml", "run: smoke", "run: 2024-01-01")
    done = checkout.snakemake("--dry-run", check=False)
    line = 'config: run is "2024-01-01"; expected text; YAML reads 2024-01-01 as a date: put it in quotes, "2024-01-01"'
    assert line in done.stdout + done.stderr
    assert done.returncode == 1


def test_null_switches_an_experiment_off_on_the_command_line(checkout):
    assert "sample_tab1" in checkout.reruns("all")
    assert "sample_tab1" not in checkout.reruns("all", config=["experiments={tab1: null}"])


def test_names_may_have_dashes_and_numbers_units(checkout):
    config = ["run=a-b", "seed=1e3", "spaces={vae: null, sd-vae: {encoder: {kind: identity}}}"]
    config += ["experiments={tab3: {spaces: [sd-vae]}}", "jobs={data: {mem_mb: 2G, runtime: 1h}}"]
    assert "sample_tab3" in checkout.reruns("results/a-b/report/tab3.png", config=config)
