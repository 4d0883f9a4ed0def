"""Quantisation-aware training: layers that compute with rounded numbers and learn through them.

The ranges of inputs and outputs follow the data while the model trains, and rest while it does not.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.quantization.affine import (
    INPUT,
    SUM,
    WEIGHT,
    Affine,
    rounded,
    sum_affine,
    weight_affine,
)
from pruning.quantization.layers import quantisable, replaced
from pruning.quantization.ranges import Range, Ranges, new_ranges

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class FakeQuantized:
    """The product of one layer in floating point, but with the values of 8-bit numbers."""

    matrix: Matrix
    ranges: Ranges

    def __call__(self, x: "Tensor") -> "Tensor":
        """(…, in) → (…, out), differentiable."""
        import torch.nn.functional as F

        x, of_inputs = self._rounded(x, self.ranges.inputs)
        weight = self.matrix.upright(self.matrix.parameter)
        bias: Any = self.matrix.module.bias
        of_weights = weight_affine(weight.detach())
        if bias is not None:
            bias = rounded(bias, sum_affine(of_inputs, of_weights), SUM)
        y = F.linear(x, rounded(weight, of_weights, WEIGHT), bias)
        return y if self.ranges.outputs is None else self._rounded(y, self.ranges.outputs)[0]

    def _rounded(self, x: "Tensor", seen: Range) -> "tuple[Tensor, Affine]":
        if self.matrix.module.training:
            seen.follow(x.detach())
        affine = seen.affine(self.matrix.name)
        return rounded(x, affine, INPUT), affine

    def tensor(self) -> "Tensor":
        """The ranges as a checkpoint holds them: float64, low and high of each."""
        import torch

        limits = [(seen.low, seen.high) for seen in self.ranges.every]
        return torch.tensor(limits, dtype=torch.float64)

    def restore(self, held: "Tensor") -> None:
        """Take back what `tensor` gave."""
        for seen, (low, high) in zip(self.ranges.every, held.tolist(), strict=True):
            seen.low, seen.high = low, high


@contextlib.contextmanager
def fake_quantized(opened: OpenModel) -> Iterator[dict[str, FakeQuantized]]:
    """Let all quantisable layers of `opened` compute with rounded numbers while the block runs.

    Gives them by matrix. Their ranges begin with the first batch.
    """
    layers = {m.name: FakeQuantized(m, new_ranges(m)) for m in quantisable(opened)}
    with replaced([(layer.matrix, layer) for layer in layers.values()]):
        yield layers
