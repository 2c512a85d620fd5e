"""`python -m tests.simulation --seed N --steps M --trace`: one seed, or with `--seeds` several, from the shell."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter

from tests.simulation.world import Report, SimulationFailed, simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the seed, or the first of them")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds to run")
    parser.add_argument("--steps", type=int, default=400, help="client commands a seed")
    parser.add_argument("--commands", type=int, default=0, help="stop after so many commands in all")
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after so many minutes")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    args = parser.parse_args()
    gc.set_threshold(50_000, 50, 1000)
    total = Total()
    for seed in range(args.seed, args.seed + args.seeds):
        try:
            total.add(simulate(seed, args.steps, tell=print if args.trace else None))
        except SimulationFailed as failed:
            print(failed)
            print(total)
            return 1
        if (args.commands and total.steps >= args.commands) or (args.minutes and total.seconds > args.minutes * 60):
            break
    print(total)
    return 0


class Total:
    """Sums over seeds."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.seeds = self.steps = self.rows = self.lives = self.handles = self.trades = 0
        self.virtual_s = 0.0
        self.digest = ""
        self.faults: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.clients: Counter[str] = Counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def add(self, report: Report) -> None:
        self.seeds += 1
        self.digest = report.digest
        for name in (
            "steps",
            "rows",
            "lives",
            "handles",
            "trades",
            "virtual_s",
            "faults",
            "kinds",
            "outcomes",
            "clients",
        ):
            setattr(self, name, getattr(self, name) + getattr(report, name))

    def __str__(self) -> str:
        lines = [
            f"{self.seeds:,} seeds, {self.steps:,} client commands, {self.rows:,} journal rows, "
            f"{self.trades:,} trades, {self.lives:,} lives, "
            f"{self.virtual_s / 3600:.1f} simulated hours in {self.seconds:.1f} s",
            *(
                f"{name}: " + ", ".join(f"{kind} {count:,}" for kind, count in counts.most_common())
                for name, counts in (
                    ("faults", self.faults),
                    ("windows", self.outcomes),
                    ("callers", self.clients),
                    ("commands", self.kinds),
                )
            ),
            f"digest of the last seed: {self.digest}",
        ]
        return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
