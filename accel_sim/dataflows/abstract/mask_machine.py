"""What dataflows share whose passes are a function of the bool mask alone (docs/rivals.md).

A matrix is cut into blocks of outputs until each tile fits the weight buffer.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import LayerRun, Tile
from accel_sim.dataflows.abstract.dataflow import Machine, Multiplication
from accel_sim.dataflows.abstract.machine_sections import Operands
from accel_sim.dataflows.abstract.product import Order, add_up, check_product, wrapped
from accel_sim.inputs.activations import CHECKED_TOKENS, Inputs, Layer
from accel_sim.inputs.datatypes import DATATYPES, Datatype
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix

Keep = NDArray[np.bool_]
Tiles = tuple[tuple[Tile, ...], NDArray[np.int64]]
"""Tiles of a mask, and the tokens of each group."""


@dataclass(frozen=True, kw_only=True)
class MaskMachine(Machine):
    """A machine with a section [array] of its dataflow's parameters, and a section [operands]."""

    array: Any
    operands: Operands

    @property
    def macs(self) -> int:
        return self.array.macs

    @property
    def numbers(self) -> Datatype:
        return DATATYPES[self.operands.datatype]

    @property
    def value_bits(self) -> int:
        return self.array.value_bits

    @property
    def accumulator_bits(self) -> int:
        return self.array.accumulator_bits

    @abstractmethod
    def tiles(self, keep: Keep, inputs: Inputs) -> Tiles:
        """Tiles of bool mask `keep` (outputs × inputs), however large."""

    @abstractmethod
    def orders(self, keep: Keep, weight: NDArray[Any]) -> Iterable[Order]:
        """The order of the sums of each of `tiles`, from what the machine stores and issues.

        keep: bool (outputs, inputs), of a block; weight: operands of the same shape, 0 where not
        kept, in the accumulators' type.
        """

    @abstractmethod
    def format_of(self, keep: Keep) -> str:
        """How the weights that bool mask `keep` keeps are stored."""

    def run(self, layer: Layer, inputs: Inputs, *, is_checked: bool = False) -> LayerRun:
        matrix = layer.matrix
        tiles, sizes, block = self._fitting(matrix.keep, inputs, matrix.name)
        run = LayerRun(
            name=matrix.name,
            kind=matrix.kind,
            shape=matrix.shape,
            nnz=matrix.nnz,
            tiles=tiles,
            group_sizes=sizes,
            macs_effectual=inputs.macs_effectual(np.count_nonzero(matrix.keep, axis=0)),
            format=self.format_of(matrix.keep),
            picture_inputs=self._picture_inputs(inputs),
        )
        run = self.delivered(run, matrix)
        if not is_checked or not matrix.is_weighted or inputs.x is None:
            return run
        x, multiply = inputs.x[:CHECKED_TOKENS], partial(self._multiply, matrix.keep, block)
        product, outputs = check_product(matrix, x, self.numbers, 0, multiply)
        return replace(run, product=product, outputs=outputs)

    def layer_bytes(self, matrix: MaskedMatrix) -> int:
        """Where it is multiplied, also the operands and the order of a tile, as measured."""
        multiplied = 16 * matrix.size + 80 * matrix.nnz if matrix.is_weighted else 0
        return super().layer_bytes(matrix) + multiplied

    def multiplication(
        self, matrix: MaskedMatrix, tokens: int, *, is_dense: bool = False
    ) -> Multiplication:
        """In the order of `orders`."""
        keep = np.ones(matrix.shape, np.bool_) if is_dense else matrix.keep
        _, _, block = self._fitting(keep, Inputs(tokens, None, None), matrix.name)
        return partial(self._multiply, keep, block)

    def _picture_inputs(self, inputs: Inputs) -> int | None:
        """Inputs of the pictures of a convolution that runs as what it is."""
        shape = inputs.convolution
        if shape is None or shape.size is None or not self.runs_convolutions:
            return None
        return shape.inputs * shape.size[0] * shape.size[1]

    def dense_baseline(self) -> Callable[[Layer, Inputs], LayerRun]:
        return self._run_dense

    def _run_dense(self, layer: Layer, inputs: Inputs) -> LayerRun:
        matrix = layer.matrix
        whole = MaskedMatrix(matrix.name, np.ones(matrix.shape, np.bool_), kind=matrix.kind)
        return self.run(replace(layer, matrix=whole), inputs)

    def _multiply(
        self,
        keep: Keep,
        block: int,
        weight: NDArray[Any],
        x: NDArray[Any],
        bias: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """`block` outputs after the other; integers wrap as the accumulators do."""
        by_input = np.ascontiguousarray(x.T, weight.dtype)
        sums = np.zeros((len(weight), len(x)), weight.dtype)
        if bias is not None:
            sums[:] = bias[:, None]
        for first in range(0, len(weight), block):
            rows = slice(first, first + block)
            add_up(self.orders(keep[rows], weight[rows]), by_input, sums[rows])
        numbers = self.numbers
        return wrapped(sums, numbers.accumulator_bits) if numbers.is_integer else sums

    def _fitting(
        self, keep: Keep, inputs: Inputs, name: str
    ) -> tuple[tuple[Tile, ...], NDArray[np.int64], int]:
        """Tiles of the whole matrix, or of blocks of its outputs so small that each tile fits.

        Also the outputs of a block.

        A tile fits if the next one finds room beside it: half the weight buffer, or all of it where
        weights stay there.

        Raises:
            InputError: naming the matrix, if it or a tile of one output does not fit.
        """
        share = 1 if self.dram.resident else 2
        room, block = self.weight_buffer.bytes // share, max(len(keep), 1)
        while True:
            tiles: list[Tile] = []
            sizes: NDArray[np.int64] = np.zeros(0, np.int64)
            for first in range(0, max(len(keep), 1), block):
                strips = tiles[-1].strip + 1 if tiles else 0
                try:
                    of_block, sizes = self.tiles(keep[first : first + block], inputs)
                except InputError as error:
                    raise InputError(f"matrix {name}: {error}") from error
                tiles += [_behind(tile, first, strips) for tile in of_block]
                largest = max((tile.bytes for tile in tiles), default=0)
                if largest > room:
                    break
            else:
                return tuple(tiles), sizes, block
            if block == 1:
                raise InputError(
                    f"matrix {name}: a tile of one output takes {largest} bytes, more than the "
                    f"{room} that {self.name}'s weight buffer has for a tile; set "
                    f"weight_buffer.bytes to {share * largest} or more"
                )
            tallest = max(tile.outputs for tile in tiles)
            block = max(1, min(tallest * room // largest, tallest - 1))


def _behind(tile: Tile, first: int, strips: int) -> Tile:
    """The tile of a block of outputs that begins at `first`, behind `strips` strips."""
    rows = (tile.rows[0] + first, tile.rows[1] + first)
    return replace(tile, strip=tile.strip + strips, rows=rows)
