"""Drawn masks of units that go whole, from every matrix of a layer that has lines of them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError, SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.matrix_names import layer_of
from sparse_formats.masks.synthetic.drawn_pattern import DrawnPattern, Order, generator
from sparse_formats.masks.synthetic.shapes import MatrixShape
from sparse_formats.masks.synthetic.tiles import Block

Unit = Literal["neuron", "head"]

_HIDDEN_ROWS, _HIDDEN_COLS = ("FFN1", "gate", "up"), ("FFN2", "down")
"""Kinds whose rows, and whose columns, are the hidden neurons of a feed-forward layer."""

_ATTENTION = ("Q", "K", "V", "QKV", "attention out")
"""Kinds that have lines of heads."""


@dataclass(frozen=True)
class Coupled(DrawnPattern):
    """Heads and hidden neurons, the same share of each; other matrices stay whole."""

    units: ClassVar[tuple[Unit, ...]] = ("neuron", "head")

    def is_whole(self, shape: MatrixShape) -> bool:
        """Where the matrix has no lines of a unit."""
        return unit_of(shape) not in self.units

    def mask(self, order: Order) -> MaskedMatrix:
        """The lines of drawn units, the same in all matrices of a layer."""
        keep = np.ones(order.size, np.bool_)
        unit = unit_of(order.shape)
        if unit in self.units:
            rows, cols = _lines(order, unit)
            keep = np.logical_and.outer(rows, cols)
        return order.masked(keep)


@dataclass(frozen=True)
class Channel(Coupled):
    """Hidden neurons: rows of FFN1 (gate, up) with the same columns of FFN2 (down)."""

    units: ClassVar = ("neuron",)


@dataclass(frozen=True)
class Head(Coupled):
    """Heads: rows of Q, K and V, columns of the attention output; K and V with their group."""

    units: ClassVar = ("head",)


@dataclass(frozen=True)
class Hybrid(DrawnPattern):
    """Hidden neurons in feed-forward layers, square blocks in all other matrices."""

    block: int

    def __post_init__(self) -> None:
        Block(self.block)

    def mask(self, order: Order) -> MaskedMatrix:
        """As the one or the other."""
        is_hidden = unit_of(order.shape) == "neuron"
        return (Channel() if is_hidden else Block(self.block)).mask(order)


def unit_of(shape: MatrixShape) -> Unit | None:
    """Of which units a matrix has lines."""
    if shape.kind in (*_HIDDEN_ROWS, *_HIDDEN_COLS):
        return "neuron"
    return "head" if shape.kind in _ATTENTION else None


def check_units(pattern: DrawnPattern, shapes: list[MatrixShape]) -> None:
    """Refuse shapes that have none of the pattern's units, or do not tell their heads.

    Raises:
        InputError: naming the matrices.
    """
    if not isinstance(pattern, Coupled) or not shapes:
        return
    mine = [shape for shape in shapes if not pattern.is_whole(shape)]
    if not mine:
        words = " or ".join("hidden neurons" if u == "neuron" else "heads" for u in pattern.units)
        raise SettingError(
            "pattern",
            f"takes whole {words}, but no matrix of {shapes[0].name} … {shapes[-1].name} is known "
            "to have any; give the shapes of a known model",
        )
    for shape in mine:
        if unit_of(shape) == "head" and not shape.heads:
            raise InputError(f"matrix {shape.name}: nothing tells how many heads it has")


def _lines(order: Order, unit: Unit) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The rows and columns that stay of a matrix with lines of `unit`."""
    shape = order.shape
    rng = generator(order.seed, layer_of(shape.name) or 0, ("neuron", "head").index(unit))
    rows, cols = np.ones(shape.rows, np.bool_), np.ones(shape.cols, np.bool_)
    if unit == "neuron":
        is_rows = shape.kind in _HIDDEN_ROWS
        count = shape.rows if is_rows else shape.cols
        own = np.zeros(count, np.bool_)
        own[rng.permutation(count)[: round(order.density * count)]] = True
        return (own, cols) if is_rows else (rows, own)
    heads, groups = _heads(shape.heads, shape.kv_heads, order.density, rng)
    if shape.kind == "attention out":
        return rows, np.repeat(heads, shape.cols // shape.heads)
    parts = {"Q": [heads], "QKV": [heads, groups, groups]}.get(shape.kind, [groups])
    stay = np.concatenate(parts)
    return np.repeat(stay, shape.rows // len(stay)), cols


def _heads(
    count: int, groups: int, density: float, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which heads stay, and which key-value heads: those that a head which stays shares.

    A head has as many rows of Q as columns of the attention output, a key-value head as many rows
    of K and V, so a layer is 2·count + 2·groups such lots.
    """
    order = rng.permutation(count)
    group = order // (count // groups)
    is_first = np.zeros(count, np.bool_)
    is_first[np.unique(group, return_index=True)[1]] = True
    lots = np.concatenate([[0], np.cumsum(2 + 2 * is_first)])
    taken = order[: int(np.argmin(np.abs(lots - density * 2 * (count + groups))))]
    heads = np.zeros(count, np.bool_)
    heads[taken] = True
    return heads, np.asarray(heads.reshape(groups, -1).any(axis=1))
