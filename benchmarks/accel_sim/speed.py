"""How fast does the simulator simulate, and what does it hold? Best of five and median.

Run: python benchmarks/accel_sim/speed.py [WORK …] [--mask FILE] [--scale-sim PYTHON]. WORK: any of
`WORKS`; without, all. --mask: the file of the run from the command line (`make demo` makes it).
--scale-sim: interpreter of an environment with scalesim==3.0.0 and numpy<2.3, timed on the same
product. Masks are generated before the clock starts, except where they are streamed. A dense GEMM
beside says how fast the machine was at the time. Compilation is apart: all is run once before.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.reports.results import LayerResult
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.synthetic.generate import generate
from sparse_formats.masks.synthetic.shapes import SHAPES, MatrixShape

ROUNDS = 5


def gemm_gflops() -> float:
    """float32 1024³ on all threads of BLAS, best of five: a probe of the machine."""
    a = np.ones((1024, 1024), np.float32)
    return 2 * 1024**3 / min(timed(lambda: a @ a)) / 1e9


def timed(work: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Seconds of each round, after one that compiles."""
    work()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


def show(name: str, seconds: list[float], note: str = "") -> None:
    probe = gemm_gflops()
    print(
        f"{name:34} best {min(seconds):8.3f} s  median {median(seconds):8.3f} s"
        f"  (GEMM {probe:.0f} GFLOP/s)  {note}",
        flush=True,
    )


def run(
    matrices: Iterable[MaskedMatrix], activations: Activations, *settings: str
) -> list[LayerResult]:
    workload = Workload.of(matrices, activations)
    return list(simulate(workload, load_machine("tf_mvp", settings)).layers)


def rates(results: Sequence[LayerResult], seconds: float) -> str:
    """Cycles that were simulated in a second, of the machine and of its PEs."""
    cycles = sum(result.cycles for result in results)
    pes = results[0].units["pe"].count
    rate = cycles / seconds / 1e6
    return f"{rate:.1f} M cycles/s, {pes * rate:,.0f} M PE-cycles/s"


def gpt2(name: str, pattern: str, density: float, *settings: str) -> None:
    """All 48 matrices of GPT-2 small, 80 % sparse, 128 tokens."""
    matrices = list(generate(SHAPES["gpt2-small"], 0.2, pattern))
    activations = Activations(128, density)
    results = run(matrices, activations, *settings)
    seconds = timed(lambda: run(matrices, activations, *settings))
    show(name, seconds, rates(results, min(seconds)))


def llama() -> None:
    """224 matrices made one by one: 6.5 G weights, a single token; one round."""
    machine = load_machine("tf_mvp")
    simulate(Workload.generated("4096x4096", Activations(1)), machine)
    start = time.perf_counter()
    results = simulate(Workload.generated("llama-7b", Activations(1)), machine).layers
    seconds = time.perf_counter() - start
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    show("Llama-7B, 1 token, streamed", [seconds], f"{rates(results, seconds)}, {held:.2f} GB held")


def four_sizes() -> None:
    """Nanoseconds and bytes per non-zero, 0.6 to 37.7 M weights: both should stay flat."""
    for pattern in ("mvp", "fine"):
        for size in (768, 1536, 3072, 6144):
            matrices = list(generate([MatrixShape("m", "FFN1", size, size)], 0.2, pattern))
            # Without the dense baseline's memory: it is dense, and kept per shape.
            seconds = timed(lambda m=matrices: run(m, Activations(128)), 3)
            held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
            nnz = matrices[0].nnz
            each = f"{min(seconds) / nnz * 1e9:.0f} ns per non-zero, at most {held:.0f} MB so far"
            show(f"{pattern} {size}×{size}", seconds, each)


def one_product(scale_sim: Path | None) -> None:
    """128 × 768 × 768, dense and with no two tokens alike, beside SCALE-Sim's dense run."""
    macs = 128 * 768 * 768
    full = [MaskedMatrix("m", np.ones((768, 768), np.bool_))]
    theirs = None
    if scale_sim is not None:
        from accel_sim.validation.scale_sim import Counts, live

        case = Counts(64, 64, "weight", 128, 768, 768, 0, 0, 0, 0)
        start = time.perf_counter()
        live(scale_sim, [case])
        theirs = time.perf_counter() - start
        show("SCALE-Sim 3.0.0, 128×768×768", [theirs], f"{macs / theirs / 1e6:.2f} M MAC/s")
    for name, density in (("dense", 1.0), ("all tokens different", 0.5)):
        seconds = timed(lambda d=density: run(full, Activations(128, d)))
        note = f"{macs / min(seconds) / 1e6:,.0f} M MAC/s"
        if theirs is not None:
            note += f", {theirs / min(seconds):,.0f} times SCALE-Sim"
        show(f"128×768×768, {name}", seconds, note)


def command_line(mask: Path) -> None:
    """A whole process on trained masks with weights, product check and advice included."""
    words = [sys.executable, "-m", "accel_sim", "run", "--mask", str(mask)]
    for name, more in (("as it is", []), ("without advice", ["--no-advice"])):
        seconds = timed(
            lambda m=more: subprocess.run([*words, *m], check=True, capture_output=True)
        )
        show(f"accel_sim run, {name}", seconds)
    words[-2:] = ["--shapes", "gpt2-small"]
    show(
        "accel_sim run --shapes gpt2-small",
        timed(lambda: subprocess.run(words, check=True, capture_output=True)),
    )


WORKS: dict[str, Callable[[argparse.Namespace], None]] = {
    "vectors": lambda a: gpt2("GPT-2, vectors", "mvp", 1.0),
    "fine": lambda a: gpt2("GPT-2, fine-grained", "fine", 1.0),
    "zeros": lambda a: gpt2("GPT-2, vectors, 50 % zeros", "mvp", 0.5),
    "columns": lambda a: gpt2("the same, queues per column", "mvp", 0.5, "queue.per_column=true"),
    "product": lambda a: one_product(a.scale_sim),
    "command": lambda a: command_line(a.mask),
    "sizes": lambda a: four_sizes(),
    "llama": lambda a: llama(),
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("works", nargs="*", choices=[*WORKS, []], default=list(WORKS))
    parser.add_argument("--mask", type=Path, default=Path("out/demo/out.npz"))
    parser.add_argument("--scale-sim", type=Path)
    arguments = parser.parse_args()
    for work in arguments.works:
        WORKS[work](arguments)
