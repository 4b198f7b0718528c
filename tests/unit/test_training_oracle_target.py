"""The oracle as a target: every process's share of it against the oracle of one, what is skipped, what is read."""

import json
import multiprocessing
import os
import socket
from contextlib import closing

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_examples import ARCHITECTURE, ATTRIBUTES, RECIPE, write_latents

from twostage.data.latents import LatentStore, write_store
from twostage.flow import interpolate, velocity_target
from twostage.oracle import Oracle
from twostage.training.loop import train
from twostage.training.objective import Draw, Objective
from twostage.training.oracle_target import LAST, OracleTarget, combine, owners, share_after
from twostage.training.processes import Processes

COUNTS = (12, 9, 1, 6)
BATCH = 48


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Latents (28, 2, 4, 4) with mirrored ones: copies in a class and of another class, a near-duplicate, a symmetry.

    The classes lie far apart and are told apart early, so that there is something to skip.
    """
    random, labels = np.random.default_rng(3), np.repeat(np.arange(4), COUNTS)
    latents = random.standard_normal((28, 2, 4, 4)).astype(np.float32) + labels[:, None, None, None]
    latents[4], latents[14], latents[27] = latents[2], latents[3], latents[8]
    latents[16] = latents[15] + 1e-4 * random.standard_normal((2, 4, 4))
    latents[17] = (latents[17] + latents[17, ..., ::-1]) / 2
    path = tmp_path_factory.mktemp("store") / "latents.h5"
    with write_store(path, len(labels), (2, 4, 4), flips=True) as writer:
        writer.write(0, latents, latents[..., ::-1])
        writer.finish(labels, np.arange(len(labels)), 4, ATTRIBUTES)
    return path


class Case:
    """A batch at every kind of time, a third of its labels dropped."""

    def __init__(self, path):
        self.store, generator = LatentStore.open(path), torch.Generator().manual_seed(2)
        everything = self.store.class_data()
        self.rows = torch.randperm(len(everything), generator=generator)[:BATCH]
        self.x_1 = everything[self.rows]
        self.labels = torch.from_numpy(self.store.labels)[self.rows % len(self.store)]
        t = torch.linspace(0, 1, BATCH)[torch.randperm(BATCH, generator=generator)]
        t[:2] = torch.tensor([1 - 2.0**-24, 0.999])
        x_0 = torch.randn(self.x_1.shape, generator=generator)
        self.draw = Draw(x_0, t, torch.arange(BATCH) % 3 == 0)
        self.x_t, self.u = interpolate(x_0, self.x_1, t), velocity_target(x_0, self.x_1)
        self.y = torch.where(self.draw.dropped, 4, self.labels)

    def ask(self, target, part=slice(None)):
        return target(self.u[part], self.x_t[part], self.draw.t[part], self.y[part], self.rows[part])

    def exact(self, x_t, dtype):
        """The oracle velocity at every point, of the class or of all."""
        found = torch.empty(self.u.shape, dtype=dtype)
        for label in range(5):
            chosen = self.y == label
            oracle = Oracle(self.store.class_data(label if label < 4 else None).to(dtype))
            found[chosen] = oracle.velocity(x_t[chosen], self.draw.t[chosen].double().clamp(max=LAST)).to(dtype)
        return found


def in_processes(count, work, *arguments):
    """``work(*arguments)`` in as many processes, joined as torchrun joins them: the list of what they return."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Not forked from this process, whose autograd may have threads by now: a fork of those cannot train.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["twostage.training.loop", "torch._dynamo", __name__])
    pipes = [context.Pipe(duplex=False) for _ in range(count)]
    started = [
        context.Process(target=_become, args=(rank, count, port, pipe, work, arguments))
        for rank, (_, pipe) in enumerate(pipes)
    ]
    for process, (_, theirs) in zip(started, pipes):
        process.start()
        theirs.close()  # so that one that fails is not waited for
    found = [mine.recv() if mine.poll(600) else None for mine, _ in pipes]
    for process in started:
        process.join(10)
    assert [process.exitcode for process in started] == [0] * count
    return found


def _become(rank, count, port, pipe, work, arguments):
    torch.set_num_threads(1)
    os.environ |= {"WORLD_SIZE": str(count), "RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    pipe.send(work(*arguments))


def share_of_target(path):
    """What one of several processes finds, owns and reads."""
    processes, case, read = Processes("cpu"), Case(path), []
    plain = case.store.read
    case.store.read = lambda rows, *others, **named: (read.append(rows), plain(rows, *others, **named))[1]
    target = OracleTarget(case.store, processes, class_drop=0.3)
    share = processes.share(BATCH, 1)
    part = slice(processes.rank * share, (processes.rank + 1) * share)
    found = case.ask(target, part)
    loss, _ = Objective(4).loss(lambda x, t, y: 0.5 * x, case.x_1[part], case.labels[part], case.draw.part(part), found)
    processes.mean_(loss)
    processes.close()
    owned = np.unique(case.store.labels[target.owned.places.numpy() % len(case.store)])
    return {
        "target": found.numpy(),
        "loss": loss.item(),
        "settled": target.settled.numpy(),
        "owned": owned.tolist(),
        "read": sorted({int(case.store.labels[row]) for rows in read for row in range(rows.start, rows.stop)}),
        "bytes": target.owned.rows.nbytes,
    }


@pytest.fixture(scope="module")
def alone(path):
    return share_of_target(path)


def test_the_target_is_the_exact_oracle_velocity(path, alone):
    case, found = Case(path), torch.from_numpy(alone["target"])
    settled = torch.from_numpy(alone["settled"])[(case.y == 4).long(), case.rows]
    skipped = case.draw.t >= settled
    assert 6 < skipped.sum() < BATCH - 20
    assert (skipped & case.draw.dropped).any()
    torch.testing.assert_close(found[~skipped], case.exact(case.x_t, torch.float32)[~skipped], rtol=1e-6, atol=1e-6)
    # Where nothing was computed, float64 on the unrounded path says the same.
    path_64 = interpolate(case.draw.x_0.double(), case.x_1.double(), case.draw.t.double())
    exact = case.exact(path_64, torch.float64)[skipped]
    spacing = torch.finfo(torch.float32).eps * exact.abs().clamp(min=0.5)
    last = case.draw.t[skipped] > LAST  # the oracle is asked at LAST, these lie beyond
    assert ((found[skipped].double() - exact).abs() <= spacing)[~last].all()
    assert torch.equal(found[skipped], case.u[skipped])


def test_an_image_without_another_in_its_class_is_its_own_target(path, alone):
    assert (alone["settled"][0, [21, 28 + 21]] > 0).all()  # it and its mirror image are two
    store = LatentStore.open(write_latents(path.parent / "alone.h5", counts=(1, 6)))
    target = OracleTarget(store, Processes("cpu"))
    assert target.settled[0].tolist()[0] == 0 < target.settled[0, 1:].min()
    assert (target.settled[1] > 1).all()  # no class is ever dropped: nothing is known of all samples


@pytest.mark.parametrize("count", [2, 4])
def test_processes_have_the_target_and_the_loss_of_one(path, alone, count):
    found = in_processes(count, share_of_target, path)
    target = np.concatenate([each["target"] for each in found])
    np.testing.assert_allclose(target, alone["target"], rtol=1e-6, atol=1e-6)
    for each in found:
        assert each["loss"] == pytest.approx(alone["loss"], rel=1e-6)
        np.testing.assert_allclose(each["settled"], alone["settled"], rtol=1e-5)  # bounds, about centres of their own
        assert each["read"] == each["owned"]
    assert sorted(label for each in found for label in each["owned"]) == [0, 1, 2, 3]
    total, largest = alone["bytes"], 2 * max(COUNTS) * 32 * 4
    assert sum(each["bytes"] for each in found) == total
    assert max(each["bytes"] for each in found) <= max(total / count + largest / 2, largest)


def test_more_processes_than_classes(path, tmp_path):
    few = write_latents(tmp_path / "latents.h5", counts=(28,), flips=True)
    found = in_processes(2, losses_of_one_class, few)
    assert found[0] == found[1] == pytest.approx(losses_of_one_class(few), rel=1e-6)


def losses_of_one_class(path):
    processes, store = Processes("cpu"), LatentStore.open(path)
    target = OracleTarget(store, processes, class_drop=0.5)
    share, x_1 = processes.share(28, 1), store.class_data()
    part = slice(processes.rank * share, (processes.rank + 1) * share)
    draw = Draw(torch.ones_like(x_1[:28]), torch.linspace(0, 1, 28), torch.arange(28) % 2 == 0).part(part)
    rows, x_1, labels = torch.arange(28)[part], x_1[:28][part], torch.zeros(share, dtype=torch.int64)
    x_t, u = interpolate(draw.x_0, x_1, draw.t), velocity_target(draw.x_0, x_1)
    loss = target(u, x_t, draw.t, draw.drop(labels, 1), rows).square().mean()
    processes.mean_(loss)
    processes.close()
    return loss.item()


def test_autocast_changes_no_bit_of_the_target(path, alone):
    case = Case(path)
    target = OracleTarget(case.store, Processes("cpu"), class_drop=0.3)
    with torch.autocast("cpu", torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
        found = case.ask(target)
        losses = Objective(4).loss(lambda x, t, y: 0.5 * x, case.x_1, case.labels, case.draw, found)
    assert found.dtype == torch.float32
    assert np.array_equal(found.numpy(), alone["target"])
    assert losses[0].item() == alone["loss"]


def test_two_processes_train_as_one_on_the_oracle(tmp_path):
    latents = write_latents(tmp_path / "latents.h5", flips=True)
    recipe = {**RECIPE, "target": "oracle", "class_drop": 0.3}
    train(latents, ARCHITECTURE, recipe, tmp_path / "one")
    in_processes(2, train_quietly, latents, recipe, tmp_path / "two")
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "stats.jsonl").read_text("utf-8").splitlines()]
        for name in ("one", "two")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    one, two = (load_file(tmp_path / name / "step-0000012.safetensors") for name in ("one", "two"))
    assert all(torch.allclose(one[name], two[name], rtol=1e-3, atol=1e-3) for name in one)


def train_quietly(latents, recipe, output):
    return train(latents, ARCHITECTURE, recipe, output)


def test_the_log_says_what_share_needs_no_oracle(tmp_path, capfd):
    latents = write_latents(tmp_path / "latents.h5", flips=True)
    train(latents, ARCHITECTURE, {**RECIPE, "target": "oracle", "steps": 1, "snapshots": []}, tmp_path / "run")
    store = LatentStore.open(latents)
    labelled, dropped = OracleTarget(store, Processes("cpu"), 0.1).shares
    assert 0 < labelled < 1
    line = json.loads((tmp_path / "run" / "stats.jsonl").read_text("utf-8"))
    assert 0 < line["oracle_seconds"] < line["seconds"]
    assert f"for {labelled:.1%} of the samples with a class, {dropped:.1%} of those" in capfd.readouterr().err


def test_classes_are_owned_in_even_shares():
    assert owners([5, 1, 4, 2], 1).tolist() == [0, 0, 0, 0]
    sizes = np.random.default_rng(0).integers(700, 1301, 1000)
    load = np.bincount(owners(sizes, 8), sizes)
    assert load.max() - load.min() < 20
    assert owners([5, 1], 4).tolist() == [0, 1]


def test_answers_are_combined_by_their_evidence():
    point, evidence = torch.tensor([0, 1, 0, 1]), torch.tensor([1e5, -1e5, 1e5 + np.log(3), -torch.inf]).double()
    velocity = torch.tensor([[4.0, 0.0], [1.0, 2.0], [8.0, 4.0], [0.0, 0.0]])
    torch.testing.assert_close(combine(point, 2, velocity, evidence), torch.tensor([[7.0, 3.0], [1.0, 2.0]]))


def test_shares_of_the_draws_after_a_time():
    times = np.array([0.0, 0.25, 2.0], dtype=np.float32)
    assert share_after(times, "uniform") == pytest.approx((1 + 0.75 + 0) / 3)
    drawn = torch.randn(100_000, generator=torch.Generator().manual_seed(0)).sigmoid().numpy()
    expected = np.mean([(drawn >= time).mean() for time in times])
    assert share_after(times, "lognormal") == pytest.approx(expected, abs=2e-3)
