"""Quantisation-aware training: layers that compute with rounded numbers and learn through them.

The ranges of inputs and outputs follow the data while the model trains, and rest while it does not.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.models.precision import full_precision
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


@dataclass(eq=False)
class FakeQuantized:
    """The product of one layer in floating point, but with the values of 8-bit numbers.

    is_resting: its ranges stay as they are although the model trains.
    """

    matrix: Matrix
    ranges: Ranges
    is_resting: bool = False

    def __call__(self, x: "Tensor") -> "Tensor":
        """(…, in) → (…, out), differentiable, in float32: bfloat16 cannot hold rounded numbers."""
        import torch

        with full_precision(x.device):
            return self._product(x.float() if x.dtype == torch.bfloat16 else x)

    def _product(self, x: "Tensor") -> "Tensor":
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
        if self.matrix.module.training and not self.is_resting:
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

    Gives them by matrix. Their ranges begin with the first batch, and follow each batch once: they
    rest after the model has run, when gradient checkpointing lets layers compute again.
    """
    layers = {m.name: FakeQuantized(m, new_ranges(m)) for m in quantisable(opened)}

    def rest(is_resting: bool) -> None:
        for layer in layers.values():
            layer.is_resting = is_resting

    with contextlib.ExitStack() as stack:
        before = opened.model.register_forward_pre_hook(lambda *_: rest(False))
        after = opened.model.register_forward_hook(lambda *_: rest(True))
        stack.callback(before.remove)
        stack.callback(after.remove)
        stack.enter_context(replaced([(layer.matrix, layer) for layer in layers.values()]))
        yield layers
