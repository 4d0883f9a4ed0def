"""Is what prune makes for a machine better than uniform ratios, and than plans by FLOPs?"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.pruning.targets.ready import Ready, masks_of, model_of, ready
from benchmarks.pruning.targets.rows import keep, read

METHODS = ("machine", "unsearched", "flops", "uniform")
SAMPLES = {"glassllm": 128, "minilm": 64}
SPEEDUPS = {"glassllm": (1.5, 2.0, 3.0), "minilm": (2.0, 3.0, 4.0)}


def quality(arguments: argparse.Namespace) -> None:
    """Every cell of a model, a target and a seed, several at once, by each method."""
    cells = [
        (name, speedup, seed)
        for name in arguments.models
        for seed in arguments.seeds
        for speedup in SPEEDUPS[name]
    ]
    done = {(r["model"], r["speedup"], r["seed"]) for r in read("quality", arguments.out)}
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

    torch.set_num_threads(1)
    started = time.monotonic()
    for row in _cell(cell, arguments):
        row["seconds"] = round(time.monotonic() - started, 1)
        keep("quality", row, arguments.out)


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
