"""LightningDiT: published keys and counts, a plain reference of the forward pass, invariants."""

import math

import pytest
import torch

from twostage.model.fused import GatedSiLU, ModulatedNorm, RotatedHeads
from twostage.model.lightningdit import LightningDiT, count_parameters, rotate, sincos_positions, state_shapes
from twostage.model.sizes import SIZES
from twostage.sides import sides_of

TINY = {
    "input_size": 4,
    "patch_size": 2,
    "in_channels": 3,
    "hidden_size": 24,
    "depth": 2,
    "num_heads": 2,
    "num_classes": 5,
}


def random_model(seed=0, **sizes):
    """A model whose every parameter is random, so that no part of it is the identity."""
    model = LightningDiT(**{**TINY, **sizes})
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name != "pos_embed":
                fan_in = weight[0].numel() if weight.ndim > 1 else 10
                norm = "norm" in name
                weight.copy_(norm + torch.randn(weight.shape, generator=generator) / math.sqrt(fan_in))
    return model.eval()


def random_inputs(model, batch=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    sizes = model.architecture
    x = torch.randn(batch, sizes["in_channels"], *sides_of(sizes["input_size"]), generator=generator)
    t = torch.rand(batch, generator=generator)
    y = torch.randint(sizes["num_classes"] + 1, (batch,), generator=generator)
    return x, t, y


def plain_forward(state, x, t, y, patch, heads):
    """The published network in float64, one sample, token and pair at a time."""
    weights = {name: tensor.double() for name, tensor in state.items()}
    linear = lambda v, name: v @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]  # noqa: E731
    silu = lambda v: v / (1 + torch.exp(-v))  # noqa: E731
    norm = lambda v, name: v / (v.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * weights[f"{name}.weight"]  # noqa: E731
    outputs = []
    for image, time, label in zip(x.double(), t.double(), y):
        rows, columns = (side // patch for side in image.shape[1:])
        half = torch.exp(-math.log(10000) * torch.arange(128, dtype=torch.float64) / 128)
        features = torch.cat([torch.cos(time * half), torch.sin(time * half)])
        condition = linear(silu(linear(features, "t_embedder.mlp.0")), "t_embedder.mlp.2")
        condition = condition + weights["y_embedder.embedding_table.weight"][label]
        tokens, places = [], []
        for row in range(rows):
            for column in range(columns):
                piece = image[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
                kernel = weights["x_embedder.proj.weight"]
                tokens.append((kernel * piece).sum((1, 2, 3)) + weights["x_embedder.proj.bias"])
                places.append((row, column))
        h = torch.stack(tokens) + weights["pos_embed"][0]
        width = h.shape[1] // heads
        depth = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
        for block in (f"blocks.{index}" for index in range(depth)):
            modulation = linear(silu(condition), f"{block}.adaLN_modulation.1").chunk(6)
            shift, scale, gate, shift_2, scale_2, gate_2 = modulation
            qkv = linear(norm(h, f"{block}.norm1") * (1 + scale) + shift, f"{block}.attn.qkv")
            q, k, v = (part.reshape(len(h), heads, width) for part in qkv.chunk(3, dim=1))
            q, k = (torch.stack([rotated(row, place) for row, place in zip(part, places)]) for part in (q, k))
            weight = torch.einsum("ihd,jhd->hij", q, k).div(math.sqrt(width)).softmax(-1)
            attended = torch.einsum("hij,jhd->ihd", weight, v).reshape(len(h), -1)
            h = h + gate * linear(attended, f"{block}.attn.proj")
            a, b = linear(norm(h, f"{block}.norm2") * (1 + scale_2) + shift_2, f"{block}.mlp.w12").chunk(2, dim=1)
            h = h + gate_2 * linear(silu(a) * b, f"{block}.mlp.w3")
        shift, scale = linear(silu(condition), "final_layer.adaLN_modulation.1").chunk(2)
        h = linear(norm(h, "final_layer.norm_final") * (1 + scale) + shift, "final_layer.linear")
        output = torch.empty_like(image)
        for token, (row, column) in zip(h, places):
            piece = token.reshape(patch, patch, -1).permute(2, 0, 1)  # channels last within a patch
            output[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = piece
        outputs.append(output)
    return torch.stack(outputs)


def rotated(vectors, place):
    """Adjacent pairs of each head (heads, width) turned: the first half by the row, the second by the column."""
    result, width = vectors.clone(), vectors.shape[1]
    pairs = width // 4
    for axis, position in enumerate(place):
        for pair in range(pairs):
            angle = position / 10000 ** (pair / pairs)
            first = axis * width // 2 + 2 * pair
            a, b = vectors[:, first], vectors[:, first + 1]
            result[:, first] = a * math.cos(angle) - b * math.sin(angle)
            result[:, first + 1] = a * math.sin(angle) + b * math.cos(angle)
    return result


def test_state_dict_has_the_published_keys():
    block = [
        "norm1.weight",
        "norm2.weight",
        *(f"{part}.{kind}" for part in ("attn.qkv", "attn.proj") for kind in ("weight", "bias")),
        *(f"{part}.{kind}" for part in ("mlp.w12", "mlp.w3", "adaLN_modulation.1") for kind in ("weight", "bias")),
    ]
    final = (
        "norm_final.weight",
        "linear.weight",
        "linear.bias",
        "adaLN_modulation.1.weight",
        "adaLN_modulation.1.bias",
    )
    expected = {
        "pos_embed",
        "x_embedder.proj.weight",
        "x_embedder.proj.bias",
        *(f"t_embedder.mlp.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")),
        "y_embedder.embedding_table.weight",
        "feat_rope.freqs_cos",
        "feat_rope.freqs_sin",
        *(f"blocks.{index}.{name}" for index in range(2) for name in block),
        *(f"final_layer.{name}" for name in final),
    }
    assert set(LightningDiT(**TINY).state_dict()) == expected


@pytest.mark.parametrize(
    ("size", "millions", "width"), [("S", 33.0, 1024), ("B", 130.6, 2048), ("L", 458.2, 2730), ("XL", 675.3, 3072)]
)
def test_parameter_counts_are_the_published_ones(size, millions, width):
    sizes = SIZES[size]
    with torch.device("meta"):
        model = LightningDiT(16, 1, 32, num_classes=1000, **sizes)
    assert round(count_parameters(model) / 1e6, 1) == millions
    assert model.blocks[0].mlp.w3.in_features == width
    h, depth = sizes["hidden_size"], sizes["depth"]
    block = (3 * h * h + 3 * h) + (h * h + h) + (2 * width * (h + 1)) + (width * h + h) + 6 * h * (h + 1) + 2 * h
    rest = 33 * h + 257 * h + h * (h + 1) + 1001 * h + 256 * h + (h + 2 * h * (h + 1) + 32 * (h + 1))
    assert count_parameters(model) == depth * block + rest


@pytest.mark.parametrize(("patch", "size"), [(1, 4), (2, 4), (1, (2, 3)), (2, (6, 4))])
def test_forward_is_the_plain_network(patch, size):
    model = random_model(patch_size=patch, input_size=size)
    x, t, y = random_inputs(model)
    with torch.no_grad():
        output = model(x, t, y)
    expected = plain_forward(model.state_dict(), x, t, y, patch, 2)
    assert expected.std() > 0.3  # the comparison is of something
    assert (output - expected).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_states_of_another_precision_pass_through_the_weights(dtype):
    model = random_model()
    x, t, y = random_inputs(model)
    found = model(x.to(dtype), t.double(), y)
    assert found.dtype == dtype
    assert torch.equal(found, model(x.to(dtype).float(), t, y).to(dtype))
    with pytest.raises(ValueError, match=r"x is torch.int64; expected floats"):
        model(x.long(), t, y)


def test_states_of_other_sides_are_refused():
    model = random_model(input_size=(4, 8))
    x, t, y = random_inputs(model)
    with pytest.raises(ValueError, match=r"x is \(4, 3, 8, 4\); expected latents of 4 x 8"):
        model(x.transpose(2, 3), t, y)


def test_positions_are_sines_then_cosines_column_first():
    positions = sincos_positions(3, 4, 8).reshape(3, 4, 8)  # (row, column, dim)
    angles = [1.0, 1 / 100]
    for row in range(3):
        for column in range(4):
            expected = [f(place * angle) for place in (column, row) for f in (math.sin, math.cos) for angle in angles]
            torch.testing.assert_close(positions[row, column], torch.tensor(expected))


def test_fresh_model_predicts_zero_and_its_blocks_are_the_identity():
    model = LightningDiT(**TINY).eval()
    x, t, y = random_inputs(model)
    assert model(x, t, y).abs().max() == 0
    tokens, condition = torch.randn(2, 4, 24), torch.randn(2, 24)
    assert torch.equal(model.blocks[0](tokens, condition, model.feat_rope.rotation()), tokens)


def test_rotary_products_depend_on_relative_positions_only():
    model = LightningDiT(**{**TINY, "input_size": 8})
    rotation = model.feat_rope.rotation()
    q, k = torch.randn(12), torch.randn(12)
    same = torch.stack([q, k])[None, None, :, None].expand(1, 16, 2, 1, 12)
    turned_q, turned_k = rotate(same, rotation)[0, :, :, 0].unbind(1)
    products = (turned_q @ turned_k.T).reshape(4, 4, 4, 4)  # (row, column) of q, then of k
    for step in (0, 1):
        torch.testing.assert_close(products[0, 0, step, 1], products[2, 2, 2 + step, 3], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(products[1, 0, 1 + step, 0], products[2, 3, 2 + step, 3], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(products[0, 0, 0, 1], products[0, 0, 1, 0])


def test_form_for_the_compiler_has_the_same_numbers():
    model = random_model()
    inputs = random_inputs(model)
    eager = model(*inputs)
    eager.square().mean().backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
    model.zero_grad(set_to_none=True)
    for block in model.blocks:  # traced as for the compiler, then run operation by operation
        block.compile(backend="eager")
    traced = model(*inputs)
    torch.testing.assert_close(traced, eager, rtol=1e-5, atol=1e-6)
    traced.square().mean().backward()
    for name, gradient in gradients.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, rtol=1e-4, atol=1e-6)


def test_gated_silu_has_the_gradient_of_its_formula():
    x = torch.randn(3, 5, 8, dtype=torch.float64, requires_grad=True)
    a, b = x.chunk(2, dim=-1)
    assert torch.equal(GatedSiLU.apply(x), torch.nn.functional.silu(a) * b)
    assert torch.autograd.gradcheck(GatedSiLU.apply, (x,))


def gradients_of(outputs, inputs):
    """Gradients of one fixed random sum of the outputs."""
    generator = torch.Generator().manual_seed(9)
    total = sum((output * torch.randn(output.shape, generator=generator)).sum() for output in outputs)
    return torch.autograd.grad(total, inputs)


def test_modulated_norm_is_its_formula():
    x, gain, shift = (torch.randn(shape, requires_grad=True) for shape in ((3, 5, 8), (3, 8), (3, 8)))
    fused = ModulatedNorm.apply(x, gain, shift, 1e-6)
    normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
    plain = normed * gain[:, None] + shift[:, None]
    torch.testing.assert_close(fused, plain, rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(gradients_of([fused], (x, gain, shift)), gradients_of([plain], (x, gain, shift))):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_rotated_heads_are_rotated_queries_and_keys_and_plain_values():
    qkv = torch.randn(2, 4, 3, 2, 12, requires_grad=True)
    rotation = LightningDiT(**TINY).feat_rope.rotation()
    fused = RotatedHeads.apply(qkv, rotation)
    plain = (*rotate(qkv[:, :, :2], rotation).unbind(2), qkv[:, :, 2])
    for ours, theirs in zip(fused, plain):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    (ours,), (theirs,) = gradients_of(fused, qkv), gradients_of(plain, qkv)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_train_mode_drops_classes_by_the_global_generator():
    model = random_model()
    x, t, y = random_inputs(model, batch=64)
    torch.manual_seed(3)
    dropped = torch.rand(64) < 0.1
    assert 0 < dropped.sum() < 64
    expected = model(x, t, torch.where(dropped, 5, y))
    torch.manual_seed(3)
    assert torch.equal(model.train()(x, t, y), expected)
    model.class_drop = 0.0
    before = torch.get_rng_state()
    assert torch.equal(model(x, t, y), model.eval()(x, t, y))
    assert torch.equal(torch.get_rng_state(), before)


def test_recomputing_activations_changes_no_gradient():
    gradients = []
    for recompute in (False, True):
        model = random_model()
        model.checkpoint_activations = recompute
        model(*random_inputs(model)).square().mean().backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad})
    for name, gradient in gradients[0].items():
        assert gradient.abs().max() > 0, name
        assert torch.equal(gradient, gradients[1][name]), name


def test_bfloat16_autocast_stays_near_float32():
    model = random_model()
    inputs = random_inputs(model)
    with torch.no_grad():
        exact = model(*inputs)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(*inputs)
    error = (rounded.float() - exact).norm() / exact.norm()
    assert 0 < error < 0.05


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"patch_size": 3}, "patch_size is 3"),
        ({"input_size": (4, 7)}, "patch_size is 2; expected a divisor of input_size 4 x 7"),
        ({"hidden_size": 20}, "hidden_size is 20.*multiple of 4 [*] num_heads = 8"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        LightningDiT(**{**TINY, **sizes})


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"patch_size": 1, "hidden_size": 32, "num_heads": 4, "depth": 1, "num_classes": 1},
        {"input_size": 6, "patch_size": 3, "in_channels": 1, "hidden_size": 40, "num_heads": 1, "depth": 3},
        {"input_size": (4, 6)},
        {"depth": 0},
    ],
)
def test_its_shapes_are_known_without_it(sizes):
    sizes = {**TINY, **sizes}
    shapes = {name: tuple(tensor.shape) for name, tensor in LightningDiT(**sizes).state_dict().items()}
    assert list(state_shapes(**sizes).items()) == list(shapes.items())


@pytest.mark.parametrize("sizes", [{"patch_size": 3}, {"hidden_size": 28}])
def test_shapes_of_a_model_that_cannot_be_are_refused_as_it_is(sizes):
    with pytest.raises(ValueError, match="expected a") as ours:
        state_shapes(**{**TINY, **sizes})
    with pytest.raises(ValueError, match="expected a") as theirs:
        LightningDiT(**{**TINY, **sizes})
    assert str(ours.value) == str(theirs.value)
