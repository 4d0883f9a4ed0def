"""What of a file is worked on, what is left out, and why: as data and as sentences."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from sparse_formats.masks.execution import execution_in, said_of
from sparse_formats.masks.matrix_names import kind_of
from sparse_formats.masks.selection import LEFT_ALONE

_SHOWN = 4


class _LeftOut(msgspec.Struct, frozen=True):
    name: str
    shape: list[Annotated[int, msgspec.Meta(ge=0)]]
    why: str


class _Header(msgspec.Struct, frozen=True):
    """What is looked for in the header of masks, which a file may have brought."""

    left_out: list[_LeftOut] = []
    convolutions: dict[str, list[int]] = {}
    stored_in_out: list[str] = []
    orientation: str = ""
    decoded: dict[str, list[str]] = {}
    quantization: str = ""
    notes: list[str] = []


def what_was_read(
    shapes: Mapping[str, tuple[int, int]],
    header: Mapping[str, Any],
    taken: Collection[str],
    source: str | None = None,
) -> dict[str, Any]:
    """An account of the matrices `taken` from a file, as JSON-able data.

    shapes, header: of all that `read_masks` or `read_model` returned. source: where they come
    from, in words. matrices, weights: how many were taken. left_out: name, shape and reason of
    each array of two axes or more that was not. sentences: the same in words, and how the matrices
    were stored, where that is not (out, in), and how often they run, where that is not once.

    Raises:
        InputError: the header says of the last what cannot be.
    """
    try:
        known = msgspec.convert(dict(header), _Header)
    except msgspec.ValidationError:  # of another program's making
        known = _Header()
    execution = execution_in(header, source or "masks")
    chosen = [shape for name, shape in shapes.items() if name in taken]
    left_out = [
        *known.left_out,
        *(
            _LeftOut(name, list(shape), _why(name))
            for name, shape in shapes.items()
            if name not in taken
        ),
    ]
    weights = sum(rows * cols for rows, cols in chosen)
    return {
        "matrices": len(chosen),
        "weights": weights,
        "left_out": msgspec.to_builtins(left_out),
        "sentences": [
            f"Read {_counted(len(chosen), 'matrix', 'matrices')} with {weights:,} weights"
            f"{'' if source is None else f' from {source}'}.",
            *_sentences(known),
            *said_of(execution, [name for name in shapes if name in taken]),
            *_left_out(left_out, weights),
        ],
    }


def _why(name: str) -> str:
    kind = kind_of(name)
    article = "an" if kind[0] in "aeiou" else "a"
    return f"{article} {kind}" if kind in LEFT_ALONE else "not chosen by its name"


def _sentences(header: _Header) -> Iterator[str]:
    if header.convolutions:
        name, shape = next(iter(header.convolutions.items()))
        yield (
            f"{_counted(len(header.convolutions), 'convolution', 'convolutions')} ({name} of "
            f"{'×'.join(map(str, shape))}{', …' if len(header.convolutions) > 1 else ''}) "
            f"{'was' if len(header.convolutions) == 1 else 'were'} read as matrices of outputs × "
            "(inputs · height · width)."
        )
    if header.stored_in_out:
        known = f", as is known from {header.orientation}" if header.orientation else ""
        yield (
            f"{_named(header.stored_in_out)} stored as (in, out) and transposed when read{known}."
        )
    for layout, names in header.decoded.items():
        if names:
            yield f"{_named(names)} put together from the arrays of {layout}."
    if header.quantization:
        yield (
            f"config.json says that the weights are quantised by {header.quantization}, but they "
            "are plain numbers and were read as such."
        )
    yield from header.notes


def _named(names: Sequence[str]) -> str:
    more = ", …" if len(names) > 1 else ""
    verb = "was" if len(names) == 1 else "were"
    return f"{_counted(len(names), 'matrix', 'matrices')} ({names[0]}{more}) {verb}"


def _left_out(items: Sequence[_LeftOut], read: int) -> Iterator[str]:
    if not items:
        return
    largest = sorted(items, key=lambda item: -_size(item.shape))
    shown = "; ".join(f"{item.name}: {item.why}" for item in largest[:_SHOWN])
    more = f"; and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    size = sum(_size(item.shape) for item in items)
    verb = "was" if len(items) == 1 else "were"
    yield (
        f"{_counted(len(items), 'array', 'arrays')} with {size:,} numbers "
        f"({100 * size / max(size + read, 1):.3g} %) {verb} left out ({shown}{more})."
    )


def _size(shape: Sequence[int]) -> int:
    """How many numbers an array has; 0 for a whole file, whose shape is ()."""
    return math.prod(shape) if shape else 0


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
