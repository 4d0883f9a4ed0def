"""A layer's output in the order of a machine's sums, compared with the dense masked product.

docs/microarchitecture.md §8, docs/rivals.md §1.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import ProductCheck
from accel_sim.inputs.datatypes import Datatype
from sparse_formats.masks.matrix import MaskedMatrix

_UNIT_ROUNDOFF = 2.0**-24
_EXACT_IN_FP64 = 2.0**53


@dataclass(frozen=True, eq=False)
class Order:
    """Kept weights of a tile in the order in which an array multiplies and adds them.

    Arrays of one item a weight: output, input: of the matrix; value: in the accumulators' type;
    step: neighbours with the same number, all of one output, are added by a binary tree of `lanes`
    first (neighbouring lanes first, missing ones are 0), and lane says at which leaf each stands;
    None where every product is added alone. part: steps of neighbours with the same output and part
    are added one after the other, beginning at 0, and then to the output; None where each step is
    added to the output at once.
    """

    output: NDArray[np.integer[Any]]
    input: NDArray[np.integer[Any]]
    value: NDArray[Any]
    part: NDArray[np.integer[Any]] | None = None
    step: NDArray[np.integer[Any]] | None = None
    lane: NDArray[np.integer[Any]] | None = None
    lanes: int = 1


def add_up(orders: Iterable[Order], x: NDArray[Any], sums: NDArray[Any]) -> None:
    """Add the products of each order to `sums` (outputs, tokens); x: (inputs, tokens).

    Raises:
        IndexError: an order names an output, an input or a lane that there is not.
    """
    for order in orders:
        _check_indices("output", order.output, len(sums))
        _check_indices("input", order.input, len(x))
        if order.lane is not None:
            _check_indices("lane", order.lane, order.lanes)
        each = np.arange(len(order.value), dtype=np.int32)
        step = each if order.step is None else order.step.astype(np.int32)
        _add_up(
            order.output.astype(np.int32),
            order.input.astype(np.int32),
            order.value,
            step if order.part is None else order.part.astype(np.int32),
            step,
            np.zeros_like(each) if order.lane is None else order.lane.astype(np.int32),
            order.lanes,
            x,
            sums,
        )


def _check_indices(name: str, indices: NDArray[Any], count: int) -> None:
    if len(indices) and not 0 <= indices.min() <= indices.max() < count:
        raise IndexError(
            f"{name} {indices.min()}..{indices.max()} of an order is not in 0..{count - 1}"
        )


@njit(cache=True, nogil=True)
def _add_up(
    output: Any,
    input_: Any,
    value: Any,
    part: Any,
    step: Any,
    lane: Any,
    lanes: int,
    x: Any,
    sums: Any,
) -> None:
    """held[i]: which row of `tree` holds the sum of the lanes below node i; −1 where none has a
    weight, which would add 0."""
    count, tokens = len(value), x.shape[1]
    tree = np.empty((lanes, tokens), sums.dtype)
    held = np.full(lanes + 1, -1, np.int64)
    total = np.zeros(tokens, sums.dtype)
    for k in range(count):
        row = 0 if lanes == 1 else lane[k]
        for t in range(tokens):
            tree[row, t] = value[k] * x[input_[k], t]
        held[row] = row
        ends_part = k + 1 == count or output[k + 1] != output[k] or part[k + 1] != part[k]
        if not ends_part and step[k + 1] == step[k]:
            continue
        width = lanes
        while width > 1:
            held[width] = -1
            for i in range((width + 1) // 2):
                left, right = held[2 * i], held[2 * i + 1]
                held[i] = max(left, right)
                if left >= 0 and right >= 0:
                    held[i] = left
                    for t in range(tokens):
                        tree[left, t] += tree[right, t]
            width = (width + 1) // 2
        top = held[0]
        held[:] = -1
        for t in range(tokens):
            total[t] += tree[top, t]
        if ends_part:
            for t in range(tokens):
                sums[output[k], t] += total[t]
                total[t] = 0


def check_product(
    matrix: MaskedMatrix,
    x: NDArray[Any],
    datatype: Datatype,
    further_terms: int,
    multiply: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
) -> tuple[ProductCheck, NDArray[Any] | None]:
    """Multiply as a machine does, multiply densely and exactly, compare.

    x: operands (tokens, cols). further_terms: additions that may round in each row besides one for
    each kept weight. multiply: gives the sums (rows, tokens) of operands (rows, cols), 0 where not
    kept, in the accumulators' type, and (tokens, cols). Gives them too; None where the product was
    not computed.

    Raises:
        InputError: an integer weight is beyond the datatype.
    """
    keep, kept = matrix.keep, matrix.kept_weights
    assert kept is not None
    if not datatype.is_integer:
        largest = float(np.abs(kept).max(initial=0.0))
        if largest > datatype.largest:
            note = f"a weight of {largest:.3g} does not fit {datatype.name.upper()}"
            return ProductCheck(0, None, None, note), None
    operands = datatype.operands(kept, f"weights of matrix {matrix.name}")
    weight = np.zeros(keep.shape, datatype.accumulator)
    weight[keep] = operands
    sums = multiply(weight, x)
    if datatype.is_integer:
        return _check_integers(sums, weight, x, datatype), sums
    terms = np.count_nonzero(keep, axis=1) + further_terms
    lost = int(np.count_nonzero((kept != 0) & (operands == 0)))
    small = f"{lost} kept weights are too small for {datatype.name.upper()} and count as 0"
    note = small if lost else ""
    return _check_floats(sums, weight, x, terms, note), sums


def wrapped(sums: NDArray[Any], bits: int) -> NDArray[Any]:
    """Integer `sums` as a two's complement accumulator of `bits` bits holds them."""
    spare = sums.dtype.itemsize * 8 - bits
    return sums << spare >> spare


def _check_floats(
    y: NDArray[Any], weight: NDArray[Any], x: NDArray[Any], terms: NDArray[Any], note: str
) -> ProductCheck:
    """Against FP64; `terms` additions are allowed to round in each row."""
    gamma = terms * _UNIT_ROUNDOFF / (1 - terms * _UNIT_ROUNDOFF)
    by_input = np.ascontiguousarray(x.T, np.float64)
    error, ratio = _largest_errors(y, weight, by_input, gamma)
    return ProductCheck(len(x), error, ratio, note)


@njit(cache=True, nogil=True)
def _largest_errors(y: Any, weight: Any, x: Any, gamma: Any) -> tuple[float, float]:
    """Largest error of `y` in FP64 and its largest ratio to gamma·(|W|·|x|); row by row, zeros of
    the weight left out."""
    rows, tokens = y.shape
    largest = worst = 0.0
    exact = np.empty(tokens)
    magnitude = np.empty(tokens)
    for row in range(rows):
        exact[:] = 0
        magnitude[:] = 0
        for c in range(weight.shape[1]):
            w = np.float64(weight[row, c])
            if w != 0:
                for t in range(tokens):
                    term = w * x[c, t]
                    exact[t] += term
                    magnitude[t] += abs(term)
        for t in range(tokens):
            error = abs(np.float64(y[row, t]) - exact[t])
            bound = gamma[row] * magnitude[t]
            largest = max(largest, error)
            if not error <= bound * worst:
                # NaN keeps no bound either.
                worst = error / bound if bound > 0 and error < np.inf else np.inf
    return largest, worst


def _check_integers(
    y: NDArray[Any], weight: NDArray[Any], x: NDArray[Any], datatype: Datatype
) -> ProductCheck:
    """Against 64-bit integers, exactly."""
    terms, largest = weight.shape[1], float(datatype.largest + 1)
    # Sums this small are exact in FP64 too, and much faster.
    exact_type = np.float64 if terms * largest**2 < _EXACT_IN_FP64 else np.int64
    exact = (weight.astype(exact_type) @ x.T.astype(exact_type)).astype(np.int64)
    beyond = int(np.count_nonzero(exact != wrapped(exact, datatype.accumulator_bits)))
    note = f"{beyond} sums are beyond {datatype.accumulator_bits} bits" if beyond else ""
    error = int(np.abs(y.astype(np.int64) - exact).max(initial=0))
    return ProductCheck(len(x), float(error), np.inf if error else 0.0, note)
