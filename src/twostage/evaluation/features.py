"""Feature extractors: uint8 images (n, H, W, C) in, float32 features (n, D) out.

``classifier`` is trained by the workflow and downloads nothing; ``inception`` is clean-fid's network behind clean-fid's
resizing; ``dinov2`` comes from timm. A distance is named after its features: only Inception's is called gFID. Inception
also has ADM's spatial features and the weights of its classes, from the same pass.
Images go through the networks in chunks of one size (``twostage.data.chunks``).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from twostage.arguments import as_device
from twostage.data.chunks import budget_mb, chunk_size, in_chunks
from twostage.evaluation.classifier import item_bytes, load_classifier
from twostage.fetch import check_digest, refuse_stand_in
from twostage.finite import finite, finite_weights
from twostage.provenance import PathLike, sha256

DISTANCE_NAMES = {
    "inception": "gFID",
    "dinov2": "Frechet distance (DINOv2)",
    "classifier": "Frechet distance (classifier)",
}
INCEPTION_SIDE = 299
# ADM's spatial features: the first channels of this convolution in a block of Inception, as (row, column, channel).
SPATIAL_BLOCK, SPATIAL_CHANNELS = "mixed_6", 7
MEBIBYTE = 1 << 20
Images: TypeAlias = UInt8[np.ndarray, "n height width colours"]
# NVIDIA's inception-2015-12-05.pt, the TorchScript conversion of the original network that clean-fid downloads.
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
DINOV2 = "vit_base_patch14_dinov2.lvd142m"
DINOV2_SIDE = 224
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FeatureExtractor:
    """``extractor(images)``: uint8 (n, H, W, C) to float32 (n, D).

    name: "classifier", "inception" or "dinov2"; sha256: of the weights; network: function of a uint8 tensor
    (n, H, W, C) on ``device``, gives a tensor (n, D); item_bytes: function of an image's shape (H, W, C), gives a bound
    on the memory of one image in the network, weights apart; both: as network, gives the features and the spatial
    features side by side, (n, D + S), for networks that have these; class_weights: float32 (classes, D), such that a
    softmax of their products with the features gives the classes' probabilities, for networks that have classes.
    Raises ValueError where a feature is not finite.

    >>> mean_colour = FeatureExtractor("classifier", lambda images: images.float().mean((1, 2)), "no weights")
    >>> mean_colour(np.full((5, 8, 8, 3), 100, dtype=np.uint8)).shape
    (5, 3)
    """

    def __init__(
        self,
        name: str,
        network: Callable[[Tensor], Tensor],
        digest: str | None,
        device: str | torch.device = "cpu",
        item_bytes: Callable[[Sequence[int]], int] = math.prod,
        *,
        both: Callable[[Tensor], Tensor] | None = None,
        class_weights: Float32[np.ndarray, "classes dim"] | None = None,
    ) -> None:
        self.name, self.network, self.sha256, self.device = name, network, digest, torch.device(device)
        self.item_bytes, self.both, self.class_weights = item_bytes, both, class_weights

    @property
    def distance_name(self) -> str:
        return DISTANCE_NAMES[self.name]

    def chunk_size(self, image_shape: Sequence[int]) -> int:
        """Images (H, W, C) per pass through the network."""
        return chunk_size(self.item_bytes(image_shape), budget_mb(self.device))

    def __call__(self, images: Images) -> Float32[np.ndarray, "n dim"]:
        return self.of_batches([images])

    def of_batches(self, batches: Iterable[UInt8[np.ndarray, "_ _ _ _"]]) -> Float32[np.ndarray, "total dim"]:
        """Features (N, D) of an iterable of image batches."""
        return self._of_batches(batches, self.network)

    def with_spatial(
        self, batches: Iterable[UInt8[np.ndarray, "_ _ _ _"]]
    ) -> tuple[Float32[np.ndarray, "total dim"], Float32[np.ndarray, "total spatial"] | None]:
        """Features (N, D) and spatial features (N, S) of an iterable of image batches, in one pass; None for the latter
        where the network has none."""
        if self.both is None or self.class_weights is None:
            return self.of_batches(batches), None
        found, width = self._of_batches(batches, self.both), self.class_weights.shape[1]
        return found[:, :width], found[:, width:]

    def _of_batches(self, batches, network):
        what, remedy = f"{self.name} features of a batch of images", "check the network's weights"
        return np.concatenate([finite(self._of(images, network), what, remedy) for images in batches])

    @torch.inference_mode()
    def _of(self, images, network):
        features = lambda chunk: network(chunk.to(self.device)).float()  # noqa: E731
        size = self.chunk_size(images.shape[1:])
        return np.concatenate([found.cpu().numpy() for _, found in in_chunks(features, size, torch.from_numpy(images))])


def classifier(path: PathLike, device: str | torch.device = "cpu") -> FeatureExtractor:
    """The penultimate layer of the classifier in ``path`` (``twostage.evaluation.classifier``)."""
    model = load_classifier(path, device)
    bytes_of = partial(item_bytes, width=model.architecture["width"])
    return FeatureExtractor("classifier", model.features, sha256(path), device, bytes_of)


def inception(
    path: PathLike, device: str | torch.device = "cpu", expected_sha256: str | None = INCEPTION_SHA256
) -> FeatureExtractor:
    """Inception-v3 pool features (2048-d) exactly as clean-fid computes them, from its TorchScript file.

    Its spatial features (2023-d) are ADM's, the first 7 channels of ``mixed_6/conv`` at 17 x 17 places (Nash et al.
    2021; Dhariwal and Nichol 2021); the weights of its 1008 classes are without the bias, as in ADM's evaluator and in
    the Inception score's own code (Salimans et al. 2016). Raises ValueError when the file's digest is not the expected
    one (None: any), or when the file is another network.
    """
    from cleanfid.resize import make_resizer

    digest = _checked_digest(path, expected_sha256)
    try:
        whole = torch.jit.load(str(path), map_location=device).eval()
        layers, class_weights = whole.layers, whole.output.weight.detach().float().cpu().numpy()
        spatial_layer = getattr(layers, SPATIAL_BLOCK).conv
    except (RuntimeError, AttributeError) as error:
        raise ValueError(f"{path} is not clean-fid's TorchScript Inception ({_first_line(error)})") from None
    finite_weights(whole.state_dict(), path, "fetch the file again")
    resize = make_resizer("PIL", False, "bicubic", (INCEPTION_SIDE, INCEPTION_SIDE))
    threads = ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="resize")

    def prepared(images):
        # clean-fid resizes each channel as a float image and does not round: pixels stay in [0, 255].
        resized = np.stack(list(threads.map(resize, _rgb(images).cpu().numpy())))
        x = torch.from_numpy(resized).to(images.device).permute(0, 3, 1, 2)
        return (x - 128) / 128

    def both(images):
        x = prepared(images)
        for name, block in layers.named_children():
            if name == SPATIAL_BLOCK:
                # ADM's order of the numbers, in which its reference batches hold their statistics
                spatial = spatial_layer(x)[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)
            x = block(x)
        return torch.cat([x.flatten(1), spatial], 1)

    features = lambda images: layers(prepared(images)).flatten(1)  # noqa: E731
    return FeatureExtractor(
        "inception", features, digest, device, inception_bytes, both=both, class_weights=class_weights
    )


def dinov2(
    path: PathLike, device: str | torch.device = "cpu", architecture: str = DINOV2, side: int = DINOV2_SIDE
) -> FeatureExtractor:
    """Class-token features of timm's DINOv2 vision transformer.

    path: local weights (safetensors or a checkpoint that timm reads). Images are resized to side x side (bicubic,
    antialiased) and normalised with ImageNet's mean and std. Raises ValueError for a file that holds no such weights.
    """
    import timm

    digest = check_digest(path, None)
    try:
        # As timm loads them: the published weights are for 518 pixels, and their positions are resampled to the side.
        source = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}}
        model = timm.create_model(architecture, num_classes=0, img_size=side, **source).to(device).eval()
    except Exception as error:
        raise ValueError(f"{path} does not hold weights of {architecture} ({_first_line(error)})") from None
    finite_weights(model.state_dict(), path, "fetch the file again")
    mean, std = (torch.tensor(values, device=device).reshape(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))

    def network(images):
        return model((resized_for_dinov2(images, side) - mean) / std)

    return FeatureExtractor("dinov2", network, digest, device, dinov2_bytes)


def resized_for_dinov2(
    images: UInt8[Tensor, "n height width colours"], side: int = DINOV2_SIDE
) -> Float32[Tensor, "n 3 {side} {side}"]:
    """Images uint8 (n, H, W, C) as float32 (n, 3, side, side) in [0, 1]."""
    x = _rgb(images).permute(0, 3, 1, 2).float() / 255
    return torch.nn.functional.interpolate(x, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(
        0, 1
    )


def inception_bytes(image_shape: Sequence[int]) -> int:
    """Bound on the memory of an image (H, W, C) in Inception, weights apart: the image and four of the widest maps."""
    return 24 * MEBIBYTE + math.prod(image_shape)


def dinov2_bytes(image_shape: Sequence[int]) -> int:
    """Bound on the memory of an image (H, W, C) in DINOv2, weights apart: the tokens of three of the widest layers,
    and the image as float32, resized along one side and then the other."""
    return 12 * MEBIBYTE + 20 * math.prod(image_shape)


def load_extractors(
    names: Iterable[str],
    *,
    classifier_path: PathLike | None = None,
    inception_path: PathLike | None = None,
    dinov2_path: PathLike | None = None,
    device: str | torch.device = "cpu",
) -> list[FeatureExtractor]:
    """The named extractors, in order. Raises ValueError for an unknown name, or where an extractor's weights are not
    given."""
    makers = {
        "classifier": (classifier, classifier_path),
        "inception": (inception, inception_path),
        "dinov2": (dinov2, dinov2_path),
    }
    extractors, device = [], as_device(device)
    for name in names:
        if name not in makers:
            raise ValueError(f"features are {name!r}; expected one of {', '.join(makers)}")
        make, path = makers[name]
        if path is None:
            raise ValueError(f"features {name!r} need a weights file; none was given")
        extractors.append(make(path, device))
    return extractors


def _rgb(images):
    return images.expand(*images.shape[:3], 3) if images.shape[3] == 1 else images


def _checked_digest(path, expected):
    refuse_stand_in(path)
    digest = sha256(path)
    if expected is not None and digest != expected:
        raise ValueError(f"{path}: sha256 is {digest}; expected {expected} (another file, or a broken download)")
    return digest


def _first_line(error):
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def batch_size_for(image_shape: Sequence[int]) -> int:
    """Images to read at a time: a power of two, whole chunks, at most 256 images and 256 MiB of pixels."""
    return 1 << (max(1, min(256, (1 << 28) // math.prod(image_shape))).bit_length() - 1)
