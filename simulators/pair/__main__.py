"""`python -m simulators.pair --seed N` shows one run; `--from N --count M` runs many."""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor

from simulators.pair.check import Broken
from simulators.pair.parts import Parts
from simulators.pair.run import Run, run_seed


def main() -> int:
    """Run; 1 when something broke."""
    parser = argparse.ArgumentParser(prog="python -m simulators.pair", description=__doc__)
    parser.add_argument("--seed", type=int, help="show this run")
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--polite", action="store_true", help="machines are also stopped politely")
    args = parser.parse_args()
    parts = Parts(polite=args.polite)
    if args.seed is not None:
        return _show(args.seed, parts)
    seeds = range(args.first, args.first + args.count)
    with ProcessPoolExecutor(args.workers) as pool:
        results = zip(
            seeds, pool.map(run_seed, seeds, [parts] * args.count, chunksize=10), strict=True
        )
        failed = [(seed, text) for seed, text in results if text]
    for seed, text in failed:
        print(f"seed {seed}: {text}")  # noqa: T201 - this is its output
    print(f"{args.count} runs, {len(failed)} failed")  # noqa: T201
    return 1 if failed else 0


def _show(seed: int, parts: Parts) -> int:
    run = Run(seed, parts, verbose=True)
    world = run.world
    try:
        run.go()
    except Broken as fault:
        world.log(f"BROKEN {fault}")
        return 1
    world.log(f"all held: {len(world.checker.acked)} acknowledged, epochs {world.checker.opened}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
