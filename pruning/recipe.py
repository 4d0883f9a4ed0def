"""The recipe: every knob of a pruning run, read from a TOML file, from flags, or both.

A file holds the keys of `Recipe`, none of which must be there:

    pattern = "block:32"
    sparsity = 0.8
    score = "wanda"
    budget = "global"

Its table [training], where there is one, belongs to `python -m pruning train`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec

from pruning.budgets import BUDGETS, COUNTS
from pruning.patterns import make_pattern
from pruning.patterns.mixed_vectors import EPSILON, VECTOR_COST, MixedVectors
from pruning.patterns.pattern import Pattern
from pruning.reconstruct import UPDATES
from pruning.scores import check_score
from pruning.structure.couplings import couplings_of
from pruning.structure.heads import Heads, check_heads
from sparse_formats.errors import InputError, nearest
from sparse_formats.files.toml import read_toml, toml_value
from sparse_formats.masks.vectors import MENU

SPARSITY = 0.8
"""Default fraction to remove, where the pattern does not say it (chosen)."""

TOKENS = 128
"""Default sequence length at which FLOPs are counted (chosen)."""

OTHER_TABLES = ("training",)


@dataclass(frozen=True)
class Recipe:
    """How a model is pruned.

    pattern: where kept weights may lie, a key of `patterns.PATTERNS` with its numbers behind
        colons, e.g. "mvp", "block:32", "2:4".
    sparsity: fraction to remove; None takes what the pattern says, else 0.8.
    score: a key of `scores.SCORES`, or where else the importance came from.
    seed: of the random numbers, if the score draws any.
    budget: what is brought to the sparsity: each "row", each "matrix", all of a "kind", or all
        together ("global").
    count: what the sparsity counts: "weights", "flops" (with attention's over `tokens`), or
        "bits" of the encoded matrices.
    update: a key of `reconstruct.UPDATES`, or "none": the survivors keep their values.
    algorithm, menu, vector_cost, epsilon: see `patterns.mixed_vectors.MixedVectors`.
    heads, key_value_heads: of the model; 0 takes its config.json's.
    include, exclude: regular expressions of matrix names, see `sparse_formats.masks.selection`.
    """

    pattern: str = "mvp"
    sparsity: float | None = None
    score: str = "magnitude"
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    budget: str = "matrix"
    count: str = "weights"
    update: str = "none"
    algorithm: str = "C"
    menu: tuple[int, ...] = MENU
    vector_cost: float = VECTOR_COST
    epsilon: float = EPSILON
    heads: Annotated[int, msgspec.Meta(ge=0)] = 0
    key_value_heads: Annotated[int, msgspec.Meta(ge=0)] = 0
    tokens: Annotated[int, msgspec.Meta(ge=1)] = TOKENS
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def read_recipe(
    path: Path | None, flags: Mapping[str, Any], settings: Mapping[str, Any] | None = None
) -> Recipe:
    """The recipe in `path`, if any, with `settings` and then `flags` that are not None on top.

    settings: as `read_settings` gives them; what belongs to [training] is left aside.

    Raises:
        InputError: an unreadable file; a key unknown, mistyped or out of range, by its name.
    """
    values = {} if path is None else _converted(_read_table(path), f"recipe {path}")
    mine = {k: v for k, v in (settings or {}).items() if k in get_type_hints(Recipe)}
    values |= _converted(mine, "--set")
    return checked(Recipe(**values | {k: v for k, v in flags.items() if v is not None}))


def read_settings(words: Sequence[str], known: Iterable[str]) -> dict[str, Any]:
    """The values of words KEY=VALUE, by key; a value is TOML, or a string as it stands.

    Raises:
        InputError: a word without "=", or a key not among `known`.
    """
    found: dict[str, Any] = {}
    names = list(known)
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip()
        if not equals:
            raise InputError(f"--set {word}: write KEY=VALUE, e.g. every=10")
        if key not in names:
            raise InputError(f"--set {word}: unknown key {key!r}{nearest(key, names)}")
        found[key] = toml_value(value)
    return found


def checked(recipe: Recipe) -> Recipe:
    """`recipe` with its menu sorted and its sparsity resolved.

    Raises:
        InputError: naming the first knob that cannot be used.
    """
    if recipe.seed < 0:
        raise InputError(f"seed {recipe.seed}: give a whole number, 0 or more")
    _check_word("budget", recipe.budget, BUDGETS)
    _check_word("count", recipe.count, COUNTS)
    _check_word("update", recipe.update, ("none", *UPDATES))
    knobs = MixedVectors(recipe.menu, recipe.vector_cost, recipe.algorithm, recipe.epsilon)
    density = pattern_of(recipe).density
    sparsity = recipe.sparsity
    if sparsity is None:
        sparsity = SPARSITY if density is None else 1 - density
    return replace(recipe, menu=knobs.menu, sparsity=_check_sparsity(sparsity))


def check_source(recipe: Recipe) -> Recipe:
    """`recipe`; InputError unless its score is one that can be computed."""
    check_score(recipe.score)
    return recipe


def pattern_of(
    recipe: Recipe,
    shapes: Mapping[str, tuple[int, int]] | None = None,
    heads: Heads | None = None,
) -> Pattern:
    """The recipe's pattern with its knobs, and the coupled units of matrices of these `shapes`.

    heads: as found with the model, see `heads_of`.

    Raises:
        InputError: the pattern takes units, and the shapes do not fit each other or the heads.
    """
    tokens = recipe.tokens if recipe.count == "flops" else 0
    knobs = {**vars(recipe), "couplings": (), "tokens": tokens}
    bare = make_pattern(recipe.pattern, knobs)
    if shapes is None or not bare.units:
        return bare
    knobs["couplings"] = couplings_of(shapes, heads_of(recipe, heads), bare.units)
    return make_pattern(recipe.pattern, knobs)


def heads_of(recipe: Recipe, found: Heads | None) -> Heads | None:
    """The head counts the recipe states, else those found with the model.

    Raises:
        InputError: counts that do not go together.
    """
    if not recipe.heads:
        return found
    stated = Heads(recipe.heads, recipe.key_value_heads or recipe.heads)
    return check_heads(stated if found is None else replace(stated, qkv=found.qkv), "heads")


def _check_sparsity(sparsity: float) -> float:
    """`sparsity`; InputError unless it lies in [0, 1]."""
    if not 0 <= sparsity <= 1:
        raise InputError(
            f"sparsity {sparsity:g}: give the fraction to remove, from 0 to 1, e.g. 0.8"
        )
    return sparsity


def _check_word(key: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        raise InputError(f"unknown {key} {word!r}{nearest(word, known)}")


def _read_table(path: Path) -> dict[str, Any]:
    table = read_toml(path)
    return {k: v for k, v in table.items() if not (k in OTHER_TABLES and isinstance(v, dict))}


def _converted(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    hints = get_type_hints(Recipe, include_extras=True)
    values = {}
    for key, value in table.items():
        if key not in hints:
            raise InputError(f"{where}: unknown key '{key}'{nearest(key, hints)}")
        try:
            values[key] = msgspec.convert(value, hints[key])
        except msgspec.ValidationError as error:
            raise InputError(f"{where}: '{key}' is {value!r}: {error}") from None
    return values
