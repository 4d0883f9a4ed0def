"""Speeds of the simulator that later ones are compared with, of this kind of processor.

    python -m benchmarks.accel_sim.frozen        measures all rows and writes frozen/KIND.json

A row is simulated in CPU seconds of one thread. What is compared is how often a probe, of the same
mix of Python and words, could be done in the time of a row.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from benchmarks.kernels.frozen import kind
from kernels.benchmark.timing import machine_line
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.synthetic.generate import generate
from sparse_formats.masks.synthetic.shapes import SHAPES, MatrixShape

FOLDER = Path(__file__).with_name("frozen")
ROUNDS = 3


def path() -> Path:
    return FOLDER / f"{kind()}.json"


def read(file: Path) -> dict[str, float]:
    """Probes in the time of each row."""
    return json.loads(file.read_text("utf-8"))["rows"]


def row(
    pattern: str, shapes: list[MatrixShape], density: float, *settings: str
) -> Callable[[], object]:
    """A simulation to be timed."""
    if pattern == "dense":
        matrices = [MaskedMatrix(s.name, np.ones((s.rows, s.cols), np.bool_)) for s in shapes]
    else:
        matrices = list(generate(shapes, 0.2, pattern))
    workload = Workload.of(matrices, Activations(128, density))
    machine = load_machine("tf_mvp", settings)
    return lambda: simulate(workload, machine, is_checked=False, threads=1)


_BLOCK = list(SHAPES["gpt2-small"])[:4]

ROWS: dict[str, Callable[[], Callable[[], object]]] = {
    "a block of GPT-2 small, vectors": lambda: row("mvp", _BLOCK, 1),
    "a block of GPT-2 small, half the inputs zero": lambda: row("mvp", _BLOCK, 0.5),
    "the same, queues per column": lambda: row("mvp", _BLOCK, 0.5, "queue.per_column=true"),
    "random mask 3072×3072": lambda: row("fine", [MatrixShape("m", "FFN1", 3072, 3072)], 1),
    "128×768×768, dense": lambda: row("dense", [MatrixShape("m", "Q", 768, 768)], 1),
}


def probe() -> None:
    """Work that the simulator's code does not touch: objects of Python, and words of 64 bits."""
    found: dict[int, int] = {}
    for i in range(60_000):
        found[i % 997] = found.get(i % 991, 0) + len(str(i))
    words = np.arange(400_000, dtype=np.uint64)
    for shift in range(12):
        words ^= words >> np.uint64(shift + 1)
        np.cumsum(words, out=words)


def probes_in(work: Callable[[], object]) -> float:
    """How many probes take as long as `work`: each at its best of interleaved rounds."""
    work()
    ours = theirs = float("inf")
    for _ in range(ROUNDS):
        theirs = min(theirs, _cpu_seconds(probe))
        ours = min(ours, _cpu_seconds(work))
        theirs = min(theirs, _cpu_seconds(probe))
    return ours / theirs


def _cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> int:
    rows: dict[str, float] = {}
    for name, make in ROWS.items():
        work = make()
        # Of three visits the one in the middle: other programs disturb a whole one.
        rows[name] = round(sorted(probes_in(work) for _ in range(3))[1], 4)
        print(f"{name:48} {rows[name]:.4f} probes", flush=True)
    FOLDER.mkdir(exist_ok=True)
    found = {"machine": machine_line(), "rows": rows}
    path().write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"wrote {path()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
