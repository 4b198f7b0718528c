"""A small convolutional classifier of the training images: features that need no download."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm

from twostage.arguments import as_device
from twostage.data.chunks import budget_mb, chunk_size, in_chunks
from twostage.evaluation.defaults import BATCH_SIZE, FEATURES, LEARNING_RATE, STEPS, WIDTH
from twostage.evaluation.images import load_split
from twostage.finite import finite, finite_weights
from twostage.provenance import atomic_write, write_json, write_provenance

SMALLEST_SIDE = 2


class Classifier(nn.Module):
    """Blocks of two 3 x 3 convolutions, halving the side and doubling the width, then one hidden layer.

    image_shape: (H, W, C); width: channels of the first block; num_classes: outputs. ``features`` is the activation of
    the hidden layer, 4 x width numbers per image.
    """

    def __init__(self, image_shape, width, num_classes):
        super().__init__()
        side, channels = min(image_shape[:2]), image_shape[2]
        self.architecture = {"image_shape": list(image_shape), "width": width, "num_classes": num_classes}
        blocks, inside = [], width
        while side > SMALLEST_SIDE:
            blocks += [_convolution(channels, inside), _convolution(inside, inside), nn.MaxPool2d(2)]
            channels, inside, side = inside, min(2 * inside, 8 * width), side // 2
        self.blocks = nn.Sequential(*blocks)
        self.hidden = nn.Sequential(
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, FEATURES * width), nn.GELU()
        )
        self.output = nn.Linear(FEATURES * width, num_classes)

    def features(self, images):
        """(n, 4 width) float32 of uint8 images (n, H, W, C)."""
        x = images.permute(0, 3, 1, 2).float() / 127.5 - 1
        return self.hidden(self.blocks(x))

    def forward(self, images):
        return self.output(self.features(images))


def item_bytes(image_shape, width):
    """Bound on the memory of one image (H, W, C) in a classifier, weights apart, float32: five times the image, and
    five maps of the first block, which is the widest."""
    height, width_of_image, channels = image_shape
    return 5 * 4 * height * width_of_image * (channels + width)


def train_classifier(
    dataset, output_dir, *, steps=STEPS, width=WIDTH, batch_size=BATCH_SIZE, lr=LEARNING_RATE, seed=0, device="cpu",
    test_batch=512,
):  # fmt: skip
    """Train a ``Classifier`` and write classifier.safetensors and accuracy.json into ``output_dir``.

    dataset: dict, the arguments of ``twostage.data.datasets.load_dataset`` without the split ("name" and options).
    AdamW with a one-cycle learning rate; images are shifted by up to an eighth of their side. The test images are the
    held-out split. With a single class there is nothing to classify; the task is then to tell by which quarter turn an
    image was rotated, which also gives useful features (Gidaris, Singh, Komodakis 2018); by which half turn, where
    images are not square.
    Returns the content of accuracy.json: task ("classes", "quarter turns" or "half turns"), train_accuracy,
    test_accuracy, train_images, test_images.
    """
    train, held_out = load_split(dataset, "train"), load_split(dataset, "held_out")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # the initial weights
    device = as_device(device)
    turns = _turns(train) if len(train.classes) == 1 else None
    model = Classifier(train.image_shape, width, turns or len(train.classes)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    labels = torch.from_numpy(train.labels)
    model.train()
    order = torch.empty(0, dtype=torch.int64)
    for _ in tqdm(range(steps), desc="classifier", disable=None):
        if len(order) < batch_size:
            order = torch.cat([order, torch.randperm(len(train), generator=generator)])
        batch, order = order[:batch_size], order[batch_size:]
        images, batch = train.usable_images(batch.numpy())
        images, targets = torch.from_numpy(images), labels[batch]
        if turns:
            targets = torch.randint(turns, (len(images),), generator=generator)
            images = _turned(images, targets, turns)
        images = _shifted(images, generator).to(device)
        loss = nn.functional.cross_entropy(model(images), targets.to(device), label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    finite_weights(model.state_dict(), "the trained classifier", "its training diverged: lower its lr")
    accuracy = {
        "task": {None: "classes", 4: "quarter turns", 2: "half turns"}[turns],
        "train_accuracy": _accuracy(model, train, device, test_batch, turns),
        "test_accuracy": _accuracy(model, held_out, device, test_batch, turns),
        "train_images": len(train),
        "test_images": len(held_out),
    }
    recipe = {"steps": steps, "width": width, "batch_size": batch_size, "lr": lr}
    path = Path(output_dir) / "classifier.safetensors"
    tensors = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    # One entry: several would be written in no fixed order, and equal classifiers could then differ in their bytes.
    said = {"architecture": model.architecture, "accuracy": accuracy, "index": train.index}
    header = {"twostage": json.dumps(said, sort_keys=True)}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, header)
        temporary.chmod(0o644)  # safetensors' writer lets only the owner read
    write_provenance(path, config={"dataset": dataset, **recipe}, seed=seed, data=train.fingerprint)
    write_json(path.with_name("accuracy.json"), accuracy | recipe | {"seed": seed})
    write_provenance(path.with_name("accuracy.json"), config={"dataset": dataset, **recipe}, seed=seed, inputs=[path])
    return accuracy


def write_features(dataset, classifier, output, *, device="cpu", batch=512):
    """Write ``features`` of the training images, in the data set's order, as .npy: float32 (N, 4 width).

    dataset: as for ``train_classifier``; classifier: path of the trained one. An aligned autoencoder is trained towards
    these features (``twostage.data.autoencoder``).
    """
    model, train = load_classifier(classifier, device), load_split(dataset, "train")
    found = np.zeros((len(train), model.hidden[2].out_features), dtype=np.float32)  # zeros where an image is left out
    with torch.inference_mode():
        for start in tqdm(range(0, len(train), batch), desc="features", unit="batch", disable=None):
            images, kept = train.usable_images(np.arange(start, min(start + batch, len(train))))
            features = torch.cat([part.cpu() for _, part in _chunks(model, model.features, images, device)]).numpy()
            found[kept] = finite(features, f"{classifier}: features of training images", "train it again", kept)
    with atomic_write(output) as temporary, open(temporary, "wb") as stream:
        np.save(stream, found)
    write_provenance(output, config={"dataset": dataset}, inputs=[classifier], data=train.fingerprint)


def index_of(path):
    """Identity of the index of the images that a classifier was trained on; None where the file does not say."""
    with safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get("twostage", "{}")).get("index")


def load_classifier(path, device="cpu"):
    """The trained ``Classifier`` in eval mode. Raises ValueError, with the file's name, if the file is no classifier or
    holds weights that are not finite."""
    try:
        with safe_open(path, "pt") as file:
            architecture = json.loads(file.metadata()["twostage"])["architecture"]
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model = Classifier(**architecture)
        model.load_state_dict(state)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is not a classifier of this workflow ({error}); train it again") from None
    finite_weights(state, path, "train it again")
    return model.to(as_device(device)).eval()


def _convolution(channels, out):
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.GELU())


def _shifted(images, generator):
    """The batch moved by one random offset, up to an eighth of the side, edges repeated: uint8 (n, H, W, C)."""
    height, width = images.shape[1:3]
    reach = max(1, height // 8)
    down, right = (int(offset) for offset in torch.randint(-reach, reach + 1, (2,), generator=generator))
    rows = (torch.arange(height) + down).clamp(0, height - 1)
    columns = (torch.arange(width) + right).clamp(0, width - 1)
    return images[:, rows][:, :, columns]


def _turns(dataset):
    """Number of rotations that leave the images' shape as it is."""
    height, width, _ = dataset.image_shape
    return 4 if height == width else 2


def _turned(images, targets, turns):
    """Images uint8 (n, H, W, C), each turned by its number (n,) of ``turns``-th parts of a circle."""
    return torch.stack([torch.rot90(image, int(target) * 4 // turns) for image, target in zip(images, targets)])


def _chunks(model, network, images, device):
    """``twostage.data.chunks.in_chunks`` of images uint8 (n, H, W, C) through a part of the classifier."""
    size = chunk_size(item_bytes(images.shape[1:], model.architecture["width"]), budget_mb(device))
    return in_chunks(lambda chunk: network(chunk.to(device)), size, torch.as_tensor(images))


def _accuracy(model, dataset, device, batch, turns=None):
    model.eval()
    right = seen = 0
    with torch.inference_mode():
        for start in range(0, len(dataset), batch):
            index = np.arange(start, min(start + batch, len(dataset)))
            images, index = dataset.usable_images(index)
            images, targets = torch.from_numpy(images), torch.from_numpy(dataset.labels[index])
            if turns:
                targets = torch.from_numpy(index % turns)
                images = _turned(images, targets, turns)
            found = torch.cat([scores.argmax(1).cpu() for _, scores in _chunks(model, model, images, device)])
            right += (found == targets).sum().item()
            seen += len(index)
    return float(right / seen)
