"""Models as others write them, for the tests: an EDM denoiser, a transformer of diffusers, and mistakes."""

import torch


class Denoiser(torch.nn.Module):
    """A preconditioned denoiser, D = c_skip x + c_out F(c_in x, c_noise) (Karras et al., 2022, eq. 7); F is small."""

    def __init__(self, channels=2, classes=3, sigma_data=0.5, width=8):
        super().__init__()
        self.sigma_data = sigma_data
        self.labels = torch.nn.Embedding(classes + 1, width)  # the last one: no class
        self.noise = torch.nn.Linear(1, width)
        self.first = torch.nn.Conv2d(channels, width, 3, padding=1)
        self.last = torch.nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x, sigma, y):
        variance = sigma**2 + self.sigma_data**2
        c_skip, c_out, c_in = (
            each.reshape(-1, 1, 1, 1)
            for each in (self.sigma_data**2 / variance, sigma * self.sigma_data / variance.sqrt(), variance.rsqrt())
        )
        told = self.labels(y) + self.noise(sigma.log()[:, None] / 4)
        hidden = torch.nn.functional.silu(self.first(c_in * x) + told[:, :, None, None])
        return c_skip * x + c_out * self.last(hidden)


def denoiser(weights=None, **options):
    """An EDM denoiser: called with x = x_1 + sigma e, t = sigma, it returns its prediction of x_1."""
    torch.manual_seed(0)
    model = Denoiser(**options)
    if weights:
        model.load_state_dict(torch.load(weights, weights_only=True))
    return model


class Transformer(torch.nn.Module):
    """diffusers' DiT, which predicts the noise and its variance on 1000 steps of DDPM's path."""

    def __init__(self, channels=2, side=4, classes=3):
        super().__init__()
        from diffusers import DiTTransformer2DModel

        self.inner = DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=4, in_channels=channels, out_channels=2 * channels, num_layers=1,
            norm_num_groups=1, sample_size=side, patch_size=2, num_embeds_ada_norm=classes,
        )  # fmt: skip
        for weight in self.inner.parameters():  # some are zero at first, and the prediction with them
            torch.nn.init.normal_(weight, std=0.1)

    def forward(self, x, t, y):
        return self.inner(x, timestep=999 * t, class_labels=y).sample[:, : x.shape[1]]


def transformer(**options):
    torch.manual_seed(0)
    return Transformer(**options)


def wrong_shape():
    return lambda x, t, y: torch.cat([x, x], 1)


def of_the_batch():
    return lambda x, t, y: x - x.mean(0)


def draws_noise():
    """Dropout that is left on, as by a function whose model is not in eval mode."""
    return lambda x, t, y: torch.nn.functional.dropout(x, 0.1)


def no_model():
    return 3


def changes_its_arguments():
    def model(x, t, y):
        y.zero_()
        return x.mul_(0).add_(1)

    return model


def ends():
    raise SystemExit(3)


def fails():
    raise KeyError("weights of another model")
