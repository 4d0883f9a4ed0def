"""What does the dispatcher's choice lose against the best cut, which it finds without a clock?"""

from typing import Any

import numpy as np
import pytest

from kernels.benchmark.cells import CELLS, Cell, Problem, problem
from kernels.benchmark.contenders import Call, ours
from kernels.benchmark.timing import take_turns
from kernels.dispatcher import Cut, batch_of, candidates, choose
from kernels.packing import Prepared, pack
from kernels.vector_registers import machine

MORE = (
    Cell("vertical", 4, 3072, 768, 128, 0.8),
    Cell("vertical", 32, 3072, 768, 128, 0.9),
    Cell("horizontal", 4, 3072, 768, 128, 0.8),
    Cell("fine-grained", 1, 3072, 768, 128, 0.5),
    Cell("fine-grained", 1, 3072, 768, 128, 0.95),
    Cell("mixed-length vectors", 1, 384, 1536, 2048, 0.8),
    Cell("mixed-length vectors", 1, 3072, 768, 16, 0.8),
    Cell("mixed-length vectors", 1, 3072, 768, 1, 0.8),
)


@pytest.mark.parametrize("cell", CELLS + MORE, ids=lambda cell: cell.name)
def test_what_is_lost(benchmark: Any, cell: Cell) -> None:
    task = problem(cell)
    batch = batch_of(cell.tokens)
    rows, cols = (-(-side // 16) * 16 for side in task.dense.shape)
    keep = np.zeros((rows, cols), np.bool_)
    keep[: cell.rows, : cell.cols] = task.dense != 0
    chosen = choose(keep, batch, machine().chunk)
    cuts = candidates(batch)
    calls = {name: with_cut(task, cut) for name, cut in cuts.items()}
    times = take_turns(calls, 1.0)
    medians = {name: float(np.median(taken)) for name, taken in times.items()}
    best = min(medians, key=lambda name: medians[name])
    choice = next(name for name, cut in cuts.items() if cut == chosen)
    benchmark.extra_info |= {
        "chosen": choice,
        "best": best,
        "lost": float(np.median(times[choice] / times[best])) - 1,
    }
    benchmark.pedantic(calls[choice], rounds=5)


def with_cut(problem: Problem, cut: Cut) -> Call:
    """Our product with a cut that the dispatcher need not have chosen."""
    tokens = problem.x.shape[1]
    weight = problem.weight
    packed = pack(weight, tokens, cut)
    dtype = problem.dense.dtype
    prepared = Prepared(weight.shape, weight.nnz, weight, dtype, {batch_of(tokens): packed})
    return ours(problem, prepared)
