"""Time and memory of pruning GPT-2-small's 48 matrices: 84.9 M weights to 80 %.

Run: python benchmarks/pruning/gpt2_shapes.py [TASK …]. Each task in a process of its own, warmed on
a small matrix first; peak is the process's whole resident set, the drawn weights included. Goals
(chosen for an architect's patience): mixed vectors C ≤ 10 s and ≤ 4 GB, directions ≤ 3 s, SparseGPT
on 768×3072 ≤ 20 s; the other tasks have none.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

GOALS = {"mvp": 10.0, "mvp global": 10.0, "directions": 3.0, "sparsegpt": 20.0}


def layers(shapes: str) -> list:
    """Targets of the asked shapes with log-normal scores, half a row factor, half noise."""
    import numpy as np

    from pruning.patterns.pattern import Target
    from sparse_formats.synthetic import SHAPES

    rng = np.random.default_rng(0)
    found = []
    for shape in SHAPES["gpt2-small"] if shapes == "all" else SHAPES["gpt2-small"][:1]:
        rows, cols = (shape.rows, shape.cols) if shapes == "all" else (128, 128)
        logs = rng.standard_normal((rows, cols), np.float32)
        logs += rng.standard_normal((rows, 1), np.float32)
        logs *= np.float32(0.5**0.5)
        found.append(Target(shape.name, shape.kind, np.exp(logs, out=logs)))
    return found


def select(text: str, is_global: bool) -> Callable[[str], object]:
    """Masks of one pattern, each matrix by itself or all together."""
    from pruning.patterns import make_pattern

    def run(shapes: str) -> object:
        targets = layers(shapes)
        pattern = make_pattern(text, {})
        groups = [targets] if is_global else [[t] for t in targets]
        density = 0.2 if pattern.density is None else pattern.density
        start = time.perf_counter()
        for group in groups:
            pattern.masks(group, pattern.kept(group, 1 - density))
        return time.perf_counter() - start

    return run


def directions(shapes: str) -> object:
    from pruning.direction import direction_strength
    from pruning.patterns.fine_grained import top_mask

    masks = [top_mask(t.scores, t.scores.size // 5) for t in layers(shapes)]
    start = time.perf_counter()
    for keep in masks:
        direction_strength(keep)
    return time.perf_counter() - start


def update(name: str, rows: int, cols: int, text: str) -> Callable[[str], object]:
    """One update of one layer at 50 %, with the statistics of 4·cols tokens."""

    def run(shapes: str) -> object:
        import numpy as np

        from pruning.patterns import make_pattern
        from pruning.patterns.pattern import Target
        from pruning.reconstruct import UPDATES

        height, width = (rows, cols) if shapes == "all" else (32, 64)
        rng = np.random.default_rng(0)
        weight = rng.standard_normal((height, width))
        x = rng.standard_normal((width, 4 * width)) + rng.standard_normal((1, 4 * width))
        gram = x @ x.T
        pattern = make_pattern(text, {})
        (found,) = pattern.masks(
            [Target("a", "other", np.abs(weight).astype(np.float32))], weight.size // 2
        )
        local = pattern.local(found.keep, found.layout)
        start = time.perf_counter()
        UPDATES[name](weight, gram, found.keep, local)
        return time.perf_counter() - start

    return run


TASKS: dict[str, Callable[[], Callable[[str], object]]] = {
    "mvp": lambda: select("mvp", False),
    "mvp global": lambda: select("mvp", True),
    "mvp_tiled": lambda: select("mvp_tiled", False),
    "fine": lambda: select("fine", False),
    "vector:16": lambda: select("vector:16", False),
    "block:32": lambda: select("block:32", False),
    "2:4": lambda: select("2:4", False),
    "vector_wise:4:16": lambda: select("vector_wise:4:16", False),
    "directions": lambda: directions,
    "sparsegpt": lambda: update("sparsegpt", 768, 3072, "fine"),
    "sparsegpt 2:4": lambda: update("sparsegpt", 768, 3072, "2:4"),
    "least_squares": lambda: update("least_squares", 768, 768, "fine"),
    "obs vector:16": lambda: update("obs", 768, 768, "vector:16"),
}


def measure(task: str) -> None:
    run = TASKS[task]()
    run("small")
    seconds = float(str(run("all")))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    goal = f"goal {GOALS[task]:g}" if task in GOALS else ""
    print(f"{task:18}{seconds:8.2f} s{peak:8.2f} GB   {goal}", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        measure(sys.argv[2])
        return
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for task in sys.argv[1:] or TASKS:
        subprocess.run([sys.executable, __file__, "--one", task], check=True, env=alone)


if __name__ == "__main__":
    main()
