"""The account of a training run, as JSON-able data."""

from typing import Any

from pruning.budgets import bytes_of
from pruning.quantization.ranges import as_json as ranges_json
from pruning.recipe import as_json as recipe_json
from pruning.recipe import pattern_of
from pruning.training.loop import Run
from pruning.training.pruner import Pruner
from pruning.training.settings import as_json as training_json


def account_of(pruner: Pruner, run: Run) -> dict[str, Any]:
    """The resolved recipe and settings, the course of the run, and what it did to each matrix.

    retention: importance that the mask kept when it was locked ÷ the most that as many weights
    could; None where nothing had importance. flops: multiplications and additions a token. bytes:
    in the format of the recipe's pattern with 16-bit values; None where it cannot hold the mask, as
    a given one.
    """
    import torch
    import transformers

    shapes = {m.name: m.shape for m in run.masks.matrices}
    pattern = pattern_of(pruner.recipe, shapes, pruner.opened.heads)
    matrices = [
        {
            "name": m.name,
            "kind": m.kind,
            "rows": m.shape[0],
            "cols": m.shape[1],
            "density": m.density,
            "retention": kept / best if best else None,
            "flops": 2 * m.nnz,
            "bytes": bytes_of(pattern, m),
        }
        for m, (kept, best) in zip(run.masks.matrices, pruner.retained, strict=True)
    ]
    stored = [m["bytes"] for m in matrices]
    kept, best = (sum(part) for part in zip(*pruner.retained, strict=True))
    nnz = sum(m.nnz for m in run.masks.matrices)
    weights = sum(m.size for m in run.masks.matrices)
    return {
        "recipe": recipe_json(pruner.recipe),
        "training": training_json(pruner.training),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "resumed_at": run.resumed_at,
        "ranges": ranges_json(run.ranges) or None,
        "losses": list(run.losses),
        "densities": list(run.densities),
        "matrices": matrices,
        "total": {
            "matrices": len(matrices),
            "weights": weights,
            "kept": nnz,
            "density": nnz / weights,
            "retention": kept / best if best else None,
            "flops": 2 * nnz,
            "bytes": None if None in stored else sum(stored),
        },
    }
