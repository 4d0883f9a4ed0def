"""The masks of a point: chosen at once by a recipe, or learned in a training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruning.frontier.plan import Point
from pruning.frontier.study import Recovery, Study
from pruning.models.model_files import model_name, read_heads
from pruning.models.order import HEADER, as_json, read_permutation
from pruning.pipeline import prune_matrices
from pruning.recipe import Recipe, checked
from pruning.report import Pruning, importance_kept
from pruning.scoring import CHOOSES_WEIGHTS, ScoredMatrix, score_weights
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_model
from sparse_formats.masks.execution import execution_in
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.masks.matrix_names import kind_of
from sparse_formats.masks.selection import select
from sparse_formats.terminal.progress import Tell


class Impossible(Exception):
    """A pattern that this model cannot have; the message says why."""


@dataclass(frozen=True, eq=False)
class Source:
    """The model's matrices by name, which of them are pruned, and what its files say besides."""

    model: Mapping[str, NDArray[np.floating[Any]]]
    names: tuple[str, ...]
    header: Mapping[str, Any]


def source_of(study: Study) -> Source:
    """The matrices of the study's model, read once."""
    assert study.model is not None
    return _source(study.model, study.rules.include, study.rules.exclude, study.fingerprint)


@lru_cache(maxsize=1)
def _source(
    path: Path, include: tuple[str, ...], exclude: tuple[str, ...], fingerprint: str
) -> Source:
    found = read_model(path)
    names = tuple(select(found.matrices, include, exclude))
    return Source(found.matrices, names, found.header)


def pruned(study: Study, point: Point, tell: Tell) -> Pruning:
    """Prune at once by the point's recipe; what all points share is computed once.

    Raises:
        Impossible: the pattern does not fit this model.
    """
    assert study.model is not None and point.recipe is not None
    source, recipe = source_of(study), checked(point.recipe)
    statistics = study.statistics if recipe.score != "random" else None
    matrices = _scored(
        study.model,
        recipe.score,
        recipe.seed if recipe.score == "random" else 0,
        recipe.include,
        recipe.exclude,
        recipe.pattern in CHOOSES_WEIGHTS,
        statistics,
        study.fingerprint,
    )
    try:
        found = prune_matrices(
            matrices,
            recipe,
            model_name(study.model),
            tell,
            statistics,
            read_heads(study.model),
            execution_in(source.header, str(study.model)),
        )
    except InputError as error:
        raise Impossible(str(error)) from error
    order = source.header.get(HEADER)
    if order is None and (there := read_permutation(study.model)) is not None:
        order = as_json(there)
    if order is None:
        return found
    return replace(found, masks=replace(found.masks, header={**found.masks.header, HEADER: order}))


def zeroed(study: Study) -> MaskSet:
    """Masks that keep nothing."""
    source = source_of(study)
    return MaskSet(
        tuple(
            MaskedMatrix(name, np.zeros(source.model[name].shape, np.bool_), None, kind_of(name))
            for name in source.names
        )
    )


def without_weights(masks: MaskSet) -> MaskSet:
    """The masks alone: their weights are those of the model."""
    return replace(masks, matrices=tuple(replace(matrix, weight=None) for matrix in masks.matrices))


def trained(
    study: Study, point: Point, given: MaskSet | None, folder: Path, tell: Tell
) -> tuple[Any, MaskSet, float | None]:
    """The opened model and its masks after training, and the share of importance that they keep.

    The importance is the magnitude of the weights before the training. A checkpoint in `folder` is
    taken up.

    given: the masks of a floor, which are locked from the first step; None where masks are learned.

    Raises:
        Impossible: the pattern does not fit this model.
        InputError: the model cannot learn from these examples.
    """
    import torch

    from pruning.data.examples import examples_of
    from pruning.models.opening import open_model
    from pruning.training.loop import train
    from pruning.training.pruner import prepare

    recovery, recipe = study.recovery, point.recipe
    assert recovery is not None and recipe is not None and study.model is not None
    recipe = checked(recipe)
    torch.manual_seed(recipe.seed)
    opened = open_model(study.model, recovery.task, recipe.include, recipe.exclude)
    length = recovery.training.length or None
    examples = examples_of(
        opened, recovery.text, recovery.table, recovery.squad, length, recipe.seed
    )
    magnitudes = {matrix.name: np.abs(matrix.weight()) for matrix in opened.matrices}
    opened.model.to(torch.device(study.device))  # type: ignore[arg-type]
    training = replace(recovery.training, method=method_of(point, recovery))
    recipe = replace(recipe, score="magnitude", update=None)
    try:
        pruner = prepare(opened, recipe, training, given)
    except InputError as error:
        raise Impossible(str(error)) from error
    found = train(opened, pruner, examples, folder, tell=tell).masks
    scores = [magnitudes[matrix.name] for matrix in found.matrices]
    return opened, found, importance_kept(scores, [matrix.keep for matrix in found.matrices])


def method_of(point: Point, recovery: Recovery) -> str:
    """The method of training: floors have their masks, and the dense model has nothing to prune."""
    if point.kind == "pruned":
        return recovery.training.method
    return "gradual_magnitude" if point.kind == "trained dense" else "recovery"


@lru_cache(maxsize=2)
def _scored(
    path: Path,
    score: str,
    seed: int,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    chooses_weights: bool,
    statistics: Path | None,
    fingerprint: str,
) -> list[ScoredMatrix]:
    """Scores of the model's matrices: every point with the same score takes them from here."""
    # Of a pattern, scores depend only on whether it chooses single weights.
    pattern = CHOOSES_WEIGHTS[0] if chooses_weights else "row"
    recipe = Recipe(pattern=pattern, score=score, seed=seed, include=include, exclude=exclude)
    model = _source(path, include, exclude, fingerprint).model
    return score_weights(model, recipe, statistics)
