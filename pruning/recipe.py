"""The recipe: how a model is pruned, from Python, a TOML file, flags, or all of them.

A file holds the settings of `Recipe`, none of which must be there:

    pattern = "block:32"
    sparsity = 0.8
    score = "wanda"
    budget = "global"

Its table [training], where there is one, belongs to `python -m pruning train`.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pruning.budgets import BUDGETS, COUNTS
from pruning.knobs import knobs_of, with_knobs
from pruning.patterns import PATTERNS, forms, make_pattern
from pruning.patterns.pattern import Pattern
from pruning.profiles import PROFILES, UNIFORM, check_profile, listed
from pruning.reconstruct import DEFAULT_UPDATE, UPDATES
from pruning.scores import SCORES, check_score
from pruning.structure.couplings import couplings_of
from pruning.structure.heads import Heads, check_heads
from sparse_formats.errors import SettingError
from sparse_formats.terminal.options import NameOptions
from sparse_formats.terminal.setting_values import checked as with_values
from sparse_formats.terminal.setting_values import read
from sparse_formats.terminal.settings import Count, Share, Whole, option, settings_of

SPARSITY = 0.8
"""Default fraction to remove, where the pattern does not say it (chosen)."""

TOKENS = 128
"""Default sequence length at which FLOPs are counted (chosen)."""

OTHER_TABLES = ("training",)


def pattern_option(*flags: str, is_required: bool = False) -> Any:
    """The setting `pattern`, under other flags than its name where some are given."""
    return option(
        "Pattern of the kept weights: where they may lie.",
        default=MISSING if is_required else "mvp",
        flags=flags,
        choices=forms,
        or_else="the numbers of n_m alone, e.g. 2:4",
    )


@dataclass(frozen=True)
class BareRecipe(NameOptions):
    """How a model is pruned, whatever the pattern; `Recipe` adds the knobs of all patterns.

    pattern: a key of `patterns.PATTERNS` with its numbers behind colons, e.g. "mvp", "block:32",
        "2:4".
    sparsity: None takes what the pattern says, else 0.8.
    score: a key of `scores.SCORES`, or where else the importance came from.
    count: "weights", "flops" (with attention's over `tokens`), or "bits" of the encoded matrices.
    update: a key of `reconstruct.UPDATES`, or "none": kept weights keep their values. None takes
        least squares where statistics hold the Gram matrix of every matrix, else "none".
    """

    pattern: str = pattern_option()
    sparsity: Share | None = option(
        "Fraction of the weights to remove.",
        default=None,
        otherwise=f"the pattern's own, else {SPARSITY}",
    )
    score: str = option("Importance of a weight.", default="magnitude", choices=SCORES)
    seed: Whole = option("Random seed.", default=0)
    budget: str = option(
        "Level at which the sparsity must hold.", default="matrix", choices=BUDGETS
    )
    profile: str = option(
        "How the sparsity is spread over the layers. owl keeps more in layers with more outliers "
        "among their importances.",
        default=UNIFORM,
        choices=PROFILES,
        or_else="a sparsity for each layer from the first on, e.g. 0.6,0.7,0.8",
    )
    count: str = option("What the sparsity counts.", default="weights", choices=COUNTS)
    update: str | None = option(
        "How kept weights change to make up for those that are removed.",
        default=None,
        otherwise=f"{DEFAULT_UPDATE} where statistics hold every layer's inputs, else none",
        choices=("none", *UPDATES),
    )
    heads: Whole = option("Attention heads, where no config.json says how many.", default=0)
    key_value_heads: Whole = option(
        "Key-value heads that the heads share. With 0 there are as many as heads.", default=0
    )
    tokens: Count = option(
        "Sequence length at which FLOPs are counted, and at which algorithm D simulates.",
        default=TOKENS,
    )


if TYPE_CHECKING:

    @dataclass(frozen=True)
    class Recipe(BareRecipe):
        def __init__(self, *bare: Any, **settings: Any) -> None: ...

else:
    Recipe = with_knobs("Recipe", BareRecipe, PATTERNS.values())


@dataclass(frozen=True)
class _Nothing:
    """The knobs of all patterns, see each pattern."""


PatternKnobs: Any = with_knobs("PatternKnobs", _Nothing, PATTERNS.values())


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file.

    Raises:
        InputError: an unreadable file; a key unknown, mistyped or out of range, by its name.
    """
    return checked(read(Recipe, {}, path, OTHER_TABLES).settings)


def recipe_with(recipe: Recipe | None, settings: Mapping[str, Any]) -> Recipe:
    """`recipe`, or the default one, with `settings` by name.

    Raises:
        InputError: a setting unknown, mistyped or out of range, by its name.
    """
    if not isinstance(recipe, Recipe | None):
        raise SettingError("recipe", f"is {recipe!r}; give a Recipe, or its settings by name")
    # Numbers of numpy are as good as Python's.
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in settings.items()}
    return with_values(Recipe() if recipe is None else recipe, plain)


def checked(recipe: Recipe) -> Recipe:
    """`recipe` with its sparsity resolved, and its pattern's knobs as the pattern takes them.

    Raises:
        InputError: naming the first setting that cannot be used.
    """
    # The score may also be what importance came from otherwise: a file, a mask, a training.
    values = {name: value for name, value in vars(recipe).items() if name != "score"}
    recipe = with_values(recipe, values)
    pattern = pattern_of(recipe)
    knobs = {name: getattr(pattern, name) for name in knobs_of(type(pattern))}
    check_profile(recipe.profile, recipe.budget)
    sparsity = recipe.sparsity
    if stated := listed(recipe.profile):
        mean = sum(stated) / len(stated)
        if sparsity is not None and abs(sparsity - mean) > 1e-9:
            raise SettingError(
                "sparsity",
                f"is {sparsity:g}, but the profile lists those of the layers; leave it out",
            )
        sparsity = mean
    if sparsity is None:
        sparsity = SPARSITY if pattern.density is None else 1 - pattern.density
    return replace(recipe, sparsity=sparsity, **knobs)


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
    known = {**vars(recipe), "couplings": (), "tokens": tokens}
    known["simulated_tokens"] = recipe.tokens
    bare = make_pattern(recipe.pattern, known)
    if shapes is None or not bare.units:
        return bare
    known["couplings"] = couplings_of(shapes, heads_of(recipe, heads), bare.units)
    return make_pattern(recipe.pattern, known)


def heads_of(recipe: Recipe, found: Heads | None) -> Heads | None:
    """The head counts the recipe states, else those found with the model.

    Raises:
        InputError: counts that do not go together.
    """
    if not recipe.heads:
        return found
    stated = Heads(recipe.heads, recipe.key_value_heads or recipe.heads)
    return check_heads(stated if found is None else replace(stated, qkv=found.qkv), "heads")


def as_json(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON-able data."""
    values = {s.name: s.of(recipe) for s in settings_of(type(recipe))}
    return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
