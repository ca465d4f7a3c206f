"""`python -m simulators.region --out DIR`: write the synthetic region's pack."""

import argparse
import sys
from pathlib import Path

from dispatch.contracts.errors import BadInput
from simulators.region.build import SEED, UNITS, build_region


def main() -> int:
    """Parse the arguments, write the pack, say where."""
    parser = argparse.ArgumentParser(prog="python -m simulators.region", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the pack into")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--units", type=int, default=UNITS, help="1 to 1000")
    parser.add_argument(
        "--hospital-feed", default="", help="mllp://host:port of the first hospital"
    )
    options = parser.parse_args()
    try:
        build_region(
            options.out,
            seed=options.seed,
            units=options.units,
            hospital_feed=options.hospital_feed,
        )
    except BadInput as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
