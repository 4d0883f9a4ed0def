"""From a model to the same model in an order that vectors fit better.

model ──▶ axes ──▶ which of them may move ──▶ best order of each ──▶ moved ──▶ same outputs?
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.models.order import (
    FILE,
    Axis,
    Move,
    Permutation,
    apply,
    move_all,
    order_of,
    remember,
)
from pruning.models.outputs import (
    TOLERANCE,
    apart,
    example_inputs,
    in_double,
    outputs_of,
    where_double_is,
)
from pruning.patterns import make_pattern
from pruning.patterns.block import Block
from pruning.patterns.lane_select import LaneSelect
from pruning.patterns.mixed_vectors import VectorsOfAMenu
from pruning.patterns.oriented_vectors import OrientedVectors
from pruning.patterns.pattern import Pattern
from pruning.patterns.two_level import TwoLevel
from pruning.patterns.vector_pattern import VectorPattern
from pruning.permutation.axes import inner_axes
from pruning.permutation.partition import best_order
from pruning.permutation.stream import stream_axis
from pruning.selection.tiles import Tile
from pruning.structure.orientation_by_kind import ORIENTATION_BY_KIND
from pruning.structure.slices import ROWS
from sparse_formats.errors import InputError, SettingError
from sparse_formats.terminal.progress import Tell

if TYPE_CHECKING:
    from torch import Tensor

LONGEST = 16
"""The length of groups for vectors of mixed lengths, if their menu has it (chosen)."""


@dataclass(frozen=True)
class Permuted:
    """What was moved.

    apart: how far the outputs are from those before, relative to the largest, in double precision.
    moved: axes in a better order than before, and all that were tried, by kind of members.
    notes: kinds that stayed as they are, and why.
    """

    permutation: Permutation
    apart: float
    moved: Mapping[str, tuple[int, int]]
    notes: tuple[str, ...]


def permute(
    opened: OpenModel,
    pattern: str,
    density: float = 0.2,
    tell: Tell = lambda step: None,
    knobs: Mapping[str, Any] | None = None,
) -> Permuted:
    """Move the units of `opened`, in place, so that masks of `pattern` keep more importance.

    density: share of the weights that the pattern will keep. The magnitude of a weight is its
    importance. knobs: of the pattern, by name. Where its orientation follows importance, vectors
    are taken to lie by the kind of their matrix (`ORIENTATION_BY_KIND`).

    Raises:
        InputError: the pattern has no vectors and no blocks, no axis of the model may move, or the
            outputs would differ by more than `TOLERANCE`; the model is then as it was.
    """
    made = make_pattern(pattern, {"couplings": (), "tokens": 0, **(knobs or {})})
    if not 0 < density < 1:
        raise SettingError("density", f"is {density:g}; give the share to keep, between 0 and 1")
    with where_double_is(opened.model):
        return _permuted(opened, made, _tile_of(made), pattern, density, tell)


def _permuted(
    opened: OpenModel,
    made: Pattern,
    tile: Callable[[str], Tile],
    pattern: str,
    density: float,
    tell: Tell,
) -> Permuted:
    """What `permute` says, for a model in a place where it can be in double precision."""
    matrices = {f"{m.module_name}.weight": m for m in opened.matrices if m.kind in _KINDS}
    parameters = dict(opened.model.named_parameters(remove_duplicate=False))
    inner = [axis for axis in inner_axes(opened) if _parts(axis, matrices, tile)]
    inputs, notes = example_inputs(opened), list[str]()
    with in_double(opened.model):
        tell("running the model as it is")
        before = outputs_of(opened, inputs)
        axes = _stream(opened, matrices, tile, notes, tell)
        for kind, members in groupby(inner, lambda axis: axis.kind):
            tell(f"trying whether {kind} may move")
            mine = list(members)
            if _may_move(opened, mine, before, inputs):
                axes += mine
            else:
                notes.append(f"{kind} keep their order: the outputs would change")
    if isinstance(made, VectorPattern) and made.orientation == "importance":
        notes.append("the order is made for vectors that lie by kind of matrix (orientation kind)")
    moves: list[Move] = []
    for axis in axes:
        tell(f"order of {axis.kind}, {axes.index(axis) + 1} of {len(axes)} axes")
        scores = [_scores(part) for part in _parts(axis, matrices, tile)]
        group = _parts(axis, matrices, tile)[0].group
        order = best_order(scores, group, density)
        if (order != np.arange(axis.count)).any():
            moves.append(Move(axis, tuple(order.tolist())))
            move_all(parameters, moves[-1:])
    move_all(parameters, [move.inverse for move in reversed(moves)])
    permutation = Permutation(tuple(moves), pattern, density)
    if not moves:
        return Permuted(permutation, 0.0, _moved(axes, moves), tuple(notes))
    tell("comparing outputs")
    earlier = order_of(opened.model)
    apply(opened.model, permutation)
    with in_double(opened.model):
        found = apart(before, outputs_of(opened, inputs))
    if not found <= TOLERANCE:
        apply(opened.model, permutation.inverse)
        remember(opened.model, earlier)
        raise InputError(
            f"the outputs of {opened.name} would differ by {found:.1e} of the largest; the model "
            "stays as it was"
        )
    return Permuted(permutation, found, _moved(axes, moves), tuple(notes))


def said_of(permuted: Permuted) -> tuple[str, ...]:
    """What was moved, as sentences."""
    parts = [f"{kind} ({done} of {of} axes)" for kind, (done, of) in permuted.moved.items()]
    if not permuted.permutation.moves:
        return ("nothing was moved: no order is better than the one that is there", *permuted.notes)
    return (
        f"moved: {', '.join(parts)}; outputs differ by {permuted.apart:.1e} of the largest, in "
        "double precision",
        *permuted.notes,
    )


def undo(opened: OpenModel, tell: Tell = lambda step: None) -> Permuted:
    """Bring the units of a permuted model back to their first order, in place.

    Raises:
        InputError: the model was not permuted, or its outputs would differ.
    """
    whole = order_of(opened.model)
    if whole is None:
        raise InputError(f"{opened.name} was not permuted: its folder has no {FILE}")
    tell("moving units back and comparing outputs")
    with where_double_is(opened.model), in_double(opened.model):
        inputs = example_inputs(opened)
        before = outputs_of(opened, inputs)
        apply(opened.model, whole.inverse)
        found = apart(before, outputs_of(opened, inputs))
    if not found <= TOLERANCE:
        raise InputError(
            f"the outputs of {opened.name} would differ by {found:.1e} of the largest: its {FILE} "
            "is not that of these weights; give the folder as it was written"
        )
    remember(opened.model, None)
    moves = whole.moves
    return Permuted(whole.inverse, found, _moved([move.axis for move in moves], moves), ())


_KINDS = tuple(ORIENTATION_BY_KIND)


@dataclass(frozen=True, eq=False)
class _Part:
    """What one matrix has of an axis: lines (members, size) along `side` in groups of `group`."""

    matrix: Matrix
    side: int
    lines: NDArray[np.intp]
    group: int
    across: int


def _tile_of(pattern: Pattern) -> Callable[[str], Tile]:
    """The rectangle of weights of one kind of matrix that stay or go together."""
    if isinstance(pattern, Block):
        return lambda kind: (pattern.height, pattern.width)
    length = _length_of(pattern)
    if length is None:
        raise SettingError(
            "pattern",
            "has no vectors and no blocks, so no order fits it better; give vector:LENGTH, mvp, "
            "block:SIZE or another one of vectors",
        )

    def along(kind: str) -> Tile:
        ruled = pattern.ruled(kind) if isinstance(pattern, VectorPattern) else None
        orientation = ruled or ORIENTATION_BY_KIND[kind]
        return (1, length) if orientation == "horizontal" else (length, 1)

    return along


def _length_of(pattern: Pattern) -> int | None:
    """How many neighbours along a vector stay or go together; None where it has no vectors."""
    if isinstance(pattern, OrientedVectors | TwoLevel):
        return pattern.length
    if isinstance(pattern, LaneSelect):
        return pattern.lanes
    if isinstance(pattern, VectorsOfAMenu):
        return max(step for step in pattern.menu if step <= max(LONGEST, pattern.menu[0]))
    return None


def _parts(axis: Axis, matrices: Mapping[str, Matrix], tile: Callable[[str], Tile]) -> list[_Part]:
    """The matrices whose vectors lie along the axis; none where its order makes no difference."""
    found = []
    for place in axis.places:
        matrix = matrices.get(place.parameter)
        if matrix is None:
            continue
        side = 1 - place.axis if matrix.turned else place.axis
        extents = tile(matrix.kind)
        group, rest = divmod(extents[side], place.size)
        # Vectors that would begin in one head and end in the next are nobody's.
        aligned = not rest and place.start % extents[side] == 0
        if group > 1 and aligned and axis.count > group and place.stride == place.size:
            lines = place.lines(axis.count)
            found.append(_Part(matrix, side, lines, group, extents[1 - side]))
    return found


def _scores(part: _Part) -> NDArray[np.float32]:
    """Importance by member and line across, in units of the matrix's mean, (members, lines)."""
    view = part.matrix.view.detach().float().abs().cpu().numpy()
    upright = view if part.side == ROWS else view.T
    mine = upright[part.lines.ravel()].reshape(*part.lines.shape, -1).sum(axis=1)
    mean = float(view.mean(dtype=np.float64))
    blocks = np.add.reduceat(mine, np.arange(0, mine.shape[1], part.across), axis=1)
    return (blocks / np.float32(mean or 1.0)).astype(np.float32)


def _stream(
    opened: OpenModel,
    matrices: Mapping[str, Matrix],
    tile: Callable[[str], Tile],
    notes: list[str],
    tell: Tell,
) -> list[Axis]:
    if opened.task == "encode":
        notes.append(
            "the residual stream keeps its order: its last states are what the model gives"
        )
        return []
    tell("following the residual stream")
    found = stream_axis(opened)
    if isinstance(found, str):
        notes.append(f"the residual stream keeps its order: {found}")
        return []
    return [found] if _parts(found, matrices, tile) else []


def _may_move(
    opened: OpenModel,
    axes: Sequence[Axis],
    before: "Sequence[Tensor]",
    inputs: Mapping[str, object],
) -> bool:
    """Whether any order of these axes gives the same outputs; the model is in double precision."""
    rng = np.random.default_rng(0)
    parameters = dict(opened.model.named_parameters(remove_duplicate=False))
    moves = [Move(axis, tuple(rng.permutation(axis.count).tolist())) for axis in axes]
    move_all(parameters, moves)
    try:
        return apart(before, outputs_of(opened, inputs)) <= TOLERANCE
    finally:
        move_all(parameters, [move.inverse for move in reversed(moves)])


def _moved(axes: Iterable[Axis], moves: Iterable[Move]) -> dict[str, tuple[int, int]]:
    tried = [axis.kind for axis in axes]
    done = [move.axis.kind for move in moves]
    return {kind: (done.count(kind), tried.count(kind)) for kind in dict.fromkeys(tried)}
