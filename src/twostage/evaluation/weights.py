"""Fetch the weights of published feature networks once, checked against a digest.

    python -m twostage.evaluation.weights inception --output inception-2015-12-05.pt

For machines with internet (a local rule); everything else reads local files.
"""

import argparse
import shutil
import sys
import urllib.error
import urllib.request

from twostage.evaluation.features import INCEPTION_SHA256
from twostage.provenance import atomic_write, sha256, write_provenance

INCEPTION_URL = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt"
DINOV2_URL = "https://huggingface.co/timm/vit_base_patch14_dinov2.lvd142m/resolve/main/model.safetensors"
KNOWN = {"inception": (INCEPTION_URL, INCEPTION_SHA256), "dinov2": (DINOV2_URL, None)}


def fetch_weights(url, output, expected_sha256=None):
    """Download ``url`` to ``output``, atomically; returns the digest.

    Raises ValueError, keeping nothing, when the digest is not the expected one (None: any), OSError when the download
    fails.
    """
    with atomic_write(output) as temporary:
        try:
            with urllib.request.urlopen(url) as response, open(temporary, "wb") as stream:
                shutil.copyfileobj(response, stream)
        except urllib.error.URLError as error:
            raise OSError(f"{url} could not be fetched ({error.reason}); put the file at {output} by hand") from None
        digest = sha256(temporary)
        if expected_sha256 is not None and digest != expected_sha256:
            raise ValueError(
                f"{url}: sha256 is {digest}; expected {expected_sha256} (another file, or a broken download)"
            )
    write_provenance(output, source=url)
    return digest


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m twostage.evaluation.weights", description="Fetch network weights.")
    parser.add_argument("name", choices=list(KNOWN))
    parser.add_argument("--output", required=True)
    parser.add_argument("--url", help="another place to fetch from")
    parser.add_argument("--sha256", help="expected digest of the file")
    options = parser.parse_args(arguments)
    url, expected = KNOWN[options.name]
    try:
        fetch_weights(options.url or url, options.output, options.sha256 or expected)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
