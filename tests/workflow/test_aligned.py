"""An autoencoder aligned to the classifier: the classifier comes first, and is no reason to do it all again."""

from twostage.data.weights import file_metadata

ALIGNED = ("--config", "spaces={vae: {encoder: {align_weight: 0.5}}}")
ENCODER = "results/smoke/data/vae/encoder.safetensors"


def test_the_classifier_is_trained_before_what_is_aligned_to_it(checkout):
    assert "classifier_features" not in checkout.reruns(ENCODER)
    assert checkout.reruns(ENCODER, config=ALIGNED[1:]) == {"classifier", "classifier_features", "autoencoder"}


def test_what_is_aligned_to_a_classifier_is_not_made_anew_with_its_features(finished):
    assert finished.reruns(ENCODER, config=ALIGNED[1:]) == {"classifier_features", "autoencoder"}
    finished.snakemake(*ALIGNED, "--", ENCODER)
    assert file_metadata(finished.folder / ENCODER)["recipe"]["align_weight"] == 0.5
    (finished.folder / "results/smoke/evaluation/classifier/features.npy").touch()
    assert finished.reruns(ENCODER, config=ALIGNED[1:]) == set()
