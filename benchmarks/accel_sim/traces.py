"""What timelines cost: nothing where none is written, and how much where one is.

    python -m benchmarks.accel_sim.traces

The loop that steps a pass has lines that write down what each unit does. A run without a trace
compiles it without them. The first figure is its time beside the same loop with these lines cut
out of its source: the median of the ratios of interleaved rounds. The others are seconds of
processor time for a matrix of 768×768 at a fifth of its weights and 128 tokens.
"""

import ast
import inspect
import statistics
import textwrap
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from accel_sim import Activations, Workload, load_machine, simulate
from accel_sim.dataflows.mixed_vector import cycle_loop
from accel_sim.pipeline import Runs
from accel_sim.traces import dram, dramsim3, perfetto, vcd
from accel_sim.traces.record import Wish, record
from accel_sim.traces.waves import record_waves

ROUNDS = 41


class _WithoutLog(ast.NodeTransformer):
    """Cuts every `if log is not None:`."""

    def __init__(self) -> None:
        self.cut = 0

    def visit_If(self, node: ast.If) -> Any:
        if ast.unparse(node.test) == "log is not None":
            self.cut += 1
            return None
        return self.generic_visit(node)


def without_log() -> Callable[..., int]:
    """The loop without the lines that record."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cycle_loop._step.py_func)))
    cutter = _WithoutLog()
    tree = ast.fix_missing_locations(cutter.visit(tree))
    assert cutter.cut > 5
    tree.body[0].decorator_list = []
    space = dict(vars(cycle_loop))
    exec(compile(tree, "loop without log", "exec"), space)
    return njit(nogil=True)(space["_step"])


def calls_of(work: Workload) -> list[tuple[Any, ...]]:
    """The arguments with which a run steps its passes."""
    calls: list[tuple[Any, ...]] = []
    step = cycle_loop._step

    def noted(*arguments: Any) -> int:
        calls.append(arguments)
        return step(*arguments)

    cycle_loop._step = noted
    try:
        simulate(work, load_machine("tf_mvp"), threads=1, is_checked=False)
    finally:
        cycle_loop._step = step
    return calls


def seconds(step: Callable[..., int], calls: list[tuple[Any, ...]]) -> float:
    start = time.process_time()
    for entries, tile, limits, blocks, takers, last, log in calls:
        step(entries, tile, limits, np.zeros_like(blocks), np.zeros_like(takers), last.copy(), log)
    return time.process_time() - start


def main() -> None:
    work = Workload.generated("384x384", density=0.2, pattern="fine", seed=0)
    work = Workload(**{**vars(work), "activations": Activations(64, 0.5)})
    calls, loops = calls_of(work), (cycle_loop._step, without_log())
    for loop in loops:
        seconds(loop, calls)
    ratios = []
    for number in range(ROUNDS):
        order = loops if number % 2 else loops[::-1]
        took = {id(loop): seconds(loop, calls) for loop in order}
        ratios.append(took[id(loops[0])] / took[id(loops[1])])
    quarters = statistics.quantiles(ratios, n=4)
    print(f"loop without a trace / without its lines: {statistics.median(ratios):.3f}")
    print(f"  middle half of {ROUNDS} rounds: {quarters[0]:.3f} to {quarters[2]:.3f}")

    work, machine = Workload.generated("768x768", density=0.2, seed=0), load_machine("tf_mvp")
    steps: dict[str, Callable[[Runs], int]] = {
        "timeline": lambda runs: sum(map(len, perfetto.encode(record(runs, work, Wish())))),
        "waveforms": lambda runs: sum(map(len, vcd.encode(record_waves(runs, work, Wish())))),
        "trace of the DRAM": lambda runs: sum(map(len, dramsim3.encode(dram.dram_trace(runs)))),
    }
    for is_warm in (False, True):
        runs: list[Runs] = []
        start = time.process_time()
        report = simulate(work, machine, threads=1, is_checked=False, on_runs=runs.append)
        said = [f"run of {report.total.cycles:,} cycles: {time.process_time() - start:.2f} s"]
        for name, write in steps.items():
            start = time.process_time()
            size = write(runs[0])
            said.append(f"{name}: {time.process_time() - start:.2f} s, {size / 1e6:.1f} MB")
        if is_warm:
            print(*said, sep="\n")


if __name__ == "__main__":
    main()
