"""glassllm, pruned and recovered on most of WikiText-2's `valid`, measured on its `test`."""

from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.quality.cells import Cell, Rates
from benchmarks.quality.commands import (
    at_equal_area,
    density,
    directions,
    evaluated,
    installed,
    pruning,
    quietly,
    simulated,
)
from benchmarks.quality.protocol import chosen, parts, recipe, training
from benchmarks.quality.tables import Cells, spread, table, what

EVAL_TOKENS = "30000"

WHOLE = ("orientation", "vector_cost")
"""Options that are the recipe's own."""

TRAINED = ("first_scores", "method", "distill")
"""Options that belong to its table [training]."""

RIVALS = {"fine": "cambricon_x", "2:4": "tensor_core_2_4", "1:4": "tensor_core_1_4"}
"""The machine made for a pattern besides tf_mvp; it gets tf_mvp's area."""

ONE_GROUP = ("--set", "array.lane_groups=[1]")


def measure(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """Train with the settings that the search chose, and read `test` once.

    The folder that `train --save` writes is measured: embeddings and norms learned too, and the
    mask file does not hold them.
    """
    rates = chosen(cell.pattern, cell.sparsity, int(dict(cell.options)["steps"]))
    account = trained(cell, rates, parts(data).train, folder)
    test = ["--text", data / "wikitext-2" / "test.txt", "--max-tokens", EVAL_TOKENS]
    figures = evaluated("--model", folder / "saved", *test, "--no-floors")
    mask = folder / "mask.npz"
    machines = {"tf_mvp": simulated(mask), "one lane group": simulated(mask, *ONE_GROUP)}
    rival = RIVALS.get(cell.pattern)
    if rival and cell.sparsity and cell.seed == 0:
        machines[rival] = at_equal_area(mask, rival)
    return {
        "rates": asdict(rates),
        "figures": {"masked": figures["dense"]},
        "training": account["training"],
        "first_loss": account["losses"][0],
        "last_loss": account["losses"][-1],
        "direction": directions(mask) if cell.sparsity else None,
        **density(account),
        "machines": machines,
    }


def trained(cell: Cell, rates: Rates, text: Path, folder: Path) -> dict[str, Any]:
    """Train the cell's pattern on `text`: what `train` prints, mask.npz and saved/ in `folder`."""
    model = installed("glassllm") / "weights" / "en.npz"
    options = dict(cell.options)
    own = {"pattern": cell.pattern, "sparsity": cell.sparsity, "seed": cell.seed}
    own |= {key: _number(options[key]) for key in WHOLE if key in options}
    learned = training(int(options["steps"]), rates)
    learned |= {key: _number(options[key]) for key in TRAINED if key in options}
    words: list[object] = ["--model", model, "--text", text]
    if cell.sparsity == 0:
        learned["method"] = "gradual_magnitude"
    if options.get("mask") == "random":
        drawn = folder / "random.npz"
        quietly(
            "prune", "--model", model, "--pattern", cell.pattern, "--sparsity", cell.sparsity,
            "--score", "random", "--seed", cell.seed, "--out", drawn,
        )  # fmt: skip
        learned["method"] = "recovery"
        words += ["--mask", drawn]
    words += ["--recipe", recipe(folder, own, learned), "--out", folder / "mask.npz"]
    return pruning("train", *words, "--save", folder / "saved")


def _number(text: str) -> str | int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def section(cells: Cells) -> list[str]:
    """The table of perplexities, cycles and energy."""
    groups: dict[tuple[float, int, str], list[dict[str, Any]]] = {}
    for cell in cells:
        key = (cell["sparsity"], int(cell["options"]["steps"]), what(cell))
        groups.setdefault(key, []).append(cell)
    rows = []
    for (sparsity, _, title), some in sorted(groups.items()):
        machines = [c["machines"] for c in some]
        rows.append(
            [
                title,
                f"{sparsity:g}",
                f"{mean(c['density'] for c in some):.3f}",
                spread([c["figures"]["masked"]["per_token"] for c in some], ".2f"),
                f"{len(some)}",
                *(
                    text
                    for name in ("tf_mvp", "one lane group")
                    for text in (
                        f"{mean(m[name]['cycles'] for m in machines):,.0f}",
                        f"{mean(m[name]['energy_uj'] for m in machines):.1f}",
                    )
                ),
            ]
        )
    header = ["pattern", "sparsity", "density", "perplexity", "seeds"]
    header += ["cycles", "µJ", "cycles, one lane group", "µJ, one lane group"]
    return [
        "## Decoder: glassllm on WikiText-2\n",
        table(header, rows),
    ]
