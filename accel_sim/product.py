"""The layer's output, computed in the machine's own order and compared with the dense product.

docs/microarchitecture.md §8.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.accelerator import Accelerator
from accel_sim.mixed_vector import pe_queues
from accel_sim.plan import PlannedTile, skippable_entries
from accel_sim.stream import Stored

_FP16_MAX = 65504.0
_UNIT_ROUNDOFF = 2.0**-24


@dataclass(frozen=True)
class ProductCheck:
    """How far the machine's output is from the dense masked product.

    tokens: how many were multiplied. max_abs_error: largest difference; max_error_over_bound:
    largest ratio to the FP32 rounding bound of that element (≤ 1 means equal up to rounding).
    note: why nothing was compared, or what the comparison does not see.
    """

    tokens: int
    max_abs_error: float | None
    max_error_over_bound: float | None
    note: str = ""

    @property
    def is_equal(self) -> bool | None:
        """None where nothing was compared."""
        ratio = self.max_error_over_bound
        return None if ratio is None else ratio <= 1.0


def check_product(
    plan: Sequence[PlannedTile],
    stored: Stored,
    keep: NDArray[np.bool_],
    weight: NDArray[np.floating[Any]],
    x: NDArray[np.float16],
    machine: Accelerator,
) -> ProductCheck:
    """Multiply as scheduled, multiply densely in FP64, compare.

    keep, weight: (rows, cols); x: float16 (tokens, cols).
    """
    largest = float(np.abs(weight).max(initial=0.0, where=keep))
    if largest > _FP16_MAX:
        return ProductCheck(0, None, None, f"a weight of {largest:.3g} does not fit FP16")
    rounded = np.where(keep, weight, 0).astype(np.float16).astype(np.float32)
    y = machine_product(plan, stored, rounded, x, machine)
    exact = rounded.astype(np.float64) @ x.T.astype(np.float64)
    magnitude = np.abs(rounded).astype(np.float64) @ np.abs(x).T.astype(np.float64)
    ranges = len({item.tile.cols for item in plan})
    lane_levels = (machine.array.lanes - 1).bit_length()
    terms = np.count_nonzero(keep, axis=1) + machine.array.pe_rows + lane_levels + ranges
    gamma = terms * _UNIT_ROUNDOFF / (1 - terms * _UNIT_ROUNDOFF)
    bound = gamma[:, None] * magnitude
    error = np.abs(y - exact)
    ratio = np.divide(error, bound, out=np.where(error > 0, np.inf, 0.0), where=bound > 0)
    lost = int(np.count_nonzero((weight != 0) & keep & (rounded == 0)))
    note = f"{lost} kept weights are too small for FP16 and count as 0" if lost else ""
    return ProductCheck(len(x), float(error.max(initial=0)), float(ratio.max(initial=0)), note)


def machine_product(
    plan: Sequence[PlannedTile],
    stored: Stored,
    weight: NDArray[np.float32],
    x: NDArray[np.float16],
    machine: Accelerator,
) -> NDArray[np.float32]:
    """The output (rows, tokens) as the PEs accumulate it.

    weight: float32 (rows, cols) of FP16 values, 0 where not kept; x: float16 (tokens, cols).
    """
    array, tokens = machine.array, len(x)
    nonzero = x != 0
    is_skipping = machine.zero_skip.entries_per_cycle > 0
    set_size = array.pe_rows // machine.sets
    by_input = np.ascontiguousarray(x.T, np.float32)
    y = np.zeros((stored.shape[0], tokens), np.float32)
    for item in plan:
        row0, row1 = item.tile.rows
        first, order = pe_queues(item.pe, array.pe_rows)
        for group, token0 in enumerate(range(0, tokens, array.token_columns)):
            token1 = min(token0 + array.token_columns, tokens)
            dropped = skippable_entries(
                item.entries, nonzero if is_skipping else None, group, array.token_columns
            )
            partial = np.zeros((set_size, row1 - row0, token1 - token0), np.float32)
            _accumulate(
                item.entries.unit,
                item.entries.lo,
                item.entries.lanes,
                dropped,
                first,
                order,
                stored.layout.orientation == "horizontal",
                array.lanes,
                row0,
                weight,
                by_input[:, token0:token1],
                partial,
            )
            _reduce_set(partial, y[row0:row1, token0:token1])
    return y


@njit(cache=True, nogil=True)
def _accumulate(
    unit: Any,
    lo: Any,
    lanes_used: Any,
    dropped: Any,
    first: Any,
    order: Any,
    is_row_mode: bool,
    lanes: int,
    row0: int,
    weight: Any,
    x: Any,
    partial: Any,
) -> None:
    """Issue every PE row's entries in order; partial[pe in set, output, token] accumulates."""
    set_size, _, tokens = partial.shape
    tree = np.empty((lanes, tokens), np.float32)
    for p in range(len(first) - 1):
        sums = partial[p % set_size]
        for k in range(first[p], first[p + 1]):
            e = order[k]
            if dropped[e]:
                continue
            if is_row_mode:
                row = unit[e]
                for lane in range(lanes):
                    if (lanes_used[e] >> np.uint64(lane)) & np.uint64(1):
                        w = weight[row0 + row, lo[e] + lane]
                        for t in range(tokens):
                            tree[lane, t] = w * x[lo[e] + lane, t]
                    else:
                        tree[lane, :] = 0
                width = lanes
                while width > 1:
                    half = (width + 1) // 2
                    for i in range(half):
                        for t in range(tokens):
                            left = tree[2 * i, t]
                            right = tree[2 * i + 1, t] if 2 * i + 1 < width else np.float32(0)
                            tree[i, t] = left + right
                    width = half
                for t in range(tokens):
                    sums[row, t] += tree[0, t]
            else:
                for lane in range(lanes):
                    if (lanes_used[e] >> np.uint64(lane)) & np.uint64(1):
                        row = unit[e] * lanes + lane
                        w = weight[row0 + row, lo[e]]
                        for t in range(tokens):
                            sums[row, t] += w * x[lo[e], t]


@njit(cache=True, nogil=True)
def _reduce_set(partial: Any, out: Any) -> None:
    """Add the PE rows of each set in ascending order, then to what earlier ranges left."""
    set_size, outputs, tokens = partial.shape
    for row in range(outputs):
        for t in range(tokens):
            total = np.float32(0)
            for p in range(set_size):
                total += partial[p, row, t]
            out[row, t] += total
