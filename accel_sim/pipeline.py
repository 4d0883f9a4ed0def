"""The whole way in one sentence: load → encode → schedule → machine → energy → report."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import Any, TypeVar

from numpy.typing import NDArray

from accel_sim.costs.timeline import lay_out
from accel_sim.dataflows.account import Passes
from accel_sim.dataflows.families import run_dense_rival, run_on
from accel_sim.dataflows.mixed_vector.cycle_loop import Stepper
from accel_sim.dataflows.mixed_vector.layer import LayerRun, run_steppers, steppers_of
from accel_sim.dataflows.mixed_vector.stream import Stored, dense
from accel_sim.machines.description import Accelerator, Machine, Rival
from accel_sim.reports.report import LayerResult, layer_result
from accel_sim.workload import Activations, Inputs, Layer, layers_of
from sparse_formats.masks.matrix import MaskedMatrix


def simulate(
    matrices: Iterable[MaskedMatrix],
    machine: Machine,
    activations: Activations,
    *,
    is_checked: bool = True,
    threads: int | None = None,
    on_layer: Callable[[str], None] = lambda name: None,
    on_outputs: Callable[[str, NDArray[Any]], None] | None = None,
) -> list[LayerResult]:
    """Latency and energy of each matrix, in order.

    matrices: taken one at a time, so a model larger than memory can be generated on the way.
    is_checked: compute the product in scheduled order, where weights are known. threads: how many
    layers run at once (default: all cores); the result does not depend on it. on_layer is called
    with the name of each finished layer; on_outputs with the name and the output (rows, tokens) of
    each layer that was multiplied, in order.

    Raises:
        InputError: a matrix does not fit the machine.
    """
    dense_runs = DenseRuns(machine)

    def both(layer: Layer) -> tuple[Passes, Passes]:
        is_multiplied = is_checked and layer.matrix.weight is not None
        inputs = activations.inputs(layer, machine.numbers, is_multiplied)
        run = run_on(layer, inputs, machine, is_checked)
        if on_outputs is None and isinstance(run, LayerRun):
            run = replace(run, outputs=None)  # as large as the layer's activations
        return run, dense_runs.of(layer, inputs)

    pairs = []
    for run, dense_run in in_order(both, layers_of(iter(matrices)), threads or os.cpu_count() or 1):
        if on_outputs is not None and isinstance(run, LayerRun) and run.outputs is not None:
            on_outputs(run.name, run.outputs)
            run = replace(run, outputs=None)
        pairs.append((run, dense_run))
        on_layer(run.name)
    runs, dense_twins = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    dense_times = lay_out(dense_twins, machine)
    return [
        layer_result(run, time, dense_time.cycles, machine)
        for run, time, dense_time in zip(runs, lay_out(runs, machine), dense_times, strict=True)
    ]


T = TypeVar("T")
R = TypeVar("R")


class DenseRuns:
    """The dense twin of each layer: encoded once per shape, and run once where nothing is zero."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._modes: dict[tuple[int, int], list[tuple[Stored, list[Stepper]]]] = {}
        self._without_zeros: dict[tuple[int, int], Passes] = {}
        self._lock = Lock()

    def of(self, layer: Layer, inputs: Inputs) -> Passes:
        """With mixed-length vectors the faster of row mode and column mode (ties: row mode)."""
        shape = layer.matrix.shape
        if inputs.nonzero is not None:
            return self._run(layer, inputs)
        with self._lock:
            if shape not in self._without_zeros:
                self._without_zeros[shape] = self._run(layer, inputs)
            return replace(self._without_zeros[shape], name=layer.matrix.name)

    def _run(self, layer: Layer, inputs: Inputs) -> Passes:
        if isinstance(self._machine, Rival):
            return run_dense_rival(layer, inputs, self._machine)
        assert isinstance(self._machine, Accelerator)
        return self._faster(layer, inputs, self._machine)

    def _faster(self, layer: Layer, inputs: Inputs, machine: Accelerator) -> Passes:
        shape = layer.matrix.shape
        if shape not in self._modes:
            self._modes[shape] = [
                (stored, steppers_of(stored, machine, layer.matrix.name))
                for stored in (dense(shape, "horizontal"), dense(shape, "vertical"))
            ]
        runs = [run_steppers(layer, inputs, *mode, machine) for mode in self._modes[shape]]
        return min(runs, key=lambda run: run.counts.cycles)


def in_order(work: Callable[[T], R], items: Iterator[T], threads: int) -> Iterator[R]:
    """Apply `work` to the items on some threads, few at a time; results in the items' order."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
