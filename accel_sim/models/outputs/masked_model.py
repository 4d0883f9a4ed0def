"""The masked model itself in FP64: all tokens at once, without a machine, blocks or a cache.

It shares no operator with `forward`. Written with a hook for each number that a machine rounds, so
that it also says how far roundings move the output: docs/whole_models.md §7.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from accel_sim.inputs.datatypes import Datatype
from accel_sim.models.outputs.parameters import Norm, Parameters, Product
from accel_sim.models.transformer import ModelMatrix, Transformer

F64 = NDArray[np.float64]

_FP32 = 2.0**-24


class Arithmetic(Protocol):
    """Where a machine rounds."""

    def operand(self, x: F64, magnitude: F64 | None = None) -> F64:
        """Numbers that are written as operands; magnitude: of what is rounded, |x| if None."""
        ...

    def sums(self, x: F64, magnitude: F64, terms: NDArray[np.int64] | int) -> F64:
        """Sums of so many `terms`, whose magnitudes sum to `magnitude`."""
        ...


class Exact:
    """Nothing is rounded."""

    def operand(self, x: F64, magnitude: F64 | None = None) -> F64:
        return x

    def sums(self, x: F64, magnitude: F64, terms: NDArray[np.int64] | int) -> F64:
        return x


@dataclass(frozen=True)
class Moved:
    """Each rounding moves its number by as much as it may at most, up or down by chance.

    An operand by u·|x| + s, u being the unit roundoff of the datatype with four roundings of FP32
    on the way, s half the spacing of its subnormal numbers; a sum of n terms in FP32 by
    γ_n = n·2⁻²⁴ / (1 − n·2⁻²⁴) times the sum of their magnitudes.
    """

    datatype: Datatype
    rng: np.random.Generator

    def operand(self, x: F64, magnitude: F64 | None = None) -> F64:
        unit, least = unit_roundoff(self.datatype)
        size = np.abs(x) if magnitude is None else magnitude
        return x + self._signs(x) * ((unit + 4 * _FP32) * size + least)

    def sums(self, x: F64, magnitude: F64, terms: NDArray[np.int64] | int) -> F64:
        gamma = terms * _FP32 / (1 - terms * _FP32)
        return x + self._signs(x) * gamma * magnitude

    def _signs(self, x: F64) -> F64:
        return self.rng.integers(0, 2, x.shape, np.int8) * 2.0 - 1


def unit_roundoff(datatype: Datatype) -> tuple[float, float]:
    """Of a float type: largest relative error of rounding, and absolute one near zero."""
    if datatype.fraction_bits is None:
        found = np.finfo(datatype.operand)
        return 2.0 ** -(found.nmant + 1), float(found.smallest_subnormal) / 2
    bits = datatype.fraction_bits
    return 2.0 ** -(bits + 1), 2.0 ** (datatype.least_exponent - bits - 1)


@dataclass(frozen=True)
class MaskedTransformer:
    """The model with its numbers, computed in some `arithmetic`.

    tiles: of keys that a machine sums softmax over at most, 0 where it takes whole rows.
    """

    model: Transformer
    parameters: Parameters
    arithmetic: Arithmetic
    tiles: int = 0

    def outputs(self, ids: NDArray[np.int64], first: int) -> F64:
        """Of the tokens `ids` (batch, tokens) from number `first` on.

        Logits (batch, tokens, outputs) where the model has a head, else hidden states (batch,
        tokens, width).
        """
        model, parameters = self.model, self.parameters
        kinds = {(m.layer, m.kind): m for m in model.matrices}
        x = self._embedded(ids)
        if parameters.embedding_norm is not None:
            x = self.norm(x, parameters.embedding_norm)
        for i, layer in enumerate(parameters.layers):
            of_layer = {kind: m for (number, kind), m in kinds.items() if number == i}
            for norm, branch in zip(layer.norms, (self._attention, self._ffn), strict=True):
                y = branch(self.norm(x, norm) if model.is_pre_norm else x, of_layer, i)
                x = self.arithmetic.operand(x + y)
                if not model.is_pre_norm:
                    x = self.norm(x, norm)
        x = x[:, first:]
        if parameters.final_norm is not None:
            x = self.norm(x, parameters.final_norm)
        if model.head_rows:
            x = self.linear(x, parameters.products[kinds[None, "head"].name])
        return x

    def _embedded(self, ids: NDArray[np.int64]) -> F64:
        rows = self.parameters.rows(ids)
        x, *others = (
            self._number(table[row])
            for table, row in zip(self.parameters.tables, rows, strict=True)
        )
        for each in others:
            x = self.arithmetic.operand(x + each)
        return x

    def _number(self, stored: NDArray[np.floating]) -> F64:
        """Parameters of the model as operands."""
        return self.arithmetic.operand(stored.astype(np.float64))

    def linear(self, x: F64, product: Product) -> F64:
        """(…, inputs) → (…, outputs)."""
        weight = product.weight.astype(np.float64)
        bias = np.zeros(len(weight)) if product.bias is None else product.bias.astype(np.float64)
        size = np.abs(x) @ np.abs(weight).T + np.abs(bias)
        moved = self._number(weight)
        if product.keep is not None:
            moved = np.where(product.keep, moved, 0)
        found = x @ moved.T
        if product.bias is not None:
            found = found + self._number(bias)
        return self.arithmetic.operand(self.arithmetic.sums(found, size, product.kept + 1))

    def norm(self, x: F64, norm: Norm) -> F64:
        """Over the last axis: less the mean where there is a shift, by the root mean square."""
        rounded, width = self.arithmetic, x.shape[-1]
        if norm.shift is not None:
            mean, size = x.mean(-1, keepdims=True), np.abs(x).mean(-1, keepdims=True)
            x = x - rounded.operand(rounded.sums(mean, size, width))
        squares = np.square(x).mean(-1, keepdims=True)
        squares = rounded.operand(rounded.sums(squares, squares, width))
        root = rounded.operand(1 / np.sqrt(np.maximum(squares, 0) + self.parameters.epsilon))
        x = rounded.operand(x * root) * self._number(norm.scale)
        return rounded.operand(x if norm.shift is None else x + self._number(norm.shift))

    def _attention(self, x: F64, matrices: dict[str, ModelMatrix], layer: int) -> F64:
        products, model = self.parameters.products, self.model
        if "QKV" in matrices:
            whole = self.linear(x, products[matrices["QKV"].name])
            sizes = np.array([model.heads, model.kv_heads]) * model.head_width
            parts = np.split(whole, sizes.cumsum(), axis=-1)
        else:
            parts = [self.linear(x, products[matrices[kind].name]) for kind in "QKV"]
        q, k, v = (
            each.reshape(*x.shape[:2], -1, model.head_width).transpose(0, 2, 1, 3) for each in parts
        )
        if norms := self.parameters.layers[layer].on_heads:
            q, k = self.norm(q, norms[0]), self.norm(k, norms[1])
        if model.has_rope:
            q, k = self.rope(q), self.rope(k)
        found = self.heads(q, k, v, model.window_of(layer)).transpose(0, 2, 1, 3)
        merged = found.reshape(*x.shape[:2], -1)
        return self.linear(merged, products[matrices["attention out"].name])

    def rope(self, x: F64) -> F64:
        """Rotary positions from 0 on; x: (batch, heads, tokens, head width).

        Number i of a head's first half and number i of its second are turned as one complex number.
        """
        rounded, half = self.arithmetic, x.shape[-1] // 2
        speeds = self.parameters.rope_base ** (-np.arange(half) / half)
        angles = np.outer(np.arange(x.shape[-2]), speeds)
        cosine, sine = np.cos(angles), np.sin(angles)
        real, imaginary = x[..., :half], x[..., half:]
        a = rounded.operand(real * cosine) - rounded.operand(imaginary * sine)
        b = rounded.operand(imaginary * cosine) + rounded.operand(real * sine)
        return rounded.operand(np.concatenate([a, b], axis=-1))

    def heads(self, q: F64, k: F64, v: F64, window: int | None) -> F64:
        """(batch, heads, tokens, head width); each group of query heads has a head of k and v."""
        rounded, width = self.arithmetic, q.shape[-1]
        k, v = (np.repeat(each, self.model.group, axis=1) for each in (k, v))
        turned = k.transpose(0, 1, 3, 2)
        size = np.abs(q) @ np.abs(turned)
        scores = rounded.operand(rounded.sums(q @ turned, size, width)) / np.sqrt(width)
        scores = np.where(_may_see(q.shape[2], self.model.is_causal, window), scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares = np.where(shares > 0, rounded.operand(shares), 0)
        whole, keys = shares.sum(-1, keepdims=True), shares.shape[-1]
        whole = rounded.operand(rounded.sums(whole, np.abs(whole), keys))
        if not self.tiles:
            shares = rounded.operand(shares * rounded.operand(1 / whole))
            shares = np.where(np.isfinite(scores), shares, 0)
        size = np.abs(shares) @ np.abs(v)
        found = rounded.operand(rounded.sums(shares @ v, size, keys))
        for _ in range(self.tiles):
            # What is summed so far is rescaled, and the tile's part is added.
            whole = rounded.operand(rounded.operand(rounded.operand(whole)))
            for _ in range(4):
                found = rounded.operand(found, size)
        return rounded.operand(found * rounded.operand(1 / whole)) if self.tiles else found

    def _ffn(self, x: F64, matrices: dict[str, ModelMatrix], layer: int) -> F64:
        products, rounded = self.parameters.products, self.arithmetic
        y = self.linear(x, products[matrices["gate" if "gate" in matrices else "FFN1"].name])
        y = self.activation(y)
        if "gate" in matrices:
            y = rounded.operand(y * self.linear(x, products[matrices["up"].name]))
        return self.linear(y, products[matrices["down" if "down" in matrices else "FFN2"].name])

    def activation(self, x: F64) -> F64:
        name, rounded = self.parameters.activation, self.arithmetic
        if name == "relu":
            return np.where(x > 0, x, 0)
        return rounded.operand(x * rounded.operand(_share(name, x)))


def _may_see(tokens: int, is_causal: bool, window: int | None) -> NDArray[np.bool_]:
    """Whether a query (row) sees a key (column)."""
    query, key = np.ogrid[:tokens, :tokens]
    found = np.ones((tokens, tokens), np.bool_)
    if is_causal:
        found &= key <= query
    if window is not None:
        found &= query - key < window
    return found


def _share(name: str, x: F64) -> F64:
    """The share of x that an activation lets through."""
    from scipy.special import erf

    if name in ("gelu", "gelu_python"):
        return (1 + erf(x / np.sqrt(2))) / 2
    if name in ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"):
        return (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2
    slope = 1.702 if name == "quick_gelu" else 1.0
    return 1 / (1 + np.exp(-np.clip(slope * x, -700, 700)))
