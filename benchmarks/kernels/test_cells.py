"""Is every cell of what is asked met? One thread, all contenders taking turns in one process.

    python -m pytest benchmarks/kernels/test_cells.py --benchmark-json new.json
    python benchmarks/kernels/compare.py old.json new.json

The request is missed where ours is not `at_least` times as fast as MKL's CSR in the median. Without
MKL (`pip install mkl`) a cell is measured, but cannot be judged: it counts as skipped. A timed
round of pytest-benchmark is our product alone; the paired figures, for which nothing else may come
between, are in `extra_info`.
"""

from typing import Any

import pytest

from kernels.benchmark.cells import CELLS, Cell, problem
from kernels.benchmark.contenders import available_peers, ours
from kernels.benchmark.timing import machine_line, measure
from kernels.packing import prepare

SECONDS = 1.0


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_cell(benchmark: Any, cell: Cell) -> None:
    peers, missing = available_peers()
    found = measure(cell, list(peers), SECONDS)
    benchmark.extra_info |= {
        "machine": machine_line(),
        "missing": list(missing),
        "at_least": cell.at_least,
        "aim": cell.aim,
        "gflops": dict(found.gflops),
        "ratios": dict(found.ratios),
        "of_bound": found.of_bound,
        "to_probes": list(found.to_probes),
        "prepare_seconds": found.prepare_seconds,
        "prepared_bytes": found.prepared_bytes,
    }
    task = problem(cell)
    benchmark.pedantic(ours(task, prepare(task.weight, cell.tokens)), rounds=5)
    if cell.at_least is not None:
        if "mkl csr" in missing:
            pytest.skip("measured, not judged: MKL is not installed; pip install mkl")
        reached = found.ratios["mkl csr"]
        assert reached >= cell.at_least, f"{reached:.2f} × MKL, asked {cell.at_least}"
