"""From real numbers to 8-bit ones and back: q = clip(round(x / scale) + zero point).

Rounding is to the nearest, ties to even. Scales are float32 numbers, whatever they are held in, so
that a file keeps them exactly.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Limits = tuple[float, float]

WEIGHT = (-128, 127)
INPUT = (0, 255)
SUM = (-(2**31), 2**31 - 1)
"""The whole numbers that weights, inputs, and sums and biases are held in."""


@dataclass(frozen=True)
class Affine:
    """What whole numbers stand for: x = scale · (q − zero_point)."""

    scale: float
    zero_point: int = 0


def weight_affine(weight: "Tensor") -> Affine:
    """scale = max|w| / 127; 1 where all weights are 0.

    Source: Q8BERT, section 2.1. torch's observer, which the library uses, divides by 127.5.
    """
    return Affine(_scale(float(weight.abs().max()) / WEIGHT[1]))


def input_affine(low: float, high: float) -> Affine:
    """[low, high], widened to hold 0, on 0 … 255; 0 itself is exactly the zero point.

    Raises:
        InputError: a limit that is not finite.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"values from {low:g} to {high:g} cannot be written as 8-bit numbers")
    low, high = min(low, 0.0), max(high, 0.0)
    scale = _scale((high - low) / INPUT[1])
    return Affine(scale, min(max(round(-low / scale), INPUT[0]), INPUT[1]))


def sum_affine(inputs: Affine, weights: Affine) -> Affine:
    """What products of both, and the bias added to them, stand for."""
    return Affine(inputs.scale * weights.scale)


def quantised(x: "Tensor", affine: Affine, limits: Limits) -> "Tensor":
    """The whole numbers that stand for `x`, in its own type."""
    return (x / affine.scale).round_().add_(affine.zero_point).clamp_(*limits)


def dequantised(q: "Tensor", affine: Affine) -> "Tensor":
    """What the whole numbers `q` stand for."""
    return (q - affine.zero_point) * affine.scale


def rounded(x: "Tensor", affine: Affine, limits: Limits) -> "Tensor":
    """What the 8-bit numbers of `x` stand for; gradients pass as if nothing had been rounded.

    Where `x` is beyond the limits it gets no gradient (straight-through, as torch does).
    """
    exact = dequantised(quantised(x.detach(), affine, limits), affine)
    lowest, highest = ((limit - affine.zero_point) * affine.scale for limit in limits)
    clipped = x.clamp(lowest, highest)
    # The second term is 0, and exactly so; only its gradient matters.
    return exact + (clipped - clipped.detach())


def _scale(value: float) -> float:
    """`value` as a float32 number of full precision, 1 instead of 0."""
    # Below the smallest normal one numbers lie so far apart that 255 steps miss the end.
    return max(float(np.float32(value)), float(np.finfo(np.float32).tiny)) if value else 1.0
