"""Figures of this kind of processor that later ones are compared with.

    python -m benchmarks.kernels.frozen          measures all cells and writes frozen/KIND.json

Times of two runs on a shared machine cannot be compared. What can is our speed over that of the
probes beside it, each at its best.
"""

import json
import sys
from pathlib import Path
from typing import Any

from kernels.benchmark.cells import CELLS
from kernels.benchmark.timing import machine_line, measure

FOLDER = Path(__file__).with_name("frozen")


def kind() -> str:
    """What LLVM calls the processor that is compiled for, e.g. znver4."""
    from numba.core.registry import cpu_target

    context: Any = cpu_target.target_context
    return context.codegen().magic_tuple()[1]


def path() -> Path:
    return FOLDER / f"{kind()}.json"


def read(file: Path) -> dict[str, float]:
    """Our speed over the probes', by cell."""
    return json.loads(file.read_text("utf-8"))["cells"]


def main() -> int:
    cells: dict[str, float] = {}
    for cell in CELLS:
        # Of three visits the one in the middle: other programs disturb a whole one.
        visits = sorted(measure(cell, [], 0.5).to_probes_at_best for _ in range(3))
        cells[cell.name] = round(visits[1], 4)
        print(f"{cell.name:58} {visits[1]:.4f}", flush=True)
    FOLDER.mkdir(exist_ok=True)
    found = {"machine": machine_line(), "cells": cells}
    path().write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"wrote {path()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
