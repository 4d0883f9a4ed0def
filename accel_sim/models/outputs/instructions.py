"""What the instructions of the vector unit compute: docs/whole_models.md §7.

Numbers are operands, held in float32; every instruction computes in FP32 and writes operands.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.inputs.datatypes import Datatype

F32 = NDArray[Any]
"""float32."""


@dataclass(frozen=True)
class VectorUnit:
    """lanes: elements per cycle; sums depend on how many there are."""

    datatype: Datatype
    lanes: int

    def written(self, values: NDArray[Any], what: str) -> F32:
        """Rounded to operands.

        Raises:
            InputError: `what` has a number beyond the datatype.
        """
        return self.datatype.operands(values, what).astype(np.float32)

    def sums(self, rows: F32) -> F32:
        """Of each row (rows, n): a sum in each lane, then a tree of neighbours behind them."""
        count, size = rows.shape
        groups = -(-size // self.lanes)
        padded = np.zeros((count, groups, self.lanes), np.float32)
        padded.reshape(count, -1)[:, :size] = rows
        found = np.zeros((count, self.lanes), np.float32)
        for group in range(groups):
            found += padded[:, group]
        while found.shape[1] > 1:
            if found.shape[1] % 2:
                found = np.concatenate([found, np.zeros((count, 1), np.float32)], axis=1)
            found = found[:, 0::2] + found[:, 1::2]
        return found[:, 0]

    def layer_norm(self, x: F32, scale: F32, shift: F32, epsilon: float) -> F32:
        """Of each row (rows, width)."""
        share = np.float32(1 / x.shape[1])
        mean = self.written(self.sums(x) * share, "the mean of a norm")[:, None]
        apart = x - mean
        variance = self.written(self.sums(apart * apart) * share, "the variance of a norm")
        normal = self.written(apart * self._root(variance, epsilon), "a norm")
        return self.written(normal * scale + shift, "a norm")

    def rms_norm(self, x: F32, scale: F32, epsilon: float) -> F32:
        """Of each row (rows, width)."""
        squares = self.sums(x * x) * np.float32(1 / x.shape[1])
        mean = self.written(squares, "the mean square of a norm")
        normal = self.written(x * self._root(mean, epsilon), "a norm")
        return self.written(normal * scale, "a norm")

    def _root(self, squares: F32, epsilon: float) -> F32:
        found = 1 / np.sqrt((squares + np.float32(epsilon)).astype(np.float64))
        return self.written(found.astype(np.float32), "the root of a norm")[:, None]

    def rope(self, x: F32, cosines: F32, sines: F32) -> F32:
        """Each pair (i, i + half) turned; x: (…, width), the angles' (…, width / 2)."""
        half = x.shape[-1] // 2
        swapped = np.concatenate([-x[..., half:], x[..., :half]], axis=-1)
        both = [np.concatenate([each, each], axis=-1) for each in (cosines, sines)]
        parts = [
            self.written(a * b, "a rotated head") for a, b in zip((x, swapped), both, strict=True)
        ]
        return self.written(parts[0] + parts[1], "a rotated head")

    def exp(self, scores: F32, most: F32, scale: np.float32) -> F32:
        """exp((scores − most)·scale), rows by rows; most: (rows,)."""
        above = (scores - most[:, None]) * scale
        return self.written(np.exp(above.astype(np.float64)).astype(np.float32), "an exponential")

    def inverse(self, sums: F32) -> F32:
        return self.written((1 / sums.astype(np.float64)).astype(np.float32), "an inverse")

    def activation(self, name: str, x: F32, beside: F32 | None) -> F32:
        """x·F(x), and the product with what is `beside` a gate. name: as transformers has it."""
        if name == "relu":
            found = np.maximum(x, np.float32(0))
        else:
            share = FACTORS[name](x.astype(np.float64)).astype(np.float32)
            found = self.written(x * self.written(share, "an activation"), "an activation")
        return found if beside is None else self.written(found * beside, "an activation")

    def sum(self, x: F32, y: F32) -> F32:
        """Of two numbers each, as residuals and embeddings add them."""
        return self.written(x + y, "the residual stream")


def _normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Φ(x), the share of a normal distribution below x."""
    from scipy.special import ndtr

    return ndtr(x)


def _nearly_normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Φ(x) as GPT-2 approximates it."""
    return _sigmoid(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import expit

    return expit(x)


FACTORS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "gelu": _normal,
    "gelu_python": _normal,
    "gelu_new": _nearly_normal,
    "gelu_fast": _nearly_normal,
    "gelu_pytorch_tanh": _nearly_normal,
    "quick_gelu": lambda x: _sigmoid(1.702 * x),
    "silu": _sigmoid,
    "swish": _sigmoid,
}
"""F of the activations x·F(x), by the name that transformers gives them."""
