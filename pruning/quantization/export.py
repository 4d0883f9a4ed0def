"""A model's linear layers as 8-bit numbers: `sparse_formats.files.int8_file` keeps them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruning.data.examples import Examples
from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.quantization.affine import (
    SUM,
    WEIGHT,
    quantised,
    sum_affine,
    weight_affine,
)
from pruning.quantization.layers import quantisable, replaced
from pruning.quantization.ranges import Ranges, new_ranges
from sparse_formats.errors import InputError, nearest
from sparse_formats.files.int8_file import SHIFT, QuantizedMatrix
from sparse_formats.terminal.progress import Tell


def calibrated(
    opened: OpenModel,
    examples: Examples,
    batch: int = 8,
    tell: Tell = lambda step: None,
) -> dict[str, Ranges]:
    """The smallest and largest inputs and outputs of each quantisable layer on `examples`.

    They are those of the float model: what is called post-training quantisation.
    """
    import torch

    matrices = quantisable(opened)
    ranges = {matrix.name: new_ranges(matrix) for matrix in matrices}
    with (
        replaced([(m, _observed(m, ranges[m.name])) for m in matrices]),
        torch.inference_mode(),
    ):
        for first in range(0, len(examples), batch):
            tell(f"example {first} of {len(examples)}")
            numbers = range(first, min(first + batch, len(examples)))
            opened.model(**examples.batch(numbers, opened.device))
    return ranges


def exported(opened: OpenModel, ranges: Mapping[str, Ranges]) -> tuple[QuantizedMatrix, ...]:
    """The quantisable layers of `opened` in 8-bit numbers; what is 0 in it is not kept.

    Raises:
        InputError: a layer has no ranges, or its sums might not fit into 32 bits.
    """
    matrices = quantisable(opened)
    for matrix in matrices:
        if matrix.name not in ranges:
            raise InputError(
                f"there are no ranges of matrix {matrix.name}{nearest(matrix.name, ranges)}; they "
                "belong to another model"
            )
    return tuple(_exported(matrix, ranges[matrix.name]) for matrix in matrices)


def _observed(matrix: Matrix, ranges: Ranges) -> Callable[..., Any]:
    own = matrix.module.forward

    def product(x: Any) -> Any:
        y = own(x)
        for seen, values in zip(ranges.every, (x, y), strict=False):
            seen.widen(values)
        return y

    return product


def _exported(matrix: Matrix, ranges: Ranges) -> QuantizedMatrix:
    import torch

    of_inputs, of_weights = ranges.inputs.affine(matrix.name), weight_affine(matrix.view)
    of_outputs = None if ranges.outputs is None else ranges.outputs.affine(matrix.name)
    weight = matrix.to_file(quantised(matrix.view, of_weights, WEIGHT).to(torch.int8))
    bias = (SHIFT - of_inputs.zero_point) * weight.sum(1, dtype=np.float64)
    own: Any = matrix.module.bias
    if own is not None:
        whole = quantised(own.detach(), sum_affine(of_inputs, of_weights), (-math.inf, math.inf))
        bias += matrix.to_file(whole.double())
    _check_sums(matrix.name, weight, bias)
    return QuantizedMatrix(
        matrix.name,
        matrix.to_file(matrix.view != 0),
        weight,
        of_weights.scale,
        of_inputs.scale,
        of_inputs.zero_point,
        bias.astype(np.int32),
        None if of_outputs is None else (of_outputs.scale, of_outputs.zero_point),
    )


def _check_sums(name: str, weight: NDArray[np.int8], bias: NDArray[np.float64]) -> None:
    """InputError unless |Σ w·(q − 128)| + |bias| fits into 32 bits, whatever the inputs."""
    largest = SHIFT * np.abs(weight, dtype=np.float64).sum(1) + np.abs(bias)
    if largest.max(initial=0) > SUM[1]:
        raise InputError(
            f"matrix {name}: row {int(largest.argmax())} may sum up to {largest.max():.3g}, which "
            "is beyond 32 bits: its inputs or weights are almost 0 beside its bias, or it is too "
            "long; 8-bit numbers do not suit it"
        )
