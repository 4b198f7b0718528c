"""Checks that a model's file is the expected one: sizes, step, target, and the latents that it was trained on.

Facts that a file does not record (older and published files) are not checked.
"""

from twostage.sides import size_of

UNKNOWN = (None, "unknown")
LATENTS = ("encoder", "encoder_sha256")


def latents_of(store):
    """The facts about its latents that a model's file records: JSON-able dict, from a ``LatentStore``."""
    said = {key: store.attributes.get(key) for key in (*LATENTS, "posterior", "split", "dataset_fingerprint")}
    said |= {"index": store.index} if store.index else {}
    said |= {key: store.attributes[key] for key in ("normalise",) if key in store.attributes}
    return {"space": store.path.parent.name, "fingerprint": store.fingerprint, **said}


def refuse_other_model(path, architecture, metadata, store, expected=None):
    """Raise ValueError, in one line, where the file ``path`` holds another model than the expected one.

    architecture, metadata: from the file (``read_header``); store: the ``LatentStore`` that the model is used with;
    expected: the model in the configuration: ``architecture`` (sizes), ``target`` ("cfm" or "oracle"), ``step``; each
    of them may be missing.
    """
    expected = expected or {}
    for name, wanted in expected.get("architecture", {}).items():
        if architecture.get(name) != wanted:
            _refuse(path, f"a model of {name} {architecture.get(name)}", f"{name} {wanted}, as the model named has")
    target = metadata.get("training", {}).get("recipe", {}).get("target")
    for name, found in (("target", target), ("step", metadata.get("step"))):
        if found is not None and expected.get(name, found) != found:
            _refuse(path, f"a model of training {name} {found}", f"{name} {expected[name]}")
    theirs = metadata.get("latents", {})
    for key in LATENTS:
        ours = store.attributes.get(key)
        if theirs.get(key) not in UNKNOWN and ours not in UNKNOWN and theirs[key] != ours:
            space = f"latent space {theirs.get('space')!r}, {key} {theirs[key]}"
            _refuse(path, f"a model of another latent space ({space})", f"{key} {ours}, as {store.path} has")
    theirs_as, ours_as = theirs.get("normalise"), store.attributes.get("normalise")
    if theirs.get("fingerprint") and theirs_as != ours_as:
        found = f"a model of latents that are normalised otherwise ({theirs_as or 'by channel'})"
        _refuse(path, found, f"{ours_as or 'by channel'}, as {store.path} is")
    if theirs.get("index") and store.index and theirs["index"] != store.index:
        found = f"a model trained on other images (index {theirs['index'][:12]})"
        _refuse(path, found, f"index {store.index[:12]}, as {store.path} has")
    _, channels, height, width = store.shape
    size = size_of(height, width)
    for name, wanted in (("input_size", size), ("in_channels", channels), ("num_classes", store.num_classes)):
        if architecture[name] != wanted:
            _refuse(path, f"made for latents of {name} {architecture[name]}", f"{wanted}, as {store.path} has")


def _refuse(path, found, expected):
    raise ValueError(f"{path}: {found}; expected {expected}: put the right file there, or train it again")
