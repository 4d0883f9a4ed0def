"""The whole way in one sentence: run each layer → lay the runs out in time → price → report."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, TypeVar

from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.delivery import said_of_decoders
from accel_sim.dataflows.abstract.loads import resident_bytes
from accel_sim.dataflows.abstract.timeline import lay_out_in
from accel_sim.inputs.activations import Inputs, Layer
from accel_sim.inputs.convolutions import said_of_convolutions
from accel_sim.inputs.workload import Masks, Workload
from accel_sim.machines.plausibility import implausible
from accel_sim.reports.figures.mask_picture import MaskPicture, mask_picture
from accel_sim.reports.report import Report
from accel_sim.reports.results import layer_result, notes_on_loads, notes_on_use
from sparse_formats.errors import InputError
from sparse_formats.memory import holding


@dataclass(frozen=True, eq=False)
class Runs:
    """The layers of a run before they are laid out in time.

    machine: as it holds the weights; order: numbers of `layers`, one each time that one runs.
    """

    machine: Machine
    layers: Sequence[LayerRun]
    order: Sequence[int]


def simulate(
    workload: Workload | Masks,
    machine: Machine,
    *,
    is_checked: bool = True,
    is_drawn: bool = False,
    threads: int | None = None,
    on_layer: Callable[[str], None] = lambda name: None,
    on_outputs: Callable[[str, NDArray[Any]], None] | None = None,
    on_runs: Callable[[Runs], None] = lambda runs: None,
) -> Report:
    """Latency and energy of each matrix, in order.

    workload: what to run, or masks in any form that `Workload.of` takes, with 128 drawn tokens.
    Its matrices are taken one at a time, so a model larger than memory can be generated on the way.
    is_checked: compute the product in scheduled order, where weights are known. is_drawn: keep a
    picture of each mask, which the report's page shows. threads: how many
    layers run at once (default: all cores); the result does not depend on it. on_layer is called
    with the name of each finished layer; on_outputs with the name and the output (rows, tokens) of
    each layer that was multiplied, in order; on_runs with what a timeline is made of.

    Raises:
        InputError: a matrix does not fit the machine, or an argument is of another kind.
    """
    workload = workload if isinstance(workload, Workload) else Workload.of(workload)
    if not isinstance(machine, Machine):
        raise InputError(
            f"machine is {type(machine).__name__}; give what load_machine(NAME) returns"
        )
    dense_machine, _ = settled(workload, machine, threads, is_dense=True)
    given, (machine, needed) = machine, settled(workload, machine, threads)
    runs, dense_runs, pictures = [], [], {}
    ran = _runs(workload, machine, dense_machine, is_checked, is_drawn, threads)
    for run, dense_run, picture in ran:
        if picture is not None:
            pictures[run.name] = picture
        if on_outputs is not None and run.outputs is not None:
            on_outputs(run.name, run.outputs)
        runs.append(replace(run, outputs=None))  # as large as the layer's activations
        dense_runs.append(dense_run)
        on_layer(run.name)
    if not runs:
        raise InputError("there is no matrix to simulate; give at least one")
    order = workload.order([run.name for run in runs])
    on_runs(Runs(machine, runs, order))
    times = lay_out_in(order, runs, machine)
    dense_times = lay_out_in(order, dense_runs, dense_machine)
    layers = tuple(
        layer_result(run, time, sum(each.cycles for each in dense_time), machine)
        for run, time, dense_time in zip(runs, times, dense_times, strict=True)
    )
    notes = (
        *workload.notes,
        *workload.said_of_density({layer.name: layer.nnz for layer in layers}),
        workload.routed,
        said_of_convolutions(
            workload.convolutions, workload.tokens(), machine.name, machine.runs_convolutions
        ),
        _residence(machine, needed, dense_machine) if given.dram.resident else "",
        said_of_decoders(runs, machine.xor_decoder, machine.dram.resident),
        machine.note,
        *implausible(given),
        *notes_on_use(layers, machine),
        *notes_on_loads(layers),
    )
    return Report(
        given,
        layers,
        mask=workload.origin,
        activations=workload.activations.origin,
        notes=tuple(note for note in notes if note),
        pictures=pictures,
    )


def simulate_dense(workload: Workload, machine: Machine, *, threads: int | None = None) -> Report:
    """The same layers on the same machine with nothing pruned: the dense baseline, with its energy.

    Raises:
        InputError: a matrix does not fit the machine.
    """
    machine, _ = settled(workload, machine, threads, is_dense=True)
    dense_runs = _DenseRuns(machine)

    def run(layer: Layer) -> LayerRun:
        inputs = workload.activations.inputs(layer, machine.numbers, is_multiplied=False)
        return dense_runs.of(layer, inputs)

    runs = list(each_layer(run, workload, machine, threads))
    times = lay_out_in(workload.order([each.name for each in runs]), runs, machine)
    layers = tuple(
        layer_result(each, time, sum(part.cycles for part in time), machine)
        for each, time in zip(runs, times, strict=True)
    )
    notes = (*workload.notes, machine.note, *implausible(machine))
    return Report(
        machine,
        layers,
        mask={**workload.origin, "is_dense": True},
        activations=workload.activations.origin,
        notes=tuple(note for note in notes if note),
    )


def settled(
    workload: Workload, machine: Machine, threads: int | None, *, is_dense: bool = False
) -> tuple[Machine, int]:
    """The machine as it holds the weights: `dram.resident` only if all of them fit together.

    Also the bytes that they would take on the chip, 0 if nobody asked for it. is_dense: as if
    nothing were pruned. docs/microarchitecture.md §6, "Resident weights".
    """
    if not machine.dram.resident:
        return machine, 0
    dense_runs = _DenseRuns(machine)

    def needed_by(layer: Layer) -> int:
        inputs = workload.activations.inputs(layer, machine.numbers, is_multiplied=False)
        run = dense_runs.of(layer, inputs) if is_dense else machine.run(layer, inputs)
        return resident_bytes(run)

    needed = sum(each_layer(needed_by, workload, machine, threads))
    if needed <= machine.weight_buffer.bytes:
        return machine, needed
    return replace(machine, dram=replace(machine.dram, resident=False)), needed


def _residence(machine: Machine, needed: int, dense_machine: Machine) -> str:
    """Where the weights lie that were to stay on the chip, of which they take `needed` bytes."""
    stays, dense_stays = machine.dram.resident, dense_machine.dram.resident
    if stays:
        word = f"dram.resident: the weights stay on the chip, where they take {needed:,} bytes"
    else:
        word = (
            f"dram.resident: the weights take {needed:,} bytes on the chip, more than the "
            f"{machine.weight_buffer.bytes:,} of the weight buffer, so they are loaded from the "
            "DRAM"
        )
    if stays != dense_stays:
        word += f"; unpruned they {'would stay' if dense_stays else 'would have to be loaded'}"
    return f"{word}."


def _runs(
    workload: Workload,
    machine: Machine,
    dense_machine: Machine,
    is_checked: bool,
    is_drawn: bool,
    threads: int | None,
) -> Iterator[tuple[LayerRun, LayerRun, MaskPicture | None]]:
    """Each layer's passes, those of its dense baseline, and its mask's picture."""
    dense_runs = _DenseRuns(dense_machine)

    def both(layer: Layer) -> tuple[LayerRun, LayerRun, MaskPicture | None]:
        is_multiplied = is_checked and layer.matrix.is_weighted
        inputs = workload.activations.inputs(layer, machine.numbers, is_multiplied)
        run = machine.run(layer, inputs, is_checked=is_checked)
        picture = mask_picture(layer.matrix, run.orientation) if is_drawn else None
        return run, dense_runs.of(layer, inputs), picture

    return each_layer(both, workload, machine, threads)


class _DenseRuns:
    """The dense baseline of each layer: run once per shape where no activation is zero."""

    def __init__(self, machine: Machine) -> None:
        self._run = machine.dense_baseline()
        self._without_zeros: dict[tuple[Any, ...], LayerRun] = {}
        self._lock = Lock()

    def of(self, layer: Layer, inputs: Inputs) -> LayerRun:
        shape = (*layer.matrix.shape, inputs.tokens, inputs.convolution)
        if inputs.nonzero is not None:
            return self._run(layer, inputs)
        with self._lock:
            if shape not in self._without_zeros:
                self._without_zeros[shape] = self._run(layer, inputs)
            return replace(self._without_zeros[shape], name=layer.matrix.name)


R = TypeVar("R")


def each_layer(
    work: Callable[[Layer], R], workload: Workload, machine: Machine, threads: int | None
) -> Iterator[R]:
    """Apply `work` to the layers on some threads, few at a time; results in the layers' order.

    Experts that get no token are left out. A layer waits for others where both would take more
    memory than the run may.
    """

    def within_the_budget(layer: Layer) -> R:
        rows, cols = layer.matrix.shape
        needed = machine.layer_bytes(layer.matrix) + workload.activations.layer_bytes(layer)
        with holding(needed, f"running matrix {layer.matrix.name} ({rows}×{cols})"):
            return work(layer)

    tokens = workload.tokens()
    at_once = threads or os.cpu_count() or 1
    with ThreadPoolExecutor(at_once) as pool:
        waiting: deque[Future[R]] = deque()
        for index, matrix in enumerate(workload.matrices()):
            if not tokens[matrix.name]:
                continue
            layer = Layer(
                index, matrix, tokens[matrix.name], workload.convolutions.get(matrix.name)
            )
            waiting.append(pool.submit(within_the_budget, layer))
            if len(waiting) > at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
