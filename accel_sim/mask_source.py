"""Where the matrices of a run come from: a mask file, or shapes that masks are generated for."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, sha256_of
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.selection import select
from sparse_formats.masks.synthetic import generate, parse_shapes

GENERATED = "Masks were generated, not trained: a study of scale and structure, not of a model."
NOT_WEIGHTED = "The file holds no weights: the product was not computed."


@dataclass(frozen=True)
class Source:
    """The matrices, from the first one at each call, and what the report says of them.

    arguments: the words of the command line that name it; weights: of all matrices, pruned or not.
    is_int8: all matrices hold 8-bit numbers. is_weighted: some matrix holds weights.
    """

    mask: dict[str, Any]
    arguments: list[str]
    notes: list[str]
    names: list[str]
    weights: int
    matrices: Callable[[], Iterator[MaskedMatrix]]
    is_int8: bool = False
    is_weighted: bool = False


@dataclass(frozen=True)
class Generated:
    """What is asked of masks that are generated."""

    shapes: str
    density: float
    pattern: str
    seed: int


DENSITY, PATTERN = 0.2, "mvp"
"""Of generated masks, where nothing is said."""


def check_generated(mask: Path | None, shapes: str | None, options: Mapping[str, Any]) -> None:
    """Refuse options of generated masks where there are none.

    options: values by the option's name, None where it is not given.

    Raises:
        InputError: one is given with a mask file and no shapes.
    """
    given = [name for name, value in options.items() if value is not None]
    if given and mask is not None and shapes is None:
        raise InputError(
            f"{' and '.join(given)}: of masks generated with --shapes; --mask {mask} says its own, "
            f"leave {'them' if len(given) > 1 else 'it'} out"
        )


def find_source(
    mask: Path | None, generated: Generated | None, include: list[str], exclude: list[str]
) -> Source:
    """The one of the two that is given.

    Raises:
        InputError: both or none; a file that cannot be read; shapes, density or pattern that
            cannot be; names that match nothing.
    """
    if mask is not None and generated is None:
        return _from_file(mask, include, exclude)
    if generated is not None and mask is None:
        return _from_shapes(generated, include, exclude)
    raise InputError("give either --mask FILE or --shapes NAME, one of the two")


def _from_file(path: Path, include: list[str], exclude: list[str]) -> Source:
    masks = read_masks(path)
    names = set(select([m.name for m in masks.matrices], include, exclude))
    chosen = [matrix for matrix in masks.matrices if matrix.name in names]
    weights = [m.weight for m in chosen if m.weight is not None]
    notes = [] if weights else [NOT_WEIGHTED]
    turned = masks.header.get("stored_in_out", ())
    if turned:
        notes.append(
            f"{len(turned)} matrices are stored (in, out) by their names and were transposed: "
            f"{turned[0]}{', …' if len(turned) > 1 else ''}"
        )
    left_out = len(masks.matrices) - len(chosen)
    if left_out:
        notes.append(f"{left_out} of {len(masks.matrices)} matrices of the file were left out.")
    return Source(
        mask={"source": str(path), "sha256": sha256_of(path), "header": dict(masks.header)},
        arguments=["--mask", str(path)],
        notes=notes,
        names=[matrix.name for matrix in chosen],
        weights=sum(matrix.keep.size for matrix in chosen),
        matrices=lambda: iter(chosen),
        is_int8=len(weights) == len(chosen) and all(w.dtype == np.int8 for w in weights),
        is_weighted=bool(weights),
    )


def _from_shapes(asked: Generated, include: list[str], exclude: list[str]) -> Source:
    shapes = parse_shapes(asked.shapes)
    names = set(select([shape.name for shape in shapes], include, exclude))
    shapes = [shape for shape in shapes if shape.name in names]
    density, pattern, seed = asked.density, asked.pattern, asked.seed
    generate(shapes, density, pattern, seed)  # refuses what cannot be before anything runs
    return Source(
        mask={
            "source": "generated",
            "sha256": None,
            "shapes": asked.shapes,
            "density": density,
            "pattern": pattern,
            "seed": seed,
        },
        arguments=["--shapes", asked.shapes, "--density", repr(density), "--pattern", pattern],
        notes=[GENERATED],
        names=[shape.name for shape in shapes],
        weights=sum(shape.rows * shape.cols for shape in shapes),
        matrices=lambda: generate(shapes, density, pattern, seed),
    )
