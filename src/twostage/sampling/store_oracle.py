"""The class-conditional oracle of a latent store, one class in memory at a time."""

import torch

from twostage.oracle import Oracle


class StoreOracle:
    """Theorem 2.1 within each class of a ``LatentStore``, mirrored latents included where the store has them.

    Holds the latents of the classes of the last call only, on ``device``: batches sorted by label read each class once.
    """

    def __init__(self, store, device="cpu"):
        self.store = store
        self.device = device
        self._oracles = {}

    def velocity(self, x_t, t, y):
        """Oracle velocity of each sample within its class: x_t (B, C, H, W), t a float or (B,), y (B,) labels."""
        velocity = torch.empty_like(x_t)
        for label, rows in self._classes(y):
            velocity[rows] = self._oracles[label].velocity(x_t[rows], _rows_of(t, rows)).to(x_t.dtype)
        return velocity

    def heaviest(self, x_t, t, y):
        """The training latent of largest weight: its row in the store (B,) int64, and whether it is mirrored (B,)."""
        row, mirrored = torch.empty(len(y), dtype=torch.int64), torch.empty(len(y), dtype=torch.bool)
        for label, rows in self._classes(y):
            index = self._oracles[label].log_weights(x_t[rows], _rows_of(t, rows)).argmax(1).cpu()
            members = self.store.class_slice(label)
            size = members.stop - members.start
            row[rows.cpu()] = members.start + index % size
            mirrored[rows.cpu()] = index >= size
        return row, mirrored

    def _classes(self, y):
        """(label, its rows of the batch); loads the classes that the last call did not use, drops the others."""
        labels = torch.unique(y).tolist()
        self._oracles = {label: self._oracles.get(label) or self._load(label) for label in labels}
        return [(label, torch.nonzero(y == label)[:, 0]) for label in labels]

    def _load(self, label):
        return Oracle(self.store, label, device=self.device)


def _rows_of(t, rows):
    return t[rows] if torch.is_tensor(t) and t.ndim else t
