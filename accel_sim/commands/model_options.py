"""Settings of commands that simulate whole models, and the models and requests that they make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from sparse_formats.terminal.settings import Count, Share, Whole, option

if TYPE_CHECKING:
    from accel_sim.models.simulate import Request
    from accel_sim.models.weights import MaskedModel

Tokens = Annotated[int, msgspec.Meta(ge=1, le=2**20)]
TokensOrNone = Annotated[int, msgspec.Meta(ge=0, le=2**20)]
CacheBits = Annotated[int, msgspec.Meta(ge=1, le=32)]


def known_models() -> Iterable[str]:
    """Models that are known without a file."""
    from accel_sim.models.families import KNOWN

    return KNOWN


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A whole model, and what is asked of it."""

    model: str | None = option(
        "Model to simulate; of a folder its config.json is read.",
        default=None,
        choices=known_models,
        or_else="a folder with a config.json",
        reads=True,
    )
    head_density: Share | None = option(
        "Give the head a generated mask with this share of its weights kept.", default=None
    )
    prefill: Tokens | None = option(
        "Tokens of the prompt of each request.",
        default=None,
        otherwise="those that are given, else 128; of a model of images, those of one image",
    )
    generate: TokensOrNone = option("Tokens to generate for each request.", default=0)
    batch: tuple[Count, ...] = option(
        "Requests that run together. Several numbers make a sweep.",
        default=(1,),
        is_separated=True,
    )
    context: tuple[Whole, ...] = option(
        "Tokens of each request that are cached before its prompt. Several numbers make a sweep.",
        default=(0,),
        is_separated=True,
    )
    scores: Literal["rows", "tiles", "dram"] | None = option(
        "Where scores of attention stay: rows or tiles on chip, or the DRAM.",
        default=None,
        otherwise="rows where they fit, else tiles",
    )
    cache_bits: CacheBits | None = option(
        "Bits of a number in the KV cache.", default=None, otherwise="those of an operand"
    )


def given_of(settings: ModelOptions) -> list[str]:
    """Names of the settings of whole models that are not as they are by default."""
    return [
        each.name
        for each in fields(ModelOptions)
        if getattr(settings, each.name) != getattr(ModelOptions(), each.name)
    ]


def model_of_masks(
    model: str, mask: Path | None, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> tuple[MaskedModel, dict[str, Any]]:
    """A model with the masks of a file, dense without one, and where they came from.

    Raises:
        InputError: what cannot be read, or does not fit the model.
    """
    from accel_sim.models.config import read_model
    from accel_sim.models.weights import MaskedModel, masked
    from sparse_formats.files.mask_file import read_masks, sha256_of
    from sparse_formats.masks.selection import select

    found = read_model(model)
    if mask is None:
        return MaskedModel(found, {}), {"source": "dense", "sha256": None}
    masks = read_masks(mask)
    names = [matrix.name for matrix in masks.matrices]
    wanted = set(select(names, include, exclude) if include or exclude else names)
    matrices = (matrix for matrix in masks.matrices if matrix.name in wanted)
    origin: dict[str, Any] = {"source": str(mask), "sha256": sha256_of(mask)}
    if include or exclude:
        origin |= {"include": list(include), "exclude": list(exclude)}
    return masked(found, matrices, str(mask)), origin


def model_of_shapes(
    shapes: str, density: float, pattern: str, seed: int, head_density: float | None
) -> tuple[MaskedModel, dict[str, Any]]:
    """A known model with generated masks, and how they were generated.

    Raises:
        InputError: no such model, or masks that cannot be.
    """
    from accel_sim.models.config import read_model
    from accel_sim.models.weights import generated

    found = generated(read_model(shapes), density, pattern, seed, head_density)
    origin: dict[str, Any] = {"source": "generated", "sha256": None, "shapes": shapes}
    origin |= {"density": density, "pattern": pattern, "seed": seed}
    return found, origin if head_density is None else {**origin, "head_density": head_density}


def prompt_of(settings: ModelOptions, masked: MaskedModel) -> int:
    """Tokens of the prompt, also where nothing is said."""
    if settings.prefill is not None:
        return settings.prefill
    if masked.model.patch:
        return masked.model.most_tokens or 1
    return 128


def requests_of(settings: ModelOptions, prefill: int) -> list[Request]:
    """Every batch with every context."""
    from accel_sim.models.simulate import Request

    return [
        Request(
            prefill=prefill,
            generate=settings.generate,
            batch=batch,
            context=context,
            scores=settings.scores,
            cache_bits=settings.cache_bits,
        )
        for batch in settings.batch
        for context in settings.context
    ]
