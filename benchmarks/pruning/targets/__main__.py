"""Does pruning for a machine do what docs/prune_for_a_machine.md says of it?

    python -m benchmarks.pruning.targets machines --data DATA  # targets met, sums of the table
    python -m benchmarks.pruning.targets tables --data DATA    # other tables of costs, their sums
    python -m benchmarks.pruning.targets speed --data DATA     # seconds of the table
    python -m benchmarks.pruning.targets quality --data DATA   # against uniform ratios and FLOPs

DATA is the folder that holds wikitext-2. Rows are appended to out/targets/*.jsonl.
"""

import argparse
from pathlib import Path

from benchmarks.pruning.targets.costs import machines, speed
from benchmarks.pruning.targets.quality import METHODS, quality
from benchmarks.pruning.targets.tables import tables

RESULTS = Path(__file__).parents[3] / "out" / "targets"
LENGTHS = ("vector:4", "vector:8", "vector:16")


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["machines", "tables", "speed", "quality"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--folder", type=Path, help="where en.npz and minilm lie, not installed")
    parser.add_argument("--lee", type=Path, help="gensim's test_data")
    parser.add_argument("--models", nargs="+", default=["glassllm", "minilm"])
    parser.add_argument("--patterns", nargs="+", default=list(LENGTHS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--update", choices=["none", "sparsegpt"], default="sparsegpt")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", action="store_true", help="only the first cell of quality")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.lee is None and "minilm" in arguments.models and arguments.what == "quality":
        from benchmarks.quality.commands import installed

        arguments.lee = installed("gensim") / "test" / "test_data"
    {"machines": machines, "tables": tables, "speed": speed, "quality": quality}[arguments.what](
        arguments
    )


if __name__ == "__main__":
    main()
