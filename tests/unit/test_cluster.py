"""What a cluster could never run is said before it is submitted, by what sinfo prints."""

import pytest

from twostage.cluster import (
    ClusterError,
    Request,
    gpus_in_gres,
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
        ({"partition": "short, gpu"}, None),
        (
            {"partition": "gpu,shrt"},
            "there is no partition 'shrt'; expected one of main, gpu, short, old; did you mean 'short'",
        ),
        ({"partition": "main,short"}, "asks for 480 minutes; partitions main, short allows 30"),
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


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("(null)", None),
        ("", None),
        ("gpu", 1),
        ("gpu:4", 4),
        ("gpu:0", 0),
        ("gpu:2080ti", 1),
        ("gpu:2080ti:4(S:0-1)", 4),
        ("gpu:h100:4(S:0,2-3)", 4),
        ("gpu:a100_1g.5gb:7", 7),
        ("gpu:nvidia_a100_3g.20gb:2(S:0),gpu:a100:1", 3),
        ("gres/gpu:h100:2", 2),
        ("gpu:tesla:no_consume:2,mps:200", 2),
        ("shard:8,gpus:3", None),
    ],
)
def test_kinds_of_gpus_may_have_digits_and_dots(gres, gpus):
    assert gpus_in_gres(gres) == gpus


def test_gpus_by_their_kind_and_lists_of_partitions_are_requests():
    assert Request.of("train", 8, {"gpu": "a100:2", "slurm_partition": "gpu,short"}).gpus == 2
    assert Request.of("train", 8, {"gpu": "a100:4,2080ti:2", "nodes": 2}).gpus == 3
    assert Request.of("train", 8, {"gpu": 2, "gpu_model": "a100"}).gpus == 2
    assert Request.of("train", 8, {"gpu": 2, "gres": "nvme:1"}).gpus == 2


def test_forms_that_are_not_known_are_let_through():
    odd = {"gpu": "all", "mem_mb": "lots", "runtime": "<TBD>", "nodes": "1-2"}
    request = Request.of("train", 8, odd)
    assert request == Request("train", 8, 0, 0, None)
    assert problem(request, offers_of("node1|main*|many|plenty|gpu:?|n/a\n")) is None


def test_no_sbatch_is_said_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=r"there is no sbatch on the path; .*leave --profile slurm out"):
        refuse_impossible([FITS])


def test_partition_and_account_come_from_sbatchs_own_variables(monkeypatch):
    monkeypatch.setenv("SBATCH_PARTITION", "gpu")
    monkeypatch.delenv("SBATCH_ACCOUNT", raising=False)
    assert partition_from_environment() == {"slurm_partition": "gpu"}
