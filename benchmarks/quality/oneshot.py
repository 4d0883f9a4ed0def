"""A model pruned at once, in the order of its units that the cell wants; each made once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality.cells import Cell
from benchmarks.quality.commands import CACHE, pruning, quietly, simulated

RECIPE = ("score", "update", "orientation")
"""Options of a cell that `prune` has as flags."""


@dataclass(frozen=True)
class Source:
    """A model to prune at once: its folder, what its files in the cache are called, what it reads.

    samples × length tokens of `text` calibrate it.
    """

    model: Path
    called: str
    text: Path
    samples: int
    length: int


@dataclass(frozen=True)
class Cut:
    """What came of it.

    model: the one that the mask is for. account: what the cell's file says of the mask.
    """

    model: Path
    mask: Path
    account: Mapping[str, Any]


def cut(cell: Cell, source: Source, folder: Path, *words: object) -> Cut:
    """Prune by the cell's options, with further `words` of the command.

    Statistics are given where the score or the update asks for them. Without option update kept
    weights keep their values.
    """
    options = dict(cell.options)
    model, called = _ordered(cell, source)
    given = [part for key in RECIPE if key in options for part in (f"--{key}", options[key])]
    if "update" in options or options.get("score", "magnitude") != "magnitude":
        given += ["--statistics", str(_statistics(model, called, source))]
    if "update" not in options:
        given += ["--update", "none"]
    mask = folder / "mask.npz"
    account = pruning(
        "prune", "--model", model, "--pattern", cell.pattern, "--sparsity", cell.sparsity,
        *given, *words, "--out", mask,
    )  # fmt: skip
    errors = [matrix["output_error"] for matrix in account["report"]]
    said = {
        "density": account["total"]["density"],
        "output_error": None if None in errors else sum(errors) / len(errors),
        "machines": {"tf_mvp": simulated(mask)},
    }
    return Cut(model, mask, said)


def machine(cell: Mapping[str, Any]) -> list[str]:
    """Cycles and µJ of a cell's row; nothing for cells of a machine that is no more."""
    found = cell.get("machines")
    if found is None:
        return ["", ""]
    return [f"{found['tf_mvp']['cycles']:,}", f"{found['tf_mvp']['energy_uj']:.0f}"]


def _ordered(cell: Cell, source: Source) -> tuple[Path, str]:
    """The model's folder and name; with option order "permuted" its units are moved there."""
    if dict(cell.options).get("order") != "permuted":
        return source.model, source.called
    density = round(1 - cell.sparsity, 4)
    called = f"{source.called}_{cell.pattern.replace(':', '-')}_{density:g}"
    if not (CACHE / called / "config.json").exists():
        quietly(
            "permute", "--model", source.model, "--for", cell.pattern, "--density", density,
            "--save", CACHE / called,
        )  # fmt: skip
    return CACHE / called, called


def _statistics(model: Path, called: str, source: Source) -> Path:
    """The sums over what the layers of `model` read."""
    path = CACHE / f"{called}.npz"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        quietly(
            "calibrate", "--model", model, "--text", source.text, "--out", path,
            "--length", source.length, "--samples", source.samples,
            "--score", "obs", "--score", "wanda",
        )  # fmt: skip
    return path
