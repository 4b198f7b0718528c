"""``snakemake --profile slurm``: what is said before anything is submitted, sites of one's own, other executors."""

import os
import shutil

import pytest
import yaml

TARGET = "results/smoke/synthetic/top1.csv"
LOCAL = ("--cores", "1")
SLURM = ("--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1")


def run(checkout, where, *arguments, environment=None):
    """Run Snakemake as a user types it: its exit code and what it said."""
    done = checkout.snakemake(*arguments, "--", TARGET, check=False, where=where, environment=environment)
    return done.returncode, done.stdout + done.stderr


def refused(checkout, where, *arguments, environment=None):
    """What a run said that ended before its first job."""
    code, said = run(checkout, where, *arguments, environment=environment)
    assert code != 0, said
    assert not (checkout.folder / "results").exists()
    assert "Traceback" not in said
    return said


def test_a_misspelt_profile_is_refused_where_snakemake_would_run_on_this_machine(checkout):
    said = refused(checkout, LOCAL, "--workflow-profile", "my-stie")
    assert "there is no profile 'my-stie'; looked for profiles/my-stie" in said


def test_executor_and_profiles_are_said(checkout):
    (checkout.folder / "profiles/mine").mkdir(parents=True)
    (checkout.folder / "profiles/mine/config.yaml").write_text("printshellcmds: true\n")
    code, said = run(checkout, LOCAL, "--workflow-profile", "mine")
    assert code == 0, said
    assert "Executor: local; profiles: mine" in said


def test_slurm_without_sbatch_is_refused(checkout, tmp_path):
    for name in ("bash", "which"):  # what Snakemake itself cannot do without
        (tmp_path / name).symlink_to(shutil.which(name))
    said = refused(checkout, SLURM, environment={**os.environ, "PATH": str(tmp_path)})
    assert "there is no sbatch on the path" in said


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--default-resources", "slurm_partition=maim"], "there is no partition 'maim'; expected one of "),
        (["--set-resources", "synthetic:mem_mb=900000"], "synthetic asks for 1 CPUs, 900000 MB and 0 GPU on a node"),
        (["--set-resources", "synthetic:runtime=100"], "synthetic asks for 100 minutes; partition main allows 60"),
        (
            ["--set-resources", "synthetic:gpu=1", "--default-resources", "slurm_partition=pair"],
            "partition pair has none, partitions with GPUs: main",
        ),
    ],
)
def test_what_no_node_can_run_is_refused_before_it_is_submitted(checkout, cluster, arguments, line):
    assert line in refused(checkout, SLURM, *arguments, environment=cluster.environment)
    assert not cluster.run("squeue", "--noheader", "--states=all", "--name=synthetic")


def test_a_sites_own_profile_names_its_partition(checkout, cluster):
    profile = checkout.folder / "profiles/mysite/config.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text(yaml.safe_dump({"default-resources": {"slurm_partition": "pair", "mem_mb": 1000, "runtime": 5}}))
    code, said = run(checkout, SLURM, "--workflow-profile", "mysite", environment=cluster.environment)
    assert code == 0, said
    assert "Executor: slurm; profiles: slurm, mysite" in said
    assert "pair" in cluster.run("squeue", "--noheader", "--states=all", "--format=%P").split()


def test_sbatchs_own_variable_names_the_partition(checkout, cluster):
    said = refused(checkout, SLURM, environment={**cluster.environment, "SBATCH_PARTITION": "mian"})
    assert "there is no partition 'mian'" in said
    assert "did you mean 'main'?" in said


def test_another_executor_submits_the_same_jobs(checkout):
    submit = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", "bash", "--jobs", "1"]
    code, said = run(checkout, submit)
    assert code == 0, said
    assert (checkout.folder / TARGET).exists()


def test_a_folder_that_another_run_uses_is_refused(checkout):
    locks = checkout.folder / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text(f"{TARGET}\n")
    assert "--unlock" in refused(checkout, LOCAL)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_results_that_cannot_be_written_are_refused(checkout):
    (checkout.folder / "results").mkdir(mode=0o500)
    code, said = run(checkout, LOCAL)
    assert code != 0
    assert "cannot be written to; expected a folder for this run's results" in said
