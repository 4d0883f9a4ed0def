"""Other masks of the same density that could be tried: commands, not figures.

Which pattern of weights a model can bear is no question for a simulator, so nothing is simulated:
each command prunes the model anew, and the mask that it writes can be simulated in turn.
"""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from accel_sim.inputs.workload import Workload

LENGTHS = (8, 16, 32)
"""Of vectors that are tried (chosen): half as long, as long and twice as long as 16 lanes."""

SCORES = ("magnitude", "random", "first_order", "fisher", "wanda", "sparsegpt", "obs")
"""Scores that `prune` takes; a recipe may name another origin of its importances."""

DEFAULTS = {
    "score": "magnitude",
    "budget": "matrix",
    "count": "weights",
    "update": None,
    "seed": 0,
}
"""Settings of the recipe that stay as they were, with the defaults that need not be typed."""


def mask_advice(workload: Workload, density: float | None) -> dict[str, Any]:
    """Masks of other patterns with as many weights kept, as commands that make them.

    density: of the simulated matrices; where the mask's own recipe is known, its sparsity is taken.

    Returns:
        model: what the mask file calls its model, None if it does not; commands: of each other mask
        the change, in words, and the command. Empty where there is nothing to prune.
    """
    if density is None or not 0 < density < 1:
        return {}
    header = workload.origin.get("header") or {}
    recipe, model = _recipe(header), header.get("model")
    sparsity = recipe.get("sparsity", round(1 - density, 6))
    own = recipe.get("pattern", workload.origin.get("pattern"))
    patterns = {"mvp": "vectors of mixed lengths"} | {
        f"vector:{length}": f"vectors of length {length} only" for length in LENGTHS
    }
    return {
        "model": model if isinstance(model, str) and model != "masks" else None,
        "commands": [
            {"change": words, "command": _command(pattern, sparsity, recipe)}
            for pattern, words in patterns.items()
            if pattern != own
        ],
    }


def _recipe(header: Mapping[str, Any]) -> Mapping[str, Any]:
    """The recipe that a mask file of ours holds; {} where there is none that can be read."""
    recipe = header.get("recipe")
    return recipe if isinstance(recipe, Mapping) else {}


def _command(pattern: str, sparsity: float, recipe: Mapping[str, Any]) -> str:
    words = ["--pattern", pattern, "--sparsity", f"{sparsity:g}"]
    asked = {key: recipe.get(key, default) for key, default in DEFAULTS.items()}
    if asked["score"] not in SCORES:
        asked["score"] = DEFAULTS["score"]
    asked = {key: value for key, value in asked.items() if value != DEFAULTS[key]}
    needs_more = asked.get("score", "random") != "random" or asked.get("update", "none") != "none"
    if not needs_more:
        asked.pop("update", None)  # without statistics there is none anyway
    for key, value in asked.items():
        words += [f"--{key}", str(value)]
    for key in ("include", "exclude"):
        for regex in recipe.get(key) or ():
            words += [f"--{key}", str(regex)]
    words += ["--out", re.sub(r"\W", "_", pattern) + ".npz"]
    statistics = ' --statistics "$STATISTICS"' if needs_more else ""
    return f'python -m pruning prune --model "$MODEL"{statistics} {shlex.join(words)}'
