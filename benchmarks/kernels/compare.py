"""Has a cell become slower? Compares files of pytest-benchmark by the ratio to the probes.

    python benchmarks/kernels/compare.py old.json new.json [again.json]

Times of two runs on a shared machine cannot be compared. What can is our speed over that of the
probes beside it, round by round. A cell fails only when the 95 % interval of new / old lies below
0.85, in both of two new runs where two are given; with one, such a cell is only suspected.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LIMIT = 0.85
DRAWS = 2000


def interval(old: Sequence[float], new: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of median(new) / median(old): bootstrap, fixed seed, rounds drawn."""
    rng = np.random.default_rng(0)

    def medians(values: Sequence[float]) -> NDArray[np.float64]:
        return np.median(rng.choice(np.asarray(values), (DRAWS, len(values))), axis=1)

    low, high = np.quantile(medians(new) / medians(old), [0.025, 0.975])
    return float(low), float(high)


def slower(old: Mapping[str, Sequence[float]], new: Mapping[str, Sequence[float]]) -> set[str]:
    """Cells in both whose interval lies below the limit."""
    return {name for name in old.keys() & new.keys() if interval(old[name], new[name])[1] < LIMIT}


def read(path: Path) -> dict[str, Sequence[float]]:
    """Our speed over the probes' in each round, by cell."""
    found = json.loads(path.read_text("utf-8"))
    return {
        entry["name"]: entry["extra_info"]["to_probes"]
        for entry in found["benchmarks"]
        if "to_probes" in entry["extra_info"]
    }


def main(arguments: Sequence[str]) -> int:
    if len(arguments) not in (2, 3):
        print("error: give an old and one or two new files of --benchmark-json", file=sys.stderr)
        return 2
    old, *runs = (read(Path(argument)) for argument in arguments)
    for name in sorted(old.keys() & runs[0].keys()):
        low, high = interval(old[name], runs[0][name])
        print(f"{name:70} {low:5.2f} … {high:.2f}")
    failed = set.intersection(*(slower(old, run) for run in runs))
    for name in sorted(failed):
        print(f"{'slower' if len(runs) > 1 else 'suspected; run again'}: {name}")
    return int(bool(failed) and len(runs) > 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
