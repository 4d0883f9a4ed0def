"""Masks for transformers: pruning patterns and scores, direction strength, training, evaluation."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pruning.direction.analysis import Analysis, analyze
    from pruning.direction.strength import DirectionStrength, direction_strength
    from pruning.models.masking import apply_masks
    from pruning.models.opening import OpenModel, open_model
    from pruning.patterns import PATTERNS, make_pattern
    from pruning.pipeline import prune
    from pruning.recipe import Recipe, read_recipe
    from pruning.reconstruct import UPDATES
    from pruning.report import MatrixReport, Pruning
    from pruning.scores import SCORES
    from pruning.surgery.shrink import shrink
    from pruning.training.pruner import Pruner, prepare
    from pruning.training.settings import Training
    from pruning.training.trainer_callback import trainer_callback

__all__ = [
    "PATTERNS",
    "SCORES",
    "UPDATES",
    "Analysis",
    "DirectionStrength",
    "MatrixReport",
    "OpenModel",
    "Pruner",
    "Pruning",
    "Recipe",
    "Training",
    "analyze",
    "apply_masks",
    "direction_strength",
    "make_pattern",
    "open_model",
    "prepare",
    "prune",
    "read_recipe",
    "shrink",
    "trainer_callback",
]

_HOMES = {
    "PATTERNS": "patterns",
    "SCORES": "scores",
    "UPDATES": "reconstruct",
    "Analysis": "direction.analysis",
    "DirectionStrength": "direction.strength",
    "MatrixReport": "report",
    "OpenModel": "models.opening",
    "Pruner": "training.pruner",
    "Pruning": "report",
    "Recipe": "recipe",
    "Training": "training.settings",
    "analyze": "direction.analysis",
    "apply_masks": "models.masking",
    "direction_strength": "direction.strength",
    "make_pattern": "patterns",
    "open_model": "models.opening",
    "prepare": "training.pruner",
    "prune": "pipeline",
    "read_recipe": "recipe",
    "shrink": "surgery.shrink",
    "trainer_callback": "training.trainer_callback",
}
"""The module of each public name."""


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
