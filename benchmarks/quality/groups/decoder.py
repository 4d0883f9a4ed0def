"""glassllm, pruned and recovered on WikiText-2's `valid`, measured on its `test`."""

import json
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.quality.cells import STEPS, Cell
from benchmarks.quality.commands import (
    CACHE,
    density,
    directions,
    evaluated,
    installed,
    pruning,
    quietly,
    simulated,
)
from benchmarks.quality.tables import Cells, spread, table, what

EVAL_TOKENS = "30000"


WHOLE = ("vector_cost",)
"""Options that are the recipe's own; the others belong to its [training]."""


def measure(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """Prune while training, or with option route "oneshot" halfway, then recover.

    The folder that `train --save` writes is measured: embeddings and norms learned too, and the
    mask file does not hold them.
    """
    model = installed("glassllm") / "weights" / "en.npz"
    options = dict(cell.options)
    mask, saved, corpus = folder / "mask.npz", folder / "saved", data / "wikitext-2"
    text = ["--text", corpus / "valid.txt"]
    recipe = _recipe(cell, options, folder)
    if options.get("route") == "oneshot":
        account = _oneshot(cell, options, model, text, folder, mask, saved)
    else:
        train = ["--model", model, *text, "--recipe", recipe, "--out", mask]
        if "distill" in options:
            # The model as it came knows nothing of this text: its dense self is trained first.
            train += ["--teacher", _teacher(cell, options, model, text)]
        account = pruning("train", *train, "--save", saved)
    test = ["--text", corpus / "test.txt", "--max-tokens", EVAL_TOKENS]
    figures = {
        "dense": evaluated("--model", model, *test)["dense"],
        "masked": evaluated("--model", saved, *test)["dense"],
    }
    return {
        "figures": figures,
        "training": account["training"],
        "first_loss": account["losses"][0],
        "last_loss": account["losses"][-1],
        "direction": directions(mask) if cell.sparsity else None,
        **density(account),
        "simulated": simulated(mask),
    }


def _recipe(cell: Cell, options: dict[str, str], folder: Path) -> Path:
    # Heads are few and large: movement needs them compared across layers.
    budget = "global" if cell.pattern == "head" else "matrix"
    training = {
        "steps": STEPS,
        "batch": 8,
        "length": 128,
        "learning_rate": 1e-3,
        "score_learning_rate": 1e-2,
        "every": 5,
        "final_warmup": 4,
        "stages": [stage for stage in options.get("stages", "").split(",") if stage],
    }
    own = {"pattern": cell.pattern, "sparsity": cell.sparsity, "budget": budget, "seed": cell.seed}
    for key, value in options.items():
        if key not in ("stages", "route", "update"):
            (own if key in WHOLE else training)[key] = _number(value)
    lines = [f"{key} = {json.dumps(value)}" for key, value in own.items()]
    lines += ["[training]", *(f"{key} = {json.dumps(value)}" for key, value in training.items())]
    recipe = folder / "recipe.toml"
    recipe.write_text("\n".join(lines) + "\n")
    return recipe


def _teacher(cell: Cell, options: dict[str, str], model: Path, text: list[object]) -> Path:
    """The dense model after as many steps; trained once."""
    steps = options.get("steps", str(STEPS))
    folder = CACHE / f"glassllm_{steps}_seed{cell.seed}"
    if not (folder / "config.json").exists():
        quietly(
            "train", "--model", model, *text, "--pattern", "fine", "--sparsity", 0,
            "--method", "gradual_magnitude", "--steps", steps, "--batch", 8, "--length", 128,
            "--learning-rate", 1e-3, "--seed", cell.seed,
            "--out", CACHE / f"{folder.name}.npz", "--save", folder,
        )  # fmt: skip
    return folder


def _number(text: str) -> str | int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _oneshot(
    cell: Cell,
    options: dict[str, str],
    model: Path,
    text: list[object],
    folder: Path,
    mask: Path,
    saved: Path,
) -> dict[str, Any]:
    """Half of the steps dense, then pruned at once, the rest of the steps for recovery."""
    half = ["--steps", STEPS // 2, "--batch", 8, "--length", 128, "--learning-rate", 1e-3]
    half += ["--seed", cell.seed]
    learnt, cut, sums = folder / "learnt", folder / "cut.npz", folder / "sums.npz"
    dense = ["--pattern", "fine", "--sparsity", 0, "--method", "gradual_magnitude"]
    quietly("train", "--model", model, *text, *half, *dense, "--out", cut, "--save", learnt)
    prune = ["--model", learnt, "--pattern", cell.pattern, "--sparsity", cell.sparsity]
    if options["update"] != "none":
        quietly("calibrate", "--model", learnt, *text, "--score", "sparsegpt", "--out", sums)
        prune += ["--update", options["update"], "--statistics", sums]
    quietly("prune", *prune, "--out", cut)
    recover = ["--method", "recovery", "--mask", cut, "--out", mask, "--save", saved]
    return pruning("train", "--model", learnt, *text, *half, *recover)


def section(cells: Cells) -> list[str]:
    """The table of perplexities, cycles and energy."""
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((what(cell), cell["sparsity"]), []).append(cell)
    rows = []
    for (title, sparsity), some in sorted(
        groups.items(), key=lambda item: (item[0][1], item[0][0])
    ):
        simulated = [c["simulated"] for c in some]
        rows.append(
            [
                title,
                f"{sparsity:g}",
                f"{mean(c['density'] for c in some):.3f}",
                spread([c["figures"]["masked"]["per_token"] for c in some]),
                f"{len(some)}",
                f"{mean(s['cycles'] for s in simulated):,.0f}",
                f"{mean(s['dense_cycles'] / s['cycles'] for s in simulated):.2f}",
                f"{mean(s['energy_uj'] for s in simulated):.1f}",
            ]
        )
    dense = cells[0]["figures"]["dense"]["per_token"]
    header = ["pattern", "sparsity", "density", "perplexity", "seeds", "cycles", "× dense", "µJ"]
    return [
        "## Decoder: glassllm on WikiText-2\n",
        f"Training takes {STEPS} steps of 8×128 tokens of `valid`, with movement pruning and "
        "without distillation unless a row says otherwise. Perplexity is per token on the "
        f"beginning of `test`, with stride 128. It is {dense:.1f} for the dense model before any "
        "training. The row with sparsity 0 is the same training without pruning. The sparsity of "
        "heads counts within the attention matrices; a unit was a key-value head with its two "
        "query heads.\n",
        table(header, rows),
    ]
