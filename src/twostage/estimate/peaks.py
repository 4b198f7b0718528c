"""Peak GPU memory of networks at their true shapes, in bytes, counted on fake tensors, which hold no numbers.

Weights and what is alive beside them. What is not counted, the CUDA context and kernels' workspaces, is
``memory.CONTEXT``. A training is counted without torch.compile, which saves less for the backward pass.
"""

from functools import cache

from twostage.estimate.networks import autoencoder_maker, classifier_maker, lightningdit_maker, make_dinov2


def forward_peak(make, *inputs, call=None):
    """Peak of a pass without gradients of the module that ``make`` builds, the module included.

    inputs: functions that make its inputs, which count too; call: function of the module and them, unless forward.
    """
    import torch

    from twostage.testing.peak_memory import Peak, on_fake_gpu

    with torch.device("meta"):
        module = make().eval()
    with on_fake_gpu(), torch.no_grad(), Peak("cuda") as peak:
        for part in module.modules():  # by hand: the mode converts no tensors that were made outside
            for held in (part._parameters, part._buffers):
                held.update({name: _like(tensor) for name, tensor in held.items() if tensor is not None})
        (call or type(module).__call__)(module, *(make_input().to("cuda") for make_input in inputs))
    return peak.bytes


def _like(tensor):
    import torch

    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")


@cache
def autoencoder_peaks(kind, image_shape, latent_shape, channels, size):
    """Peaks (encoding, decoding) of ``size`` images at a time; arguments as of ``networks.autoencoder_flops``."""
    if kind in ("identity", "none"):
        return 0, 0
    import torch

    height, width, image_channels = image_shape
    make = autoencoder_maker(kind, image_shape, latent_shape, channels)
    images, latents = lambda: torch.empty(size, image_channels, height, width), lambda: torch.empty(size, *latent_shape)
    return (
        forward_peak(make, images, call=lambda module, x: module.encode(x)),
        forward_peak(make, latents, call=lambda module, z: module.decode(z)),
    )


@cache
def classifier_peak(image_shape, width, classes, size):
    """Peak of the workflow's classifier on ``size`` images at a time."""
    import torch

    images = lambda: torch.empty(size, *image_shape, dtype=torch.uint8)  # noqa: E731
    return forward_peak(classifier_maker(image_shape, width, classes), images)


@cache
def inception_peak(image_shape, size):
    """Peak of Inception-v3 on ``size`` images at a time: torchvision's, whose layers are as wide as clean-fid's."""
    import torch
    import torchvision

    from twostage.evaluation.features import INCEPTION_SIDE

    images = lambda: torch.empty(size, *image_shape, dtype=torch.uint8)  # noqa: E731
    resized = lambda: torch.empty(size, 3, INCEPTION_SIDE, INCEPTION_SIDE)  # noqa: E731
    make = lambda: torchvision.models.inception_v3(aux_logits=False, init_weights=False)  # noqa: E731
    return forward_peak(make, images, resized, call=lambda module, _, x: module((x - 128) / 128))


@cache
def dinov2_peak(image_shape, size):
    """Peak of DINOv2 on ``size`` images at a time."""
    import torch

    from twostage.evaluation.features import resized_for_dinov2

    images = lambda: torch.empty(size, *image_shape, dtype=torch.uint8)  # noqa: E731
    return forward_peak(make_dinov2, images, call=lambda module, x: module(resized_for_dinov2(x) - 0.5))


@cache
def velocity_peak(latent_shape, patch_size, hidden_size, num_heads, batch):
    """Peak of one evaluation of a LightningDiT of one block, in float32: deeper ones take their weights besides."""
    import torch

    make = lightningdit_maker(latent_shape, 1, patch_size, hidden_size, 1, num_heads)
    inputs = lambda: torch.empty(batch, *latent_shape), lambda: torch.empty(batch), lambda: torch.zeros(batch).long()
    return forward_peak(make, *inputs)


def training_peak(latent_shape, patch_size, hidden_size, depth, num_heads, classes, **step):
    """Peak of a training step of a LightningDiT on one GPU: weights, average, AdamW's moments, gradients, activations.

    step: batch (samples at a time on this GPU), bf16, checkpoints (``activation_checkpointing``). Blocks are all alike:
    one and two of them are counted, the others take what the second adds.
    """
    sizes = latent_shape, patch_size, hidden_size, num_heads, classes
    one, two = (_training_peak(*sizes, depth=few, **step) for few in (1, 2))
    return one + (depth - 1) * (two - one)


@cache
def _training_peak(
    latent_shape, patch_size, hidden_size, num_heads, classes, *, depth, batch, bf16=True, checkpoints=False
):
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from twostage.flow import interpolate, velocity_target
    from twostage.testing.peak_memory import Peak

    make = lightningdit_maker(latent_shape, classes, patch_size, hidden_size, depth, num_heads, class_drop=0.0)
    # On fake tensors of a CPU: on those of a GPU, autograd asks for its driver.
    with FakeTensorMode(), Peak() as peak:
        model = make().train()
        model.checkpoint_activations = checkpoints
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        average = [weight.detach().clone() for weight in weights]
        optimizer = torch.optim.AdamW(weights, fused=True)
        for weight in weights:  # a first step, for the moments to be there
            weight.grad = torch.zeros_like(weight)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        x_0, x_1, t = torch.empty(batch, *latent_shape), torch.empty(batch, *latent_shape), torch.empty(batch)
        y = torch.zeros(batch, dtype=torch.int64)
        x_t, target = interpolate(x_0, x_1, t), velocity_target(x_0, x_1)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            velocity = model(x_t, t, y).float()
            loss = torch.nn.functional.mse_loss(velocity, target)
        loss.backward()
        norm = torch.nn.utils.get_total_norm([weight.grad for weight in weights])
        torch.nn.utils.clip_grads_with_norm_(weights, 1.0, norm)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, weights, 1e-4)
    return peak.bytes


@cache
def autoencoder_training_peak(image_shape, latent_shape, channels, batch):
    """Peak of a training step of the workflow's own autoencoder."""
    import torch

    def loss(network, images):
        posterior = network.encode(images).latent_dist
        return (network.decode(posterior.mean + posterior.std).sample - images).square().mean()

    height, width, image_channels = image_shape
    make = autoencoder_maker("kl", image_shape, latent_shape, channels)
    return _step_peak(make, lambda: torch.empty(batch, image_channels, height, width), loss)


@cache
def classifier_training_peak(image_shape, width, classes, batch):
    """Peak of a training step of the workflow's classifier."""
    import torch

    images = lambda: torch.empty(batch, *image_shape, dtype=torch.uint8)  # noqa: E731
    make = classifier_maker(image_shape, width, classes)
    return _step_peak(make, images, lambda model, x: model(x).square().mean())


def _step_peak(make, make_input, loss):
    """Peak of an AdamW step of a module, float32, of which ``loss`` (function of module and input) is the loss."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from twostage.testing.peak_memory import Peak

    with FakeTensorMode(), Peak() as peak:
        module, x = make().train(), make_input()
        optimizer = torch.optim.AdamW(module.parameters())
        for _ in range(2):  # the second has the moments of the first
            loss(module, x).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return peak.bytes
