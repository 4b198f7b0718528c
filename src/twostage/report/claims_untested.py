"""Statements of the paper that no figure or table of the workflow checks yet, so that none is left unsaid."""

from twostage.report.claim import Claim

_STATEMENTS = [
    (
        "class-mean-at-the-prior",
        "4.1",
        "fig8",
        "One Euler step from the prior predicts the class mean.",
        "Fig. 8, by eye",
    ),
    ("layout-settles", "4.1", "fig8", "The layout of the predicted image settles about t = 0.2.", "Fig. 8, by eye"),
    (
        "model-transition-later",
        "4.1",
        "fig8",
        "The transition in the model's behaviour comes slightly later than the oracle's split.",
        "about 0.2 against 0.1, by eye",
    ),
    ("oracle-retrieves", "4.2", "fig5", "Sampling with the oracle throughout retrieves a training image.", "Fig. 5"),
    (
        "late-switch-replicates",
        "4.2",
        "fig5",
        "Switching from the oracle to the model late replicates the training image; early gives novel images.",
        "novel up to about t = 0.1, replicated from about 0.2 on",
    ),
    (
        "resumed-layout-is-kept",
        "4.2",
        "fig6",
        "Resumed late from unseen images, the model keeps their layout and varies details.",
        "from about t = 0.2 on",
    ),
    (
        "shift-has-an-optimum",
        "5.1",
        "tab2",
        "More steps in navigation help up to a point: the best shift is below 1.",
        "gFID 12.23 at s = 0.5, 12.99 at s = 1, 19.91 at s = 0.1",
    ),
    (
        "guidance-in-the-transition",
        "5.2",
        "tab3",
        "The best short guidance interval lies in the transition.",
        "gFID 5.21 on [0.1, 0.2], 12.99 without guidance",
    ),
    (
        "guidance-not-at-the-start",
        "5.2",
        "tab3",
        "Leaving the very start without guidance helps; the best wide intervals span early and mid refinement.",
        "gFID 2.80 to 2.97 for the best wide intervals",
    ),
    (
        "aligned-space-is-parabolic",
        "5.3",
        "fig9",
        "In a latent space aligned with semantic features the oracle loss is a parabola, in a plain one flat and wavy.",
        "VA-VAE against SD-VAE, by eye",
    ),
    (
        "oracle-supervision-works",
        "App. B",
        "fig_oracle_supervised",
        "Training on the oracle velocity is feasible and converges like training on the CFM target.",
        "by eye",
    ),
    (
        "memorisation-by-switch-time",
        "App. F",
        "fig_memorization",
        "Samples switched late lie close to their training image in feature space, samples switched early far from it.",
        "by DINO distance",
    ),
    (
        "stages-in-flux",
        "App. H",
        "fig_flux",
        "A large text-to-image model (Flux.1) shows the same two stages.",
        "by eye",
    ),
]

CLAIMS = [
    Claim(id=name, section=section, statement=statement, paper=value, figure=figure)
    for name, section, figure, statement, value in _STATEMENTS
]
