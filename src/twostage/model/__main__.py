"""Command line: ``python -m twostage.model SNAPSHOT OUTPUT.pt`` writes a snapshot as the original LightningDiT's
``.pt``.

Exit codes: 0 done; 1 bad input or a full disk, with one line on stderr.
"""

import argparse
import sys

from twostage.startup import quick_start


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m twostage.model", description=__doc__.splitlines()[0])
    parser.add_argument("snapshot", help="step-*.safetensors of a training")
    parser.add_argument("output", help="a .pt with model, ema, opt and config, which LightningDiT's inference.py reads")
    options = parser.parse_args(arguments)

    from twostage.model.checkpoints import export_published, load_model

    try:
        model = load_model(options.snapshot)
        export_published(options.output, model, architecture=model.architecture, **model.metadata)
    except (ValueError, OSError) as error:
        print(f"model: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    quick_start()
    sys.exit(main())
