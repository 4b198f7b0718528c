"""What a cluster could never run is said before it is submitted, by what sinfo prints."""

import pytest

from twostage.cluster import (
    ClusterError,
    Request,
    minutes_of,
    offers_of,
    partition_from_environment,
    problem,
    refuse_impossible,
)

SINFO = """\
cpu1|main*|64|256000|(null)|1-00:00:00
cpu2|main*|32|128000|(null)|1-00:00:00
gpu1|gpu|48|512000|gpu:h100:4(S:0-1)|8:00:00
gpu1|short|48|512000|gpu:h100:4(S:0-1)|30:00
old1|old|8|32000+|gpu|infinite
"""
FITS = Request("train_XL", cpus=8, mem_mb=64000, gpus=2, minutes=480, partition="gpu")


def test_offers_are_read_from_sinfo():
    offers = offers_of(SINFO)
    assert [offer.gpus for offer in offers] == [0, 0, 4, 4, 1]
    assert [offer.default for offer in offers] == [True, True, False, False, False]
    assert [offer.minutes for offer in offers] == [1440, 1440, 480, 30, float("inf")]
    assert offers[4].mem_mb == 32000


@pytest.mark.parametrize(
    ("limit", "minutes"), [("30:00", 30), ("2:00:00", 120), ("1-12:00:00", 2160), ("infinite", float("inf"))]
)
def test_time_limits_are_minutes(limit, minutes):
    assert minutes_of(limit) == minutes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        (
            {"partition": "gpus"},
            "there is no partition 'gpus'; expected one of main, gpu, short, old; did you mean 'gpu'",
        ),
        ({"partition": None}, "asks for 2 GPU; partition main has none, partitions with GPUs: gpu, short, old"),
        ({"gpus": 8}, "asks for 8 CPUs, 64000 MB and 8 GPU on a node; the largest of partition gpu has 48 CPUs"),
        ({"mem_mb": 600000}, "the largest of partition gpu has 48 CPUs, 512000 MB and 4 GPU"),
        ({"partition": "short"}, "asks for 480 minutes; partition short allows 30; ask for less under `jobs`"),
        ({"partition": None, "gpus": 0, "cpus": 65}, "the largest of partition main has 64 CPUs, 256000 MB"),
    ],
)
def test_a_request_is_refused_with_what_would_fit(changes, said):
    found = problem(Request(**{**vars(FITS), **changes}), offers_of(SINFO))
    assert found is None if said is None else said in found


def test_requests_come_from_a_rules_resources():
    asked = {"mem_mb": 9000, "runtime": 60, "gpu": 4, "nodes": 2, "slurm_partition": "gpu"}
    assert Request.of("train", 8, asked) == Request("train", 8, 9000, 2, 60, "gpu")
    assert Request.of("train", 8, {"gpu": 0, "gres": "gpu:a100:3"}).gpus == 3


def test_no_sbatch_is_said_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=r"there is no sbatch on the path; .*leave --profile slurm out"):
        refuse_impossible([FITS])


def test_partition_and_account_come_from_sbatchs_own_variables(monkeypatch):
    monkeypatch.setenv("SBATCH_PARTITION", "gpu")
    monkeypatch.delenv("SBATCH_ACCOUNT", raising=False)
    assert partition_from_environment() == {"slurm_partition": "gpu"}
