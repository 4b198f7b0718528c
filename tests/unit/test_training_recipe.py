"""The recipe: the paper's numbers, LightningDiT's by name, mistakes named."""

import pytest

from twostage.training.recipe import Recipe


def test_default_is_the_papers_recipe():
    recipe = Recipe.parse({"steps": 100})
    assert (recipe.batch_size, recipe.lr, recipe.weight_decay, recipe.max_grad_norm) == (512, 1e-4, 0.0, 1.0)
    assert (recipe.betas, recipe.ema, recipe.time, recipe.class_drop) == ((0.9, 0.999), 0.9999, "uniform", 0.1)
    assert (recipe.target, recipe.cosine_loss, recipe.snapshots) == ("cfm", False, (100,))


def test_preset_is_lightningdits_recipe_and_settings_go_before_it():
    recipe = Recipe.parse({"preset": "lightningdit", "steps": 80000, "batch_size": 256})
    assert (recipe.lr, recipe.betas, recipe.time, recipe.cosine_loss) == (2e-4, (0.9, 0.95), "lognormal", True)
    assert (recipe.max_grad_norm, recipe.batch_size) == (None, 256)
    assert Recipe.parse({"preset": "lightningdit", "steps": 1}).batch_size == 1024


def test_auto_is_settled_by_the_device():
    recipe = Recipe.parse({"steps": 1})
    assert (recipe.resolved("cpu").precision, recipe.resolved("cpu").compile) == ("float32", False)
    assert (recipe.resolved("cuda").precision, recipe.resolved("cuda").compile) == ("bf16", True)
    fixed = Recipe.parse({"steps": 1, "precision": "bf16", "compile": False})
    assert (fixed.resolved("cpu").precision, fixed.resolved("cuda").compile) == ("bf16", False)


def test_last_step_is_always_a_snapshot():
    assert Recipe.parse({"steps": 9, "snapshots": [6, 3, 6]}).snapshots == (3, 6, 9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "steps is missing"),
        ({"steps": 5, "ema_decay": 0.9}, "there is no 'ema_decay'"),
        ({"steps": 5, "batchsize": 4}, "did you mean 'batch_size'"),
        ({"steps": 5, "preset": "sit"}, "preset is 'sit'; expected paper or lightningdit"),
        ({"steps": 0}, "steps is 0; expected a whole number, at least 1"),
        ({"steps": "5"}, "steps is '5'; expected a whole number"),
        ({"steps": 5, "lr": "high"}, "lr is 'high'; expected a number above 0"),
        ({"steps": 5, "snapshots": [7]}, r"snapshots is \(5, 7\)"),
        ({"steps": 5, "lr": -1}, "lr is -1; expected a number above 0"),
        ({"steps": 5, "time": "cosine"}, "time is 'cosine'; expected uniform or lognormal"),
        ({"steps": 5, "target": "x"}, "target is 'x'; expected cfm or oracle"),
        ({"steps": 5, "batch_size": 6, "accumulate": 4}, "batch_size is 6; expected a multiple of accumulate 4"),
        ({"steps": 5, "class_drop": 1.0}, r"class_drop is 1.0; expected a probability in \[0, 1\)"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Recipe.parse(settings)
