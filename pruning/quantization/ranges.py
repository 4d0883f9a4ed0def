"""The ranges of what goes into a layer and comes out of it, and the file that keeps them.

A model trained with rounding is a folder of float weights as any other; `quantization.json` in it
holds the ranges that it learned.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pruning.models.matrices import Matrix
from pruning.processes import are_connected, largest
from pruning.quantization.affine import Affine, input_affine
from pruning.quantization.layers import REQUANTISED
from sparse_formats.errors import InputError
from sparse_formats.files.atomic import json_text, write_text
from sparse_formats.files.reading import read_json

if TYPE_CHECKING:
    from torch import Tensor

RANGES = "quantization.json"

FOLLOW = 0.01
"""How far a range moves towards that of a batch; torch's default, which the library takes."""


@dataclass
class Range:
    """The smallest and the largest value; low > high: none was seen yet."""

    low: float = math.inf
    high: float = -math.inf

    def follow(self, x: "Tensor") -> None:
        """Move towards the range of `x`, over all processes; the first one is taken whole."""
        low, high = _limits(x)
        if self.low > self.high:
            self.low, self.high = low, high
        self.low += FOLLOW * (low - self.low)
        self.high += FOLLOW * (high - self.high)

    def widen(self, x: "Tensor") -> None:
        """Take `x` in."""
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))

    def affine(self, name: str) -> Affine:
        """What the 8-bit numbers of these values of matrix `name` stand for.

        Raises:
            InputError: nothing was seen, or what is not finite.
        """
        if self.low > self.high:
            raise InputError(f"matrix {name} was not used when the model ran on the data")
        try:
            return input_affine(self.low, self.high)
        except InputError as error:
            raise InputError(f"matrix {name}: {error}; the model has diverged") from None


def _limits(x: "Tensor") -> tuple[float, float]:
    """The smallest and the largest value of `x` over all processes."""
    if not are_connected():
        return float(x.min()), float(x.max())
    import torch

    low, high = largest(torch.stack([-x.min(), x.max()])).tolist()
    return -low, high


@dataclass
class Ranges:
    """Of a layer's inputs, and of its outputs where they are rounded too."""

    inputs: Range
    outputs: Range | None

    @property
    def every(self) -> list[Range]:
        """Those that there are."""
        return [self.inputs] if self.outputs is None else [self.inputs, self.outputs]


def new_ranges(matrix: Matrix) -> Ranges:
    """The ranges of a matrix that has seen nothing yet."""
    return Ranges(Range(), Range() if matrix.kind in REQUANTISED else None)


class _Layer(msgspec.Struct, frozen=True):
    """[low, high] of each."""

    inputs: tuple[float, float]
    outputs: tuple[float, float] | None


_LARGEST = 100 * 10**6


class _File(msgspec.Struct, frozen=True):
    schema_version: int
    matrices: dict[str, _Layer]


def as_json(ranges: Mapping[str, Ranges]) -> dict[str, dict[str, list[float] | None]]:
    """Ranges by matrix as JSON-able data: [low, high] of inputs and outputs."""
    return {
        name: {
            "inputs": [found.inputs.low, found.inputs.high],
            "outputs": None if found.outputs is None else [found.outputs.low, found.outputs.high],
        }
        for name, found in ranges.items()
    }


def write_ranges(folder: Path, ranges: Mapping[str, Ranges]) -> None:
    """Keep `ranges` in a model's folder; without any, none of an earlier model stay there."""
    if ranges:
        data = {"schema_version": 1, "matrices": as_json(ranges)}
        write_text(folder / RANGES, json_text(data))
    else:
        (folder / RANGES).unlink(missing_ok=True)


def read_ranges(folder: Path) -> dict[str, Ranges] | None:
    """The ranges in a model's folder, by matrix; None where it has none.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / RANGES
    if not path.is_file():
        return None
    file = read_json(path, _File, "a file of ranges that training wrote", _LARGEST)
    return {
        name: Ranges(Range(*kept.inputs), None if kept.outputs is None else Range(*kept.outputs))
        for name, kept in file.matrices.items()
    }
