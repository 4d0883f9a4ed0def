"""A permutation of a model: which members of which axes stand where, written down and undone.

An axis is a place of the network whose members (neurons, heads, channels of the residual stream)
may stand in any order, as long as every parameter that has lines of theirs follows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pruning.structure.slices import Slice
from sparse_formats.errors import InputError
from sparse_formats.files.atomic import json_text, write_text
from sparse_formats.files.reading import read_json

if TYPE_CHECKING:
    from torch import Tensor, nn

FILE = "permutation.json"
"""What a folder of a permuted model calls its permutation."""

HEADER = "permutation"
"""The key of the header of masks under which the order of their model stands."""

_LARGEST = 200_000_000
_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Place:
    """The lines that members have along `axis` of one parameter, in the layout it is stored in.

    Member u has `size` lines from start + u·stride on.
    """

    parameter: str
    axis: int
    start: int = 0
    stride: int = 1
    size: int = 1

    def lines(self, count: int) -> NDArray[np.intp]:
        """Those of members 0 … count − 1, (count, size)."""
        return Slice(self.parameter, self.axis, self.start, self.stride, self.size).of_units(count)


@dataclass(frozen=True)
class Axis:
    """`count` members that may stand in any order; `kind` is what they are."""

    kind: str
    number: int
    count: int
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Move:
    """Member order[i] of the axis goes to place i."""

    axis: Axis
    order: tuple[int, ...]

    @property
    def inverse(self) -> "Move":
        """The move that brings all members back."""
        return replace(self, order=tuple(np.argsort(self.order).tolist()))


@dataclass(frozen=True)
class Permutation:
    """Moves, one after the other; made for a pattern at a density (the last one's)."""

    moves: tuple[Move, ...]
    pattern: str
    density: float

    @property
    def inverse(self) -> "Permutation":
        """What undoes it."""
        return replace(self, moves=tuple(move.inverse for move in reversed(self.moves)))

    def then(self, other: "Permutation") -> "Permutation":
        """This one and then the other."""
        return replace(other, moves=self.moves + other.moves)


def as_json(permutation: Permutation) -> dict[str, Any]:
    """The permutation as JSON-able data."""
    moves = [
        # Members as text: thousands of numbers one below the other can be read by nobody.
        {"axis": asdict(move.axis), "order": " ".join(map(str, move.order))}
        for move in permutation.moves
    ]
    return {
        "schema_version": _SCHEMA_VERSION,
        "pattern": permutation.pattern,
        "density": permutation.density,
        "moves": msgspec.to_builtins(moves),
    }


def from_json(data: Any, where: str) -> Permutation:
    """What `as_json` gave.

    Raises:
        InputError: it is damaged; `where` says whose it is.
    """
    try:
        found = msgspec.convert(data, _File)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: its permutation is damaged: {error}") from error
    return found.checked(where)


def read_permutation(folder: Path) -> Permutation | None:
    """The permutation of the model in a folder; None where it has none.

    Raises:
        InputError: the file is damaged, or of a later version.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    return read_json(path, _File, "a permutation of a model", _LARGEST).checked(str(path))


def write_permutation(folder: Path, permutation: Permutation) -> None:
    """Write it beside the model's other files."""
    write_text(folder / FILE, json_text(as_json(permutation)))


def apply(model: "nn.Module", permutation: Permutation) -> None:
    """Put the parameters of `model` into the new order, in place, and remember it.

    Raises:
        InputError: the permutation is of another model.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    _check_fits(parameters, permutation)
    move_all(parameters, permutation.moves)
    before = order_of(model)
    whole = permutation if before is None else before.then(permutation)
    model._permutation = whole  # type: ignore[assignment]


def order_of(model: "nn.Module") -> Permutation | None:
    """How a model's parameters were moved since it was made; None if they were not."""
    return getattr(model, "_permutation", None)


def header_of(model: "nn.Module") -> dict[str, Any]:
    """What the header of masks says of the model's order; empty if it is the first one."""
    permutation = order_of(model)
    return {} if permutation is None else {HEADER: as_json(permutation)}


def remember(model: "nn.Module", permutation: Permutation | None) -> None:
    """Say that the parameters of `model` are in this order already."""
    model._permutation = permutation  # type: ignore[assignment]


def move_all(parameters: "Mapping[str, Tensor]", moves: Iterable[Move]) -> None:
    """Move lines of the tensors in place, one move after the other."""
    import torch

    for move in moves:
        for place in move.axis.places:
            data = parameters[place.parameter].data
            lines = place.lines(move.axis.count)
            source = torch.from_numpy(lines[list(move.order)].ravel()).to(data.device)
            target = torch.from_numpy(lines.ravel()).to(data.device)
            data.index_copy_(place.axis, target, data.index_select(place.axis, source))


def _check_fits(parameters: "Mapping[str, Tensor]", permutation: Permutation) -> None:
    for move in permutation.moves:
        for place in move.axis.places:
            tensor = parameters.get(place.parameter)
            last = place.start + (move.axis.count - 1) * place.stride + place.size - 1
            if tensor is None:
                raise InputError(
                    f"the permutation moves {place.parameter}, which this model does not have; "
                    "give the model that it was made for, with the same head"
                )
            if place.axis >= tensor.ndim or last >= tensor.shape[place.axis]:
                raise InputError(
                    f"the permutation moves line {last} along axis {place.axis} of "
                    f"{place.parameter}, which is of shape {tuple(tensor.shape)}; give the model "
                    "that it was made for"
                )


def _is_order(order: tuple[int, ...], count: int) -> bool:
    """Whether each of `count` members is there once; a damaged count may be any number."""
    return len(order) == count and sorted(order) == list(range(count))


class _Place(msgspec.Struct):
    parameter: str
    axis: int
    start: int
    stride: int
    size: int


class _Axis(msgspec.Struct):
    kind: str
    number: int
    count: int
    places: tuple[_Place, ...]


class _Move(msgspec.Struct):
    axis: _Axis
    order: str


class _File(msgspec.Struct):
    schema_version: int
    pattern: str
    density: float
    moves: tuple[_Move, ...]

    def checked(self, where: str) -> Permutation:
        if self.schema_version > _SCHEMA_VERSION:
            raise InputError(
                f"{where}: its permutation is of version {self.schema_version}, this program "
                f"reads {_SCHEMA_VERSION}; update it"
            )
        moves = []
        for move in self.moves:
            axis = move.axis
            order = tuple(int(n) if n.isdecimal() else -1 for n in move.order.split())
            numbers = [n for p in axis.places for n in (p.axis, p.start, p.stride, p.size)]
            if min(numbers, default=0) < 0 or not _is_order(order, axis.count):
                raise InputError(
                    f"{where}: its permutation is damaged: the order of {axis.kind} {axis.number} "
                    f"does not hold each of its {axis.count} members once; permute the model again"
                )
            places = tuple(Place(**msgspec.structs.asdict(place)) for place in axis.places)
            moves.append(Move(Axis(axis.kind, axis.number, axis.count, places), order))
        return Permutation(tuple(moves), self.pattern, self.density)
