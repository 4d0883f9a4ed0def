"""From a model and a recipe to a pruned mask set with its report:

model ──▶ scored matrices ──▶ pools that share a budget ──▶ pattern ──▶ masks ──▶ update of the
                                                                        kept weights ──▶ report
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pruning.budgets import Share, kept_weights, masks_of, shares
from pruning.knobs import knobs_of
from pruning.models.model_files import heads_in, model_name, read_heads
from pruning.patterns.pattern import Pattern, Pruned, Target
from pruning.profiles import OWL, layer_sparsities
from pruning.recipe import (
    PatternKnobs,
    Recipe,
    check_source,
    checked,
    heads_of,
    pattern_of,
    read_recipe,
    recipe_with,
)
from pruning.reconstruct import DEFAULT_UPDATE, UPDATES, output_error
from pruning.report import Chosen, Pruning, pruning_of
from pruning.scores import SCORES
from pruning.scoring import (
    MASK_ONLY,
    SPARSE_FROM,
    ScoredMatrix,
    score_masks,
    score_weights,
    weights_of,
)
from pruning.selection.tiles import tile_sums, vector_layout
from pruning.selection.vectors.simulated import ErrorOf
from pruning.selection.weights import best_weights
from pruning.statistics.matrix_statistics import (
    StatisticsFile,
    check_needs,
    read_statistics,
    without_gram,
)
from pruning.structure.heads import Heads
from sparse_formats.errors import InputError, SettingError
from sparse_formats.files.mask_file import read_model
from sparse_formats.masks.execution import Execution, execution_in
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.terminal.progress import Tell

NEAR = 0.01
"""How far what is kept may be from what was asked, as a share of all weights, without a note."""


def prune(
    model: str | Path | Mapping[str, ArrayLike] | MaskSet,
    recipe: Recipe | str | Path | None = None,
    *,
    scores: Mapping[str, ArrayLike] | None = None,
    statistics: str | Path | None = None,
    tell: Tell = lambda step: None,
    **settings: Any,
) -> Pruning:
    """Prune a model: `prune("model", pattern="mvp", sparsity=0.8).save("out.npz")`.

    model: a Hugging Face directory, .safetensors or .npz file of weights; or 2-D arrays (out, in)
        by name; or masks (`sparse_formats.read_masks`) to prune further or to cut into vectors.
    recipe: a `Recipe`, or the path of a TOML file of one.
    settings: any of the recipe's, by name; they go before those of `recipe`.
    scores: with masks, importances ≥ 0 by the names and of the shapes of the masks.
    statistics: a file that `python -m pruning calibrate` wrote, where score or update need it.

    Raises:
        InputError: something given cannot be used, by its name.
    """
    base = read_recipe(Path(recipe)) if isinstance(recipe, str | Path) else recipe
    wanted = recipe_with(base, settings)
    if isinstance(model, MaskSet):
        given = None if scores is None else weights_of(scores)
        matrices, used = score_masks(model, check_source(wanted), given, statistics)
        wanted, origin = replace(wanted, score=used), str(model.header.get("model", "masks"))
        heads, runs = heads_in(model.header), execution_in(model.header)
        return prune_matrices(matrices, wanted, origin, tell, statistics, heads, runs)
    if scores is not None:
        raise InputError("scores go with masks; a model is scored by the recipe's score")
    if _is_path(model):
        path, found = Path(model), read_model(model)
        matrices = score_weights(found.matrices, wanted, statistics)
        heads, runs = read_heads(path), execution_in(found.header, str(path))
        return prune_matrices(matrices, wanted, model_name(path), tell, statistics, heads, runs)
    if not isinstance(model, Mapping):
        raise InputError(
            f"model is of type {type(model).__name__}; give a path, 2-D arrays by name, or masks"
        )
    matrices = score_weights(weights_of(model), wanted, statistics)
    return prune_matrices(matrices, wanted, "arrays", tell, statistics)


def _is_path(given: object) -> TypeGuard[str | Path]:
    return isinstance(given, str | Path)


def prune_matrices(
    matrices: Sequence[ScoredMatrix],
    recipe: Recipe,
    origin: str,
    tell: Tell = lambda step: None,
    statistics: StatisticsFile = None,
    heads: Heads | None = None,
    execution: Execution | None = None,
) -> Pruning:
    """Prune scored matrices by `recipe`; `origin` names the model in the mask file's header.

    statistics: file that an update of the kept weights learns the layers' inputs from.
    heads: the model's head counts, where the recipe does not state them. execution: how often the
    matrices run, for the header.

    Raises:
        InputError: a knob of the recipe cannot be used, or something it needs is not known.
    """
    recipe, about_update = _with_update(checked(recipe), matrices, statistics)
    shapes = {m.name: (m.scores.shape[0], m.scores.shape[1]) for m in matrices}
    pattern = pattern_of(recipe, shapes, heads)
    fine: list[NDArray[np.bool_]] = [np.ones(m.scores.shape, np.bool_) for m in matrices]
    pruned = [Pruned(keep) for keep in fine]
    pools = _shares(matrices, pattern, recipe)
    if pattern.settles_first:
        tell(f"{recipe.pattern}: looking at every matrix")
        comparable = _comparable(matrices, recipe)
        pattern = pattern.settle(
            [([comparable[i] for i in pool.members], pool.kept) for pool in pools],
            _output_errors(matrices, statistics),
        )
    for pool in pools:
        tell(f"{recipe.pattern} at sparsity {recipe.sparsity:g}: {matrices[pool.members[0]].name}")
        targets = _targets([matrices[i] for i in pool.members], recipe)
        masks = masks_of(pattern, targets, pool, recipe.budget, recipe.count)
        best_of = best_weights([t.scores for t in targets], kept_weights(masks))
        for i, mask, best in zip(pool.members, masks, best_of, strict=True):
            pruned[i], fine[i] = mask, best
    weights: list[NDArray[np.floating[Any]] | None] = [
        _masked(m.weight, p.keep) for m, p in zip(matrices, pruned, strict=True)
    ]
    errors: list[float | None] = [None] * len(matrices)
    if recipe.update is not None and recipe.update != "none":
        updated = _updated(matrices, pruned, pattern, recipe.update, statistics, tell)
        pruned, weights, errors = (list(part) for part in zip(*updated, strict=True))
    tell("report")
    chosen = [
        Chosen(mask, weight, pattern, free, error, _directed(m, free, recipe))
        for m, mask, weight, free, error in zip(
            matrices, pruned, weights, fine, errors, strict=True
        )
    ]
    found = pruning_of(matrices, chosen, recipe, origin, heads_of(recipe, heads), execution)
    measured_on = "the given mask" if recipe.score == MASK_ONLY else Pruning.measured_on
    notes = (
        *about_update,
        *pattern.notes,
        *_notes(matrices, pools, recipe),
        *_left_whole(matrices, pools, recipe),
        *_without_effect(recipe, pattern),
        *_kept_zeros(found.masks.matrices),
        *_asked_and_got(matrices, pools, pruned, recipe),
    )
    return replace(found, notes=notes, measured_on=measured_on)


def _shares(matrices: Sequence[ScoredMatrix], pattern: Pattern, recipe: Recipe) -> list[Share]:
    """Which matrices share a budget, and how much of it there is.

    That is what the sparsity asks for, or what the masks `within` which weights must stay have to
    give, if that is less. Masks alone cannot say which matrix matters more, so together each keeps
    the same share of its mask.
    """
    assert recipe.sparsity is not None
    targets = [Target(m.name, m.kind, m.scores) for m in matrices]
    most = [
        m.scores.size if m.within is None else int(np.count_nonzero(m.within)) for m in matrices
    ]
    is_blind = recipe.score == MASK_ONLY
    if is_blind and recipe.profile == OWL:
        raise SettingError("profile", "is owl, but masks alone have no outliers; give scores")
    layers = layer_sparsities(recipe.profile, targets, recipe.sparsity)
    return shares(targets, pattern, recipe.sparsity, recipe.budget, most, is_blind, layers)


def _targets(matrices: Sequence[ScoredMatrix], recipe: Recipe) -> list[Target]:
    """The matrices of one pool, their scores comparable."""
    if len(matrices) > 1:
        return _comparable(matrices, recipe)
    return [Target(m.name, m.kind, m.scores) for m in matrices]


def _comparable(matrices: Sequence[ScoredMatrix], recipe: Recipe) -> list[Target]:
    """The matrices with scores on one scale."""
    known = SCORES.get(recipe.score)
    scaled = not (known is not None and known.is_comparable)
    return [Target(m.name, m.kind, unit_mean(m.scores) if scaled else m.scores) for m in matrices]


def _output_errors(matrices: Sequence[ScoredMatrix], statistics: StatisticsFile) -> ErrorOf | None:
    """The error that a mask leaves on a matrix's outputs; None where inputs are not known of all.

    The kept weights stay as they are, so it is an upper bound where an update follows.
    """
    weights = {m.name: m.weight for m in matrices if m.weight is not None}
    if len(weights) < len(matrices) or without_gram(statistics, weights) is not None:
        return None

    def error_of(name: str) -> Callable[[NDArray[np.bool_]], float]:
        ((_, known),) = read_statistics(statistics, {name: weights[name]})
        assert known.gram is not None
        weight, gram = known.weight.astype(np.float64), known.gram
        return lambda keep: output_error(weight, np.where(keep, weight, 0), gram) or 0.0

    return error_of


def unit_mean(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """`scores` scaled to mean 1 (unchanged if all zero), so that matrices compete on equal terms.

    The scale of scores such as |w| differs from matrix to matrix for reasons that have nothing to
    do with importance. Source: this project's own normalisation.
    """
    mean = float(scores.mean(dtype=np.float64)) if scores.size else 0.0
    return scores / np.float32(mean) if mean > 0 else scores


def _with_update(
    recipe: Recipe, matrices: Sequence[ScoredMatrix], statistics: StatisticsFile
) -> tuple[Recipe, tuple[str, ...]]:
    """`recipe` with its update resolved, and what to say where that was not asked for.

    Raises:
        InputError: the update that is asked for is not possible.
    """
    if recipe.update is not None:
        if recipe.update != "none":
            _check_updatable(matrices, statistics, recipe.update)
        return recipe, ()
    none = replace(recipe, update="none")
    bare = next((m.name for m in matrices if m.weight is None), None)
    if statistics is None or bare is not None:
        return none, ()
    unknown = without_gram(statistics, [m.name for m in matrices])
    if unknown is not None:
        return none, (
            f"kept weights keep their values, because the statistics lack the gram of {unknown}; "
            f"calibrate for all scores, or for score obs, and they are updated ({DEFAULT_UPDATE})",
        )
    return replace(recipe, update=DEFAULT_UPDATE), (
        f"kept weights were updated ({DEFAULT_UPDATE}), because the statistics hold every layer's "
        'inputs; update "none" leaves them as they are',
    )


def _check_updatable(
    matrices: Sequence[ScoredMatrix], statistics: StatisticsFile, update: str
) -> None:
    bare = next((m.name for m in matrices if m.weight is None), None)
    if bare is not None:
        raise SettingError(
            "update",
            f"is {update!r}, which changes weights, and matrix {bare} has none; leave it out",
        )
    if statistics is None:
        raise SettingError(
            "update",
            f"is {update!r}, which needs the layers' inputs; collect them with "
            "`python -m pruning calibrate` and give the file as statistics",
        )


def _updated(
    matrices: Sequence[ScoredMatrix],
    pruned: Sequence[Pruned],
    pattern: Pattern,
    update: str,
    statistics: StatisticsFile,
    tell: Tell,
) -> list[tuple[Pruned, NDArray[np.floating[Any]], float | None]]:
    """Mask, weights and output error of every matrix after `update`."""
    weights = {m.name: m.weight for m in matrices if m.weight is not None}
    found = []
    for (name, known), mask in zip(read_statistics(statistics, weights), pruned, strict=True):
        tell(f"{update}: {name}")
        check_needs(known, ("gram",), update, name)
        assert known.gram is not None
        weight = known.weight.astype(np.float64)
        local = pattern.local(mask.keep, mask.layout)
        keep, rebuilt = UPDATES[update](weight, known.gram, mask.keep, local)
        layout = mask.layout
        if layout is not None and local is not None and local.tile is not None:
            layout = vector_layout(tile_sums(keep, local.tile) > 0, local.tile)
        error = output_error(weight, rebuilt, known.gram)
        found.append((Pruned(keep, layout, mask.slots), rebuilt.astype(known.weight.dtype), error))
    return found


def _notes(
    matrices: Sequence[ScoredMatrix], pools: Sequence[Share], recipe: Recipe
) -> tuple[str, ...]:
    asked, given = sum(pool.asked for pool in pools), sum(pool.kept for pool in pools)
    # Whole groups round apart from their parts, by half a weight each.
    if asked - given <= len(pools):
        return ()
    size = sum(matrices[i].scores.size for pool in pools for i in pool.members)
    return (
        f"sparsity {recipe.sparsity:g} would keep {asked} of {size} weights, but what was given "
        f"has only {given} that are not zero or dropped; the others stay dropped unless scores "
        "are given",
    )


def _left_whole(
    matrices: Sequence[ScoredMatrix], pools: Sequence[Share], recipe: Recipe
) -> tuple[str, ...]:
    touched = {i for pool in pools for i in pool.members}
    left = [m.name for i, m in enumerate(matrices) if i not in touched]
    if not left:
        return ()
    return (
        f"pattern {recipe.pattern} has nothing to remove in {len(left)} of {len(matrices)} "
        f"matrices ({left[0]}, …): they are left whole, the sparsity is that of the others",
    )


def _without_effect(recipe: Recipe, pattern: Pattern) -> tuple[str, ...]:
    """A note for each knob that was set and belongs to other patterns."""
    default, own = Recipe(), knobs_of(type(pattern))
    return tuple(
        f"{name} has no effect on pattern {recipe.pattern}"
        for name in knobs_of(PatternKnobs)
        if name not in own and getattr(recipe, name) != getattr(default, name)
    )


def _kept_zeros(masked: Sequence[MaskedMatrix]) -> tuple[str, ...]:
    """A note, if weights that are kept are zero, as in a model that was sparse before."""
    kept = sum(m.nnz for m in masked if m.weight is not None)
    zeros = kept - sum(int(np.count_nonzero(m.weight)) for m in masked if m.weight is not None)
    if zeros <= SPARSE_FROM * kept:
        return ()
    return (
        f"the model is sparse already: {zeros} of the {kept} weights that this pattern keeps are "
        "zero; give the model as mask to the other commands to use its own zeros",
    )


def _asked_and_got(
    matrices: Sequence[ScoredMatrix],
    pools: Sequence[Share],
    pruned: Sequence[Pruned],
    recipe: Recipe,
) -> tuple[str, ...]:
    """A note, if whole units put the sparsity far from what was asked, of all or somewhere."""
    if recipe.count != "weights" or not pools:
        return ()
    got = [kept_weights([pruned[i] for i in pool.members]) for pool in pools]
    sizes = [sum(matrices[i].scores.size for i in pool.members) for pool in pools]
    off = [
        abs(kept - pool.kept) / max(size, 1)
        for pool, kept, size in zip(pools, got, sizes, strict=True)
    ]
    worst = off.index(max(off))
    if off[worst] <= NEAR:
        return ()
    asked = sum(pool.kept for pool in pools)
    where = matrices[pools[worst].members[0]].name
    most = f"; most apart are {pools[worst].kept} and {got[worst]} of {sizes[worst]} at {where}"
    return (
        f"asked to keep {asked} of {sum(sizes)} weights and kept {sum(got)}, because the units of "
        f"pattern {recipe.pattern} stay or go whole{most if len(pools) > 1 else ''}",
    )


def _directed(matrix: ScoredMatrix, fine: NDArray[np.bool_], recipe: Recipe) -> NDArray[np.bool_]:
    """The mask whose direction is reported: any top-k of a mask is a worse witness than it."""
    given = matrix.within if recipe.score == MASK_ONLY else None
    return fine if given is None else given


def _masked(
    weight: NDArray[np.floating[Any]] | None, keep: NDArray[np.bool_]
) -> NDArray[np.floating[Any]] | None:
    return None if weight is None else np.where(keep, weight, weight.dtype.type(0))
