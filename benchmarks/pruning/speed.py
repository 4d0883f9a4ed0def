"""Time and memory of pruning: GPT-2 small, updates of one layer, a training step of glassllm.

GPT-2 small: its 48 matrices, 84.9 M weights, to 80 %.
Run: python benchmarks/pruning/speed.py [TASK …]. Each task in a process of its own, one thread,
warmed on a small matrix first, best and median of three rounds; peak is the process's whole
resident set, the drawn weights included. Goals (chosen for an architect's patience): mixed vectors
C ≤ 10 s and ≤ 4 GB, directions ≤ 3 s, SparseGPT on 768×3072 and 3072×768 ≤ 20 s, a step of movement
≤ 1.5 of a plain one, the two in turn; the other tasks have none.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

GOALS = {
    "mvp": 10.0,
    "mvp global": 10.0,
    "directions": 3.0,
    "sparsegpt 768×3072": 20.0,
    "sparsegpt 3072×768": 20.0,
    "sparsegpt 2:4": 20.0,
}
MEMORY_GB = 4.0
STEP_GOAL = 1.5
ROUNDS, STEPS = 3, 40


def layers(shapes: str) -> list:
    """Targets of the asked shapes with log-normal scores, half a row factor, half noise."""
    import numpy as np

    from pruning.patterns.pattern import Target
    from sparse_formats.masks.synthetic.shapes import SHAPES

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
    from pruning.direction.strength import direction_strength
    from pruning.selection.weights import top_mask

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


def steps(pattern: str, budget: str) -> None:
    """Seconds of the processor for a plain training step and one of movement, in turn."""
    from importlib.util import find_spec
    from pathlib import Path

    import numpy as np
    import torch

    from pruning.data.examples import Examples
    from pruning.models.opening import open_model
    from pruning.recipe import Recipe
    from pruning.training.loop import adamw, one_step
    from pruning.training.objective import Objective
    from pruning.training.pruner import prepare
    from pruning.training.settings import Training

    torch.set_num_threads(1)
    found = find_spec("glassllm")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("this task needs glassllm: pip install --no-deps glassllm")
    file = Path(found.submodule_search_locations[0]) / "weights" / "en.npz"
    rng = np.random.default_rng(0)
    rows = [rng.integers(4, 1000, 128).tolist() for _ in range(64)]
    examples = Examples([{"input_ids": row, "labels": row} for row in rows])
    training = Training(steps=STEPS, batch=8, warmup=1, initial_warmup=0, final_warmup=0)
    dense, pruned = open_model(file), open_model(file)
    pruner = prepare(pruned, Recipe(pattern, 0.8, budget=budget), training)
    optimizer, of_pruned = (adamw(m.model.train(), 3e-4, 0.01) for m in (dense, pruned))
    objective = Objective(pruner, None)

    def plain(step: int) -> None:
        dense.model(**examples.batch([(8 * step + i) % 64 for i in range(8)])).loss.backward()
        torch.nn.utils.clip_grad_norm_(dense.model.parameters(), training.clip)
        optimizer.step()
        optimizer.zero_grad()

    seconds: list[list[float]] = [[], []]
    for step in range(STEPS):
        works = (plain, lambda _: one_step(objective, of_pruned, examples))
        for times, work in zip(seconds, works, strict=True):
            start = time.process_time()
            work(step)
            times.append(time.process_time() - start)
    # The first steps compile.
    one, other = (times[5:] for times in seconds)
    name = f"step {pattern}" + (" global" if budget == "global" else "")
    best, middle = min(other) / min(one), median(other) / median(one)
    print(
        f"{name:20} best {best:5.2f} ×  median {middle:5.2f} ×  of {1e3 * median(one):.0f} ms   "
        f"goal {STEP_GOAL:g}",
        flush=True,
    )


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
    "sparsegpt 768×3072": lambda: update("sparsegpt", 768, 3072, "fine"),
    "sparsegpt 3072×768": lambda: update("sparsegpt", 3072, 768, "fine"),
    "sparsegpt 2:4": lambda: update("sparsegpt", 768, 3072, "2:4"),
    "least_squares": lambda: update("least_squares", 768, 768, "fine"),
    "obs vector:16": lambda: update("obs", 768, 768, "vector:16"),
}


STEP_TASKS = {
    "step fine": ("fine", "matrix"),
    "step fine global": ("fine", "global"),
    "step vector:16": ("vector:16", "matrix"),
    "step block:32": ("block:32", "matrix"),
    "step mvp": ("mvp", "matrix"),
    "step mvp global": ("mvp", "global"),
    "step mvp_tiled": ("mvp_tiled", "matrix"),
    "step two_level:16": ("two_level:16", "matrix"),
    "step lane_select:16:4": ("lane_select:16:4", "matrix"),
    "step head": ("head", "matrix"),
}


def measure(task: str) -> None:
    if task in STEP_TASKS:
        steps(*STEP_TASKS[task])
        return
    run = TASKS[task]()
    run("small")
    seconds = [float(str(run("all"))) for _ in range(ROUNDS)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    goal = f"goal {GOALS[task]:g} s, {MEMORY_GB:g} GB" if task in GOALS else ""
    print(
        f"{task:20} best {min(seconds):6.2f} s  median {median(seconds):6.2f} s  "
        f"peak {peak:5.2f} GB   {goal}",
        flush=True,
    )


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        measure(sys.argv[2])
        return
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for task in sys.argv[1:] or (*TASKS, *STEP_TASKS):
        subprocess.run([sys.executable, __file__, "--one", task], check=True, env=alone)


if __name__ == "__main__":
    main()
