"""How fast our products are here: beside those people have, and beside what is possible.

Shared machines change speed from one moment to the next, so that only ratios within one run mean
anything. Everything a cell compares, and the probes of the machine's state, take turns in one
process; a ratio is the median of the ratios of neighbours. Before each, other data is read, so that
operands come from beyond the second cache, as those of a layer of a model do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.benchmark.cells import Cell, problem
from kernels.benchmark.contenders import PEERS, Call, ours
from kernels.loops import rows
from kernels.loops.lines import empty
from kernels.loops.lines import zeros as zeros_in_line
from kernels.loops.multiply import SOURCES
from kernels.loops.simd import load, multiply_add, outer, store, zeros
from kernels.packing import prepare
from kernels.vector_registers import machine


@njit(cache=True, nogil=True)
def _multiply_for_nothing(numbers: NDArray[np.float32], lanes: int, steps: int) -> None:
    # Twelve sums that do not wait for each other, of two vectors and six scalars; these from
    # another place in each step, else they would take the registers of the sums.
    if lanes == 16:
        a, b = zeros(numbers, 16, 12), load(zeros(numbers, 16, 2), numbers, 0)
        for step in range(steps):
            a = outer(a, numbers, step & 15, b)
        store(a, numbers, 0)
    else:
        c, d = zeros(numbers, 8, 12), load(zeros(numbers, 8, 2), numbers, 0)
        for step in range(steps):
            c = outer(c, numbers, step & 15, d)
        store(c, numbers, 0)


@njit(cache=True, nogil=True)
def _read(numbers: NDArray[np.float32]) -> None:
    a, b = zeros(numbers, 8, 4), zeros(numbers, 8, 4)
    for k in range(0, len(numbers) - 63, 64):
        a = multiply_add(load(a, numbers, k), load(a, numbers, k), a)
        b = multiply_add(load(b, numbers, k + 32), load(b, numbers, k + 32), b)
    store(multiply_add(a, b, a), numbers, 0)


_PROBE_STEPS = 100_000


def fma_probe() -> tuple[Call, float]:
    """Multiply-adds in registers: the call, and its 10⁹ operations."""
    numbers = np.zeros(256, np.float32)
    lanes = 16 if machine().bytes == 64 else 8
    return (
        lambda: _multiply_for_nothing(numbers, lanes, _PROBE_STEPS),
        2e-9 * 12 * lanes * _PROBE_STEPS,
    )


def dense_probe() -> tuple[Call, float]:
    """NumPy's dense product of 256 × 256 matrices: the call, and its 10⁹ operations."""
    a, b, c = np.ones((3, 256, 256), np.float32)
    return lambda: np.matmul(a, b, c), 2e-9 * 256**3


def other_data() -> Call:
    """Reads 4 MB, as much as any second cache of today, to take the place of what was in it."""
    numbers = np.zeros(1 << 20, np.float32)
    return lambda: _read(numbers)


@cache
def _single_weights(lanes: int, count: int) -> Any:
    sources = SOURCES

    @njit(cache=True, nogil=True)
    def multiply(
        steps: int,
        indptr: Any,
        order: Any,
        columns: Any,
        values: Any,
        chunk: int,
        x: Any,
        sums: Any,
    ) -> None:
        _ = sources
        for _ in range(steps):
            if count:
                vector = zeros(sums, lanes, count)
                rows.accumulate(vector, indptr, order, columns, values, 0, 1, chunk, x, sums)
            else:
                vector, single = zeros(sums, lanes, 1), zeros(sums, 1, 1)
                rows.accumulate_one(vector, single, indptr, columns, values, 0, chunk, x, sums)

    return multiply


def mix_probe(tokens: int, weights: int) -> tuple[Call, float]:
    """Single weights at best: the call, and its 10⁹ operations.

    The instructions of `loops/rows.py`, which read an index and a weight for each line of
    activations, on a few rows of `weights` weights each, with all operands in the first cache.
    """
    lanes = machine().lanes(np.dtype(np.float32))
    width = lanes * min(8, -(-tokens // lanes)) if tokens > 1 else 1
    inputs, chunk, steps = -(-2 * weights // 16) * 16, 8 if tokens > 1 else 16, 200
    keep = np.zeros((chunk if tokens > 1 else 16, inputs), np.bool_)
    for row, line in enumerate(keep):
        line[np.random.default_rng(row).permutation(inputs)[:weights]] = True
    weight = keep.astype(np.float32)
    multiple = 16 if tokens == 1 else 1
    packed = rows.pack(keep, weight, chunk, inputs, tokens > 1, multiple)
    x, sums = empty(inputs * width, np.float32), empty(chunk * width, np.float32)
    x[:], sums[:] = 1e-6, 0
    kernel = _single_weights(lanes, width // lanes if tokens > 1 else 0)
    arrays = (packed.indptr, packed.order, packed.columns, packed.values, chunk, x, sums)
    return lambda: kernel(steps, *arrays), 2e-9 * weights * chunk * width * steps


def take_turns(
    calls: Mapping[str, Call], seconds: float, between: Call | None = None
) -> dict[str, NDArray[np.float64]]:
    """Seconds of each call in each of at least 3 rounds; in every other round in reverse order.

    between: called before each of them, untimed.
    """
    for call in calls.values():
        call()
    names = list(calls)
    times: dict[str, list[float]] = {name: [] for name in names}
    end = perf_counter() + seconds
    while perf_counter() < end or len(times[names[0]]) < 3:
        names.reverse()
        for name in names:
            if between is not None:
                between()
            start = perf_counter()
            calls[name]()
            times[name].append(perf_counter() - start)
    return {name: np.array(taken) for name, taken in times.items()}


def ratio(times: Mapping[str, NDArray[np.float64]], slow: str, fast: str) -> float:
    """How many times as fast `fast` is as `slow`: the median over the rounds."""
    return float(np.median(times[slow] / times[fast]))


@dataclass(frozen=True, eq=False)
class Measured:
    """gflops: of each contender and probe, medians. ratios: ours to each peer, median of rounds.

    of_bound: our speed over that of whichever limit is nearer, the multipliers' (`fma probe`) or
    reading the packed weights once (`read probe`). to_probes: our speed over that of the probe of
    memory for one token, else over the geometric mean of the two of multiplication, round by round:
    what can be compared with another run. to_probes_at_best: the same of the tenths of rounds in
    which each was fastest: what other programs disturb least.
    """

    cell: Cell
    gflops: Mapping[str, float]
    ratios: Mapping[str, float]
    of_bound: float
    to_probes: NDArray[np.float64]
    to_probes_at_best: float
    rounds: int
    prepare_seconds: float
    prepared_bytes: int


def measure(cell: Cell, peers: Sequence[str], seconds: float = 2.0) -> Measured:
    """Time one cell, ours beside the named `PEERS` and the probes.

    Raises:
        AssertionError: two contenders disagree about the product.
    """
    task = problem(cell)
    prepared = prepare(task.weight, cell.tokens)
    calls = {"ours": ours(task, prepared)}
    calls |= {name: PEERS[name](task) for name in peers}
    exact = task.dense.astype(np.float64) @ task.x
    for name in ("ours", *(name for name in peers if name == "mkl csr")):
        task.out.fill(np.nan)
        calls[name]()
        assert np.allclose(task.out, exact, atol=1e-3), name
    fma, fma_work = fma_probe()
    dense, dense_work = dense_probe()
    stream = zeros_in_line(max(64, prepared.bytes // 4), np.float32)
    calls |= {"fma probe": fma, "dense probe": dense, "read probe": lambda: _read(stream)}
    times = take_turns(calls, seconds, other_data())
    work = dict.fromkeys(("ours", *peers), task.flops / 1000000000.0)
    work |= {"fma probe": fma_work, "dense probe": dense_work}
    if "torch dense" in peers:
        work["torch dense"] = 2e-9 * task.dense.size * cell.tokens
    if cell.tokens > 1:
        probe = np.sqrt(times["fma probe"] * times["dense probe"])
    else:
        # For as many bytes, however the weights are packed.
        probe = times["read probe"] / stream.nbytes * (4 * task.weight.nnz)
    limit = np.maximum(times["fma probe"] * (task.flops / 1e9 / fma_work), times["read probe"])
    return Measured(
        cell,
        {name: done / float(np.median(times[name])) for name, done in work.items()},
        {name: ratio(times, name, "ours") for name in peers},
        float(np.median(limit / times["ours"])),
        probe / times["ours"],
        float(np.quantile(probe, 0.1) / np.quantile(times["ours"], 0.1)),
        len(times["ours"]),
        prepared.seconds,
        prepared.bytes,
    )


def as_json(measured: Sequence[Measured], missing: Sequence[str]) -> dict[str, Any]:
    """What the command prints, for the next program."""
    from importlib.metadata import version

    return {
        "schema_version": 1,
        "machine": machine_line(),
        "versions": {name: version(name) for name in ("numpy", "numba", "scipy")},
        "missing": list(missing),
        "cells": [
            {
                "name": found.cell.name,
                **vars(found.cell),
                "gflops": dict(found.gflops),
                "ratios": dict(found.ratios),
                "of_bound": found.of_bound,
                "rounds": found.rounds,
                "prepare_seconds": found.prepare_seconds,
                "prepared_bytes": found.prepared_bytes,
            }
            for found in measured
        ],
    }


def machine_line() -> str:
    """The processor and what the kernels use of it."""
    import platform
    from pathlib import Path

    name = platform.processor() or platform.machine()
    told = Path("/proc/cpuinfo")
    if told.exists():
        lines = told.read_text("utf-8", "replace").splitlines()
        name = next((line.partition(": ")[2] for line in lines if "model name" in line), name)
    found = machine()
    return f"{name}: {found.name}, {found.registers} registers of {8 * found.bytes} bits"
