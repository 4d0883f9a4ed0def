"""How fast is the simulator? Each row beside what it must reach.

Run: python -m benchmarks.accel_sim.speed [ROW …] [--mask FILE] [--scale-sim PYTHON]. ROW: any of
`ROWS`; without, all. --mask: the file of the run from the command line (`make demo` makes it).
--scale-sim: interpreter of an environment with scalesim==3.0.0 and numpy<2.3, timed on the same
product.

Times are CPU seconds of one thread, the least of some rounds: on a machine that others use, the
clock on the wall says nothing. With two threads on two idle cores a run takes little more than half
of it. `machines.py` has the time of every machine. Masks are generated before the clock starts,
except where they are streamed, and everything is run once before, so that nothing is compiled. A
dense product beside says how fast the machine was at the time.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.synthetic.generate import generate
from sparse_formats.masks.synthetic.shapes import SHAPES, MatrixShape

ROUNDS = 5
ROOT = Path(__file__).parents[2]
FIRST_POINT = (
    "import sys; from accel_sim import Workload, load_machine, simulate; "
    "simulate(Workload.of(sys.argv[1]), load_machine('tf_mvp'), is_checked=False)"
)
"""What a worker of an exploration does up to its first point."""


@dataclass(frozen=True)
class Measured:
    """value: in the unit of its bar, which it must not exceed, or reach if `is_least`."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    is_least: bool = False

    @property
    def verdict(self) -> str:
        if self.bar is None:
            return ""
        hit = self.value >= self.bar if self.is_least else self.value <= self.bar
        return f"{'≥' if self.is_least else '≤'} {self.bar:,.6g}: {'hit' if hit else 'miss'}"

    def __str__(self) -> str:
        return f"{self.name:44} {self.value:12,.3f} {self.unit:16} {self.verdict}"


def cpu_seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The least of some rounds, after one that compiles."""
    work()
    least = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        work()
        least = min(least, time.process_time() - start)
    return least


def of_processes(words: Sequence[str], rounds: int = ROUNDS) -> float:
    """CPU seconds of a whole process, the least of some rounds, after one that compiles."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def once() -> float:
        before = _of_children()
        subprocess.run(words, check=True, capture_output=True, env=environment)
        return _of_children() - before

    once()
    return min(once() for _ in range(rounds))


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def simulated(
    matrices: Sequence[MaskedMatrix], activations: Activations, machine: Machine, rounds: int
) -> float:
    workload = Workload.of(matrices, activations)
    return cpu_seconds(lambda: simulate(workload, machine, is_checked=False, threads=1), rounds)


def gpt2(pattern: str, density: float, *settings: str) -> float:
    """All 48 matrices of GPT-2 small, 80 % sparse, 128 tokens."""
    matrices = list(generate(SHAPES["gpt2-small"], 0.2, pattern))
    return simulated(matrices, Activations(128, density), load_machine("tf_mvp", settings), 3)


def vectors(_: argparse.Namespace) -> Iterator[Measured]:
    yield Measured("GPT-2 small, vectors", gpt2("mvp", 1), "CPU s")
    yield Measured("GPT-2 small, fine-grained", gpt2("fine", 1), "CPU s")
    yield Measured("GPT-2 small, vectors, half the inputs zero", gpt2("mvp", 0.5), "CPU s")


def columns(_: argparse.Namespace) -> Iterator[Measured]:
    seconds = gpt2("mvp", 0.5, "queue.per_column=true")
    yield Measured("the same, queues per column", seconds, "CPU s", 2)


def sizes(_: argparse.Namespace) -> Iterator[Measured]:
    """Nanoseconds per non-zero of random masks, 0.6 to 37.7 M weights: they should stay flat."""
    for size in (768, 1536, 3072, 6144):
        matrices = list(generate([MatrixShape("m", "FFN1", size, size)], 0.2, "fine"))
        seconds = simulated(matrices, Activations(128), load_machine("tf_mvp"), ROUNDS)
        name = f"random mask {size}×{size}"
        yield Measured(name, seconds / matrices[0].nnz * 1e9, "ns a non-zero", 70)


def llama(_: argparse.Namespace) -> Iterator[Measured]:
    """224 matrices made one by one: 6.5 G weights, a single token; one round."""
    machine = load_machine("tf_mvp")
    simulate(Workload.generated("4096x4096", Activations(1)), machine)
    start = time.process_time()
    simulate(Workload.generated("llama-7b", Activations(1)), machine, threads=1)
    yield Measured("Llama-7B, 1 token, streamed", time.process_time() - start, "CPU s", 60)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    yield Measured("Llama-7B, most memory of the process", held, "GiB", 1.5)


def dense(arguments: argparse.Namespace) -> Iterator[Measured]:
    """128 × 768 × 768, nothing pruned, beside SCALE-Sim's run of it."""
    whole = [MaskedMatrix("m", np.ones((768, 768), np.bool_))]
    seconds = simulated(whole, Activations(128), load_machine("tf_mvp"), 20)
    yield Measured("128×768×768, dense", 1000 * seconds, "CPU ms")
    if arguments.scale_sim is None:
        print("128×768×768 against SCALE-Sim: left out; give --scale-sim PYTHON")
        return
    from accel_sim.validation.scale_sim import Counts, live

    case = Counts(64, 64, "weight", 128, 768, 768, 0, 0, 0, 0)
    theirs = []
    for _ in range(3):
        before = _of_children()
        live(arguments.scale_sim, [case])
        theirs.append(_of_children() - before)
    yield Measured("SCALE-Sim 3.0.0, the same", min(theirs), "CPU s")
    yield Measured("SCALE-Sim's time over ours", min(theirs) / seconds, "times", 1000, True)


def command(arguments: argparse.Namespace) -> Iterator[Measured]:
    """Whole processes on trained masks with weights: product check included where it is made."""
    mask = str(arguments.mask)
    if not arguments.mask.exists():
        print(f"whole processes: left out, {mask} is not there; make demo makes it")
        return
    first = [sys.executable, "-c", FIRST_POINT, mask]
    yield Measured("a fresh process to its first point", of_processes(first), "CPU s", 1.2)
    words = [sys.executable, "-m", "accel_sim", "run", "--mask", mask]
    yield Measured("accel_sim run on the demo's mask", of_processes(words), "CPU s", 1.2)


ROWS: dict[str, Callable[[argparse.Namespace], Iterator[Measured]]] = {
    "vectors": vectors,
    "columns": columns,
    "sizes": sizes,
    "llama": llama,
    "dense": dense,
    "command": command,
}


def gemm_gflops() -> float:
    """float32 1024³, best of five: a probe of the machine."""
    a = np.ones((1024, 1024), np.float32)
    return 2 * 1024**3 / cpu_seconds(lambda: a @ a) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], default=list(ROWS))
    parser.add_argument("--mask", type=Path, default=Path("out/demo/out.npz"))
    parser.add_argument("--scale-sim", type=Path)
    arguments = parser.parse_args()
    for name in arguments.rows:
        for measured in ROWS[name](arguments):
            print(f"{measured}  (dense product: {gemm_gflops():.0f} GFLOP/s)", flush=True)


if __name__ == "__main__":
    main()
