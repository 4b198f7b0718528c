"""The oracle velocity as a regression target (App. B), computed by all processes of a training together.

The paper calls this supervision impractical at scale (Sec. 7.3). Three things make it practical:

- Each process owns some of the classes and reads only these, so that the processes together hold the store in memory
  once. Points are sent to the owner of their class, and targets are sent back: one exchange each way.
- A point whose class is dropped has the velocity over all samples. Every owner computes its part for the samples that
  it has, and the parts are combined by their evidences, exactly (``Oracle.part_of_velocity``). The evidence of the
  point's own x_1 is sent with it; beside it most samples soon weigh nothing.
- Past the transition the target is x_1 - x_0 to within rounding, and no oracle is computed
  (``twostage.oracle.settled``).
"""

import numpy as np
import torch
from scipy.special import logit, ndtr

from twostage.oracle import Oracle
from twostage.oracle.grouped import GroupedOracle, to_device
from twostage.oracle.settled import NEVER, block_size, blocks_of, nearest_other, settled_times
from twostage.training.stopwatch import Stopwatch

LAST = 1 - 1e-6  # the oracle's velocity has no value of its own at t = 1, which float32 times can round to
BUDGET_MB = 1024  # working memory of a process, beyond the samples that it owns


class OracleTarget:
    """The oracle velocity of the label's class, or of all samples for the label ``num_classes``, as a target.

    store: the training set's LatentStore; processes: those of the training, which make and call the target together;
    class_drop: the share of labels that are dropped (0: no label is dropped); time: as in ``Draws``.
    shares: (labelled, dropped), the expected shares of samples whose target needs no oracle; stopwatch: measures the
    time that targets take.
    """

    def __init__(self, store, processes, class_drop=0.0, time="uniform"):
        self.processes, self.num_classes = processes, store.num_classes
        self.stopwatch = Stopwatch(processes.device)
        twice = 2 if store.has_flips else 1
        sizes = twice * np.diff(store.class_offsets)
        owner = owners(sizes, processes.count)
        mine = np.flatnonzero((owner == processes.rank) & (sizes > 0))
        self.owned = OwnedClasses(store, mine, processes.device)
        self.owner = torch.from_numpy(np.append(owner, -1))  # dropped labels have no owner
        self.settled = self._settled(twice * len(store), np.bincount(owner, sizes, processes.count), class_drop)
        self.shares = tuple(share_after(times.cpu().numpy(), time) for times in self.settled)

    def _settled(self, count, owned, class_drop):
        """The times from which no oracle is needed, float32 (2, rows): for a sample with its label, and without."""
        own, settled = self.owned, torch.zeros(2, count, device=self.processes.device)
        for places, rows in own.by_class():
            times = settled_times(nearest_other(rows, blocks_of(rows, BUDGET_MB), budget_mb=BUDGET_MB), len(rows))
            settled[0, places] = times.to(settled.device)
        if class_drop:
            size = block_size(own.rows.shape[1], BUDGET_MB)
            blocks = self.processes.each_broadcast(own.rows, size, owned.astype(int).tolist())
            times = settled_times(nearest_other(own.rows, blocks, budget_mb=BUDGET_MB), count)
            settled[1, own.places] = times.to(settled.device)
        else:
            settled[1, own.places] = NEVER
        return self.processes.sum_(settled)

    def remark(self):
        """A sentence on the shares for the training's log."""
        labelled, dropped = (f"{share:.1%}" for share in self.shares)
        return (
            f"oracle target: for {labelled} of the samples with a class, {dropped} of those whose class is dropped, "
            "it is x_1 - x_0 to within rounding and nothing is computed (for `estimate`, set its key oracle_skipped)"
        )

    @torch.no_grad()
    def __call__(self, conditional, x_t, t, y, rows):
        """The target, float32 like x_t (B, C, H, W), also under autocast.

        conditional: x_1 - x_0, which is the target where no oracle is needed; t: (B,); y: (B,) labels; rows: (B,)
        positions in the training set, mirrored images after the plain ones. Every process makes the same number of
        calls. The host waits for a GPU three times: to know which points need the oracle, in the answer to points with
        a class, and in the answer to the other points.
        """
        with self.stopwatch, torch.autocast(x_t.device.type, enabled=False):
            target = conditional.float()
            until = self.settled[(y == self.num_classes).long(), rows.to(y.device)]
            needed, y = torch.stack([(t < until).to(y), y]).cpu()
            asked = needed.nonzero()[:, 0]
            y, asked = y[asked], to_device(asked, t.device)
            x_t, t = x_t[asked].float().flatten(1), t[asked].float().clamp(max=LAST)
            # the log-evidence of x_1 alone is -|x_0|^2 / 2: owners whose samples are nothing beside it need no sums
            x_0 = torch.addcmul(x_t, t[:, None], target[asked].flatten(1), value=-1)
            found = self._ask(x_t, t, x_0.square().sum(1) / -2, y)
            return target.index_copy(0, asked, found.reshape(len(asked), *target.shape[1:]))

    def _ask(self, x_t, t, known, y):
        """Oracle velocities (n, D) float32 at points of this process, from the owners of their classes.

        known: (n,) log-evidence that each has at least; y: on the CPU, where who answers what is known without waiting
        for a GPU.
        """
        to = (self.owner[y] == torch.arange(self.processes.count)[:, None]) | (y == self.num_classes)
        point = to.nonzero()[:, 1]  # in the order of the ranks that they go to
        sent = to.sum(1).tolist()
        received = self.processes.counts_for(sent)
        labels = self.processes.exchange(y[point], sent, received)
        point = to_device(point, x_t.device)
        packed = self.processes.exchange(torch.cat([x_t, t[:, None], known[:, None]], 1)[point], sent, received)
        velocity, evidence = self.owned.answer(packed[:, :-2], packed[:, -2], packed[:, -1], labels)
        # the bits of a float64 as two float32
        answers = torch.cat([velocity, evidence[:, None].view(torch.float32)], 1)
        answers = self.processes.exchange(answers, received, sent)
        return combine(point, len(x_t), answers[:, :-2], answers[:, -2:].contiguous().view(torch.float64)[:, 0])


class OwnedClasses:
    """The samples of some classes, class by class, and the oracles over them.

    rows: (n, D) float32 on the device; places: (n,) their positions in the training set; labels: the classes' numbers.
    """

    def __init__(self, store, labels, device):
        twice, dim = 2 if store.has_flips else 1, int(np.prod(store.shape[1:]))
        slices = [store.class_slice(label) for label in labels]
        ends = np.cumsum([0, *(twice * (part.stop - part.start) for part in slices)])
        self.parts = [slice(start, stop) for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist())]
        self.rows = torch.empty(int(ends[-1]), dim, device=device)
        self.places = torch.empty(len(self.rows), dtype=torch.int64)
        for label, part, plain in zip(labels, self.parts, slices):
            self.rows[part] = store.class_data(label).flatten(1).to(device)
            places = torch.arange(plain.start, plain.stop)
            self.places[part] = torch.cat([places + len(store) * flipped for flipped in range(twice)])
        self.places = self.places.to(device)
        self.num_classes = store.num_classes
        self.number = torch.full((store.num_classes + 1,), -1)  # of a class among the parts
        self.number[torch.from_numpy(np.asarray(labels, dtype=np.int64))] = torch.arange(len(labels))
        self.of_class = GroupedOracle(self.rows, self.parts, BUDGET_MB) if len(labels) else None
        self.of_all = Oracle(self.rows, budget_mb=BUDGET_MB) if len(labels) else None

    def by_class(self):
        """Yield (positions in the training set (m,), rows (m, D)) of each class."""
        for part in self.parts:
            yield self.places[part], self.rows[part]

    def answer(self, x_t, t, known, y):
        """(velocity (n, D) float32, log-evidence (n,) float64) of these samples at points of these classes.

        known: (n,), see ``Oracle.part_of_velocity``; y: (n,) on the CPU. Points labelled ``num_classes`` are of all
        samples here, and have an evidence; that of the others is 0.
        """
        velocity, evidence = torch.zeros_like(x_t), torch.zeros(len(x_t), dtype=torch.float64, device=x_t.device)
        if self.of_all is None:  # more processes than classes: what comes here is of no class
            return velocity, evidence.fill_(-torch.inf)
        dropped = y == self.num_classes
        of_class, everywhere = (to_device(part.nonzero()[:, 0], x_t.device) for part in (~dropped, dropped))
        if len(of_class):
            found = self.of_class.velocity(x_t[of_class], t[of_class], self.number[y[~dropped]])
            velocity.index_copy_(0, of_class, found)
        if len(everywhere):
            found, log_evidence = self.of_all.part_of_velocity(
                x_t[everywhere], t[everywhere], known[everywhere].double()
            )
            velocity.index_copy_(0, everywhere, found)
            evidence.index_copy_(0, everywhere, log_evidence)
        return velocity, evidence


def combine(point, count, velocity, evidence):
    """The mean velocity of each point, weighted by the softmax of the log-evidences: (count, D) like ``velocity``.

    point: (m,) which point each answer is of; velocity: (m, D); evidence: (m,) float64.
    """
    peak = evidence.new_full((count,), -torch.inf).scatter_reduce(0, point, evidence, "amax")
    weight = (evidence - peak[point]).exp_()
    weight /= evidence.new_zeros(count).index_add_(0, point, weight)[point]
    mean = torch.zeros(count, velocity.shape[1], dtype=torch.float64, device=velocity.device)
    return mean.index_add_(0, point, weight[:, None] * velocity).to(velocity)


def owners(sizes, count):
    """Which of ``count`` processes owns each class: int64 (K,). The largest class goes first, to the process that has
    the fewest samples so far."""
    owner, load = np.zeros(len(sizes), dtype=np.int64), np.zeros(count)
    for label in np.argsort(-np.asarray(sizes), kind="stable"):
        owner[label] = load.argmin()
        load[owner[label]] += sizes[label]
    return owner


def share_after(times, time):
    """The mean share of draws of t (``time``: "uniform" or "lognormal", see ``Draws``) at or after ``times`` (n,)."""
    times = np.minimum(times.astype(float), 1.0)
    with np.errstate(divide="ignore"):
        return float((1 - times if time == "uniform" else ndtr(-logit(times))).mean())
