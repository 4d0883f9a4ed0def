"""How fast our products are here: beside those people have, and beside what is possible.

Shared machines change speed from one moment to the next, so that only ratios within one run mean
anything. Everything a cell compares, and the probes of the machine's state, take turns in one
process; a ratio is the median of the ratios of neighbours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels import mkl
from kernels.dispatcher import Cut, batch_of
from kernels.packing import Prepared, pack, prepare
from kernels.products import spmm
from kernels.simd import load, multiply_add, outer, store, zeros
from kernels.vector_registers import machine
from sparse_formats.formats.csr import CSR

Array = NDArray[np.float32]
Call = Callable[[], object]


@dataclass(frozen=True)
class Cell:
    """One product to time. pattern: a name of `PATTERNS`; length: of its pieces.

    at_least, aim: ratios to MKL's CSR that we ask of ourselves; None where nothing is asked.
    """

    pattern: str
    length: int
    rows: int
    cols: int
    tokens: int
    sparsity: float
    at_least: float | None = None
    aim: float | None = None

    @property
    def name(self) -> str:
        length = f" {self.length}" if self.length > 1 else ""
        return (
            f"{self.pattern}{length} {self.rows}×{self.cols}, {self.sparsity:.0%} sparse, "
            f"{self.tokens} tokens"
        )


def vertical(rng: np.random.Generator, cell: Cell) -> NDArray[np.bool_]:
    return _blocks(rng, cell, cell.length, 1)


def horizontal(rng: np.random.Generator, cell: Cell) -> NDArray[np.bool_]:
    return _blocks(rng, cell, 1, cell.length)


def blocks(rng: np.random.Generator, cell: Cell) -> NDArray[np.bool_]:
    return _blocks(rng, cell, cell.length, cell.length)


def n_m(rng: np.random.Generator, cell: Cell) -> NDArray[np.bool_]:
    """N of every `length` inputs."""
    kept = round((1 - cell.sparsity) * cell.length)
    order = rng.random((cell.rows, -(-cell.cols // cell.length), cell.length)).argsort(2)
    return (order < kept).reshape(cell.rows, -1)[:, : cell.cols]


def mixed(rng: np.random.Generator, cell: Cell) -> NDArray[np.bool_]:
    """Vertical vectors of 1 to 64 as our pruning makes them: see `masks.synthetic`."""
    from sparse_formats.masks.synthetic import MatrixShape, generate

    shape = MatrixShape("matrix", "Q", cell.rows, cell.cols)
    seed = int(rng.integers(1 << 31))
    return next(generate([shape], 1 - cell.sparsity, "mvp", seed)).keep


def _blocks(rng: np.random.Generator, cell: Cell, height: int, width: int) -> NDArray[np.bool_]:
    shape = (-(-cell.rows // height), -(-cell.cols // width))
    kept = np.arange(shape[0] * shape[1]) >= round(cell.sparsity * shape[0] * shape[1])
    rng.shuffle(kept)
    return kept.reshape(shape).repeat(height, 0).repeat(width, 1)[: cell.rows, : cell.cols]


PATTERNS: dict[str, Callable[[np.random.Generator, Cell], NDArray[np.bool_]]] = {
    "vertical": vertical,
    "horizontal": horizontal,
    "blocks": blocks,
    "fine-grained": horizontal,
    "N:M": n_m,
    "mixed-length vectors": mixed,
}

_WIDE, _TALL = (768, 3072), (3072, 768)

CELLS = (
    Cell("blocks", 32, *_TALL, 128, 0.8, 1.4, 2.1),
    Cell("blocks", 32, *_WIDE, 128, 0.8, 1.4, 2.1),
    Cell("blocks", 32, *_TALL, 512, 0.8, 1.4, 2.1),
    Cell("vertical", 8, *_TALL, 128, 0.8, 1.3, 2.0),
    Cell("vertical", 16, *_TALL, 128, 0.8, 1.3, 2.0),
    Cell("vertical", 16, *_WIDE, 128, 0.8, 1.3, 2.0),
    Cell("vertical", 32, *_TALL, 128, 0.8, 1.3, 2.0),
    Cell("vertical", 64, *_TALL, 128, 0.8, 1.3, 2.0),
    Cell("vertical", 16, *_TALL, 512, 0.8, 1.3, 2.0),
    Cell("vertical", 16, *_TALL, 128, 0.9, 1.3, 2.0),
    Cell("vertical", 16, *_TALL, 128, 0.95, 1.05, 2.0),
    Cell("horizontal", 8, *_TALL, 128, 0.8, 1.15, 1.6),
    Cell("horizontal", 16, *_TALL, 128, 0.8, 1.15, 1.6),
    Cell("horizontal", 32, *_TALL, 128, 0.8, 1.15, 1.6),
    Cell("horizontal", 64, *_TALL, 128, 0.8, 1.15, 1.6),
    Cell("horizontal", 16, *_TALL, 128, 0.9, 1.0, 1.6),
    Cell("horizontal", 16, *_WIDE, 128, 0.8, 1.6, 2.3),
    Cell("horizontal", 16, *_TALL, 512, 0.8, 1.6, 2.3),
    Cell("fine-grained", 1, *_TALL, 128, 0.8, 0.8, 1.2),
    Cell("fine-grained", 1, *_TALL, 128, 0.9, 0.8, 1.2),
    Cell("fine-grained", 1, *_WIDE, 128, 0.8, 1.3, 1.8),
    Cell("fine-grained", 1, *_TALL, 512, 0.8, 1.3, 1.8),
    Cell("N:M", 4, *_TALL, 128, 0.5),
    Cell("mixed-length vectors", 1, *_TALL, 128, 0.8),
    Cell("blocks", 32, *_TALL, 16, 0.8, 1.6, 2.5),
    Cell("vertical", 16, *_TALL, 16, 0.8, 1.6, 2.5),
    Cell("horizontal", 16, *_TALL, 16, 0.8, 1.6, 2.5),
    Cell("fine-grained", 1, *_TALL, 16, 0.8, 0.9, 2.5),
    Cell("vertical", 16, *_TALL, 1, 0.8, 1.9, 2.9),
    Cell("horizontal", 16, *_TALL, 1, 0.8, 1.8, 2.9),
    Cell("fine-grained", 1, *_TALL, 1, 0.8),
)
"""What is asked of us, one thread, and three cells of which nothing is asked."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A cell's operands: `dense` holds zeros where nothing is kept."""

    dense: Array
    weight: CSR
    x: Array
    out: Array

    @property
    def flops(self) -> int:
        """Multiplications and additions of kept weights."""
        return 2 * self.weight.nnz * self.x.shape[1]


def problem(cell: Cell, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    keep = PATTERNS[cell.pattern](rng, cell)
    dense = np.where(keep, rng.standard_normal(keep.shape, np.float32), np.float32(0))
    x = rng.standard_normal((cell.cols, cell.tokens), np.float32)
    out = np.empty((cell.rows, cell.tokens), np.float32)
    return Problem(dense, CSR.encode(keep, dense), x, out)


def ours(problem: Problem, prepared: Prepared, threads: int = 1) -> Call:
    return lambda: spmm(prepared, problem.x, problem.out, threads=threads)


def with_cut(problem: Problem, cut: Cut) -> Call:
    """Our product with a cut that the dispatcher need not have chosen."""
    tokens = problem.x.shape[1]
    weight = problem.weight
    packed = pack(weight, tokens, cut)
    dtype = problem.dense.dtype
    prepared = Prepared(weight.shape, weight.nnz, weight, dtype, {batch_of(tokens): packed})
    return ours(problem, prepared)


def _mkl_csr(problem: Problem) -> Call:
    multiply = mkl.product(problem.weight, problem.x.shape[1])
    return lambda: multiply(problem.x, problem.out)


def _torch_dense(problem: Problem) -> Call:
    import torch

    weight, x, out = (torch.from_numpy(a) for a in (problem.dense, problem.x, problem.out))
    return lambda: torch.mm(weight, x, out=out)


def _torch_csr(problem: Problem) -> Call:
    import warnings

    import torch

    with warnings.catch_warnings():
        # "in beta state", once in a process.
        warnings.simplefilter("ignore")
        weight = torch.from_numpy(problem.dense).to_sparse_csr()
    x = torch.from_numpy(problem.x)
    return lambda: weight @ x


def _scipy_csr(problem: Problem) -> Call:
    import scipy.sparse

    weight: Any = scipy.sparse.csr_array(problem.dense)
    return lambda: weight @ problem.x


PEERS: dict[str, Callable[[Problem], Call]] = {
    "mkl csr": _mkl_csr,
    "torch dense": _torch_dense,
    "torch csr": _torch_csr,
    "scipy csr": _scipy_csr,
}


def available_peers() -> tuple[dict[str, Callable[[Problem], Call]], tuple[str, ...]]:
    """Those of `PEERS` that are installed, with torch on one thread, and the names of the rest."""
    from importlib.util import find_spec

    missing = [] if mkl.loaded() is not None else ["mkl csr"]
    if find_spec("torch") is None:
        missing += ["torch dense", "torch csr"]
    else:
        import torch

        torch.set_num_threads(1)
    return {name: peer for name, peer in PEERS.items() if name not in missing}, tuple(missing)


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


def take_turns(calls: Mapping[str, Call], seconds: float) -> dict[str, NDArray[np.float64]]:
    """Seconds of each call in each of at least 3 rounds; in every other round in reverse order."""
    for call in calls.values():
        call()
    names = list(calls)
    times: dict[str, list[float]] = {name: [] for name in names}
    end = perf_counter() + seconds
    while perf_counter() < end or len(times[names[0]]) < 3:
        names.reverse()
        for name in names:
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
    reading the packed weights once (`read probe`). to_probes: our speed over the geometric mean of
    the probes', round by round: what can be compared with another run.
    """

    cell: Cell
    gflops: Mapping[str, float]
    ratios: Mapping[str, float]
    of_bound: float
    to_probes: NDArray[np.float64]
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
    stream = np.zeros(max(64, prepared.bytes // 4), np.float32)
    calls |= {"fma probe": fma, "dense probe": dense, "read probe": lambda: _read(stream)}
    times = take_turns(calls, seconds)
    work = dict.fromkeys(("ours", *peers), task.flops / 1000000000.0)
    work |= {"fma probe": fma_work, "dense probe": dense_work}
    if "torch dense" in peers:
        work["torch dense"] = 2e-9 * task.dense.size * cell.tokens
    limit = np.maximum(times["fma probe"] * (task.flops / 1e9 / fma_work), times["read probe"])
    return Measured(
        cell,
        {name: done / float(np.median(times[name])) for name, done in work.items()},
        {name: ratio(times, name, "ours") for name in peers},
        float(np.median(limit / times["ours"])),
        np.sqrt(times["fma probe"] * times["dense probe"]) / times["ours"],
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
