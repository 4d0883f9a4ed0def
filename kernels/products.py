"""Sparse weight × dense activations, for every format."""

from collections.abc import Callable
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kernels.loops import multiply, panels, segments
from kernels.packing import Packed, Prepared, prepare
from kernels.threads import call, run
from kernels.vector_registers import Machine, machine
from sparse_formats.formats.sparse_matrix import SparseMatrix

Activation = Literal["relu", "gelu"]
ACTIVATIONS = {None: panels.NONE, "relu": panels.RELU, "gelu": panels.GELU}

SUMS = {
    (np.dtype(stored), np.dtype(given)): np.dtype(sums)
    for given, sums, kinds in (
        ("float32", "float32", ("float32", "float16", "int8")),
        ("uint16", "float32", ("float32", "float16", "int8")),
        ("float64", "float64", ("float64", "float32", "float16", "int8")),
        ("int8", "int32", ("int8",)),
    )
    for stored in kinds
}
"""The type of sums and outputs, for the types of weights and activations that fit."""

SHARE = 1 << 23
"""Multiply-adds that make a thread worth waking. Calibrated: they take 0.3 ms, as waking one does
on a virtual machine."""
ONE_AS = 8
"""Reading a weight for one token takes as long as so many multiply-adds. Calibrated."""


def spmm(
    weight: SparseMatrix | Prepared,
    x: NDArray[Any],
    out: NDArray[Any] | None = None,
    bias: NDArray[Any] | None = None,
    activation: Activation | None = None,
    threads: int = 1,
) -> NDArray[Any]:
    """activation(weight · x + bias), shape (out_features, tokens).

    weight: encoded with its weights, shape (out, in), or what `prepare` made of that: then it is
        not packed anew for each product.
    x: shape (in, tokens), any strides: float32 or float64, of which `weight`'s type is no wider
        one, or int8 for int8 weights; uint16 is taken for bfloat16 patterns. Sums and outputs are
        of `x`'s type, of int8 in int32, of bfloat16 in float32.
    out: where to put the product: its shape and type, any strides; it is overwritten, may
        overlap `x`, and is returned. Without it, a new array is.
    bias: (out_features,), of the outputs' type. activation: for floating outputs.
    threads: at most so many, each for some of the output rows; fewer where the product is small.

    Each output is a sum of its row's n kept weights times their inputs, in an order that depends
    on the packing, some of it with zeros for dropped weights. So before bias and activation its
    error is at most γ_n·|W||x|, γ_n = n·u / (1 − n·u), u the unit round-off, for finite `x`; sums
    in int32 are exact unless they overflow. An infinite input may turn an output of a row that
    does not take it into NaN, as it does in the dense product.

    Raises:
        TypeError: `weight` is no sparse matrix, or an operand no array.
        ValueError: shapes or dtypes do not fit, or the weight holds a mask only.
    """
    for name, operand in (("x", x), ("out", out), ("bias", bias)):
        if operand is not None and not isinstance(operand, np.ndarray):
            kind = type(operand).__name__
            raise TypeError(f"spmm: {name} must be a NumPy array, found {kind}; convert it")
    if x.ndim != 2:
        raise ValueError(_needs(weight.shape, x))
    tokens = x.shape[1]
    prepared = weight if isinstance(weight, Prepared) else prepare(weight, tokens)
    dtype = _check(prepared, x, out, bias, activation, threads)
    packed = prepared.packed(tokens)
    threads = _worth(prepared.nnz * max(tokens, ONE_AS), threads)
    last_step = (_no_bias(dtype) if bias is None else np.array(bias), ACTIVATIONS[activation])
    # Elsewhere than in `out` where the kernels cannot write or would overwrite what they read.
    # The one-token loop of one thread reads all before it writes.
    if (
        out is None
        or not out.flags.forc
        or ((tokens, threads) != (1, 1) and np.may_share_memory(out, x))
    ):
        result = np.empty((prepared.shape[0], tokens), dtype)
    else:
        result = out
    if tokens == 1:
        _one(prepared, packed, x, result, last_step, threads)
    elif result.size:
        _many(prepared, packed, x, result, last_step, threads)
    if out is None or out is result:
        return result
    out[...] = result
    return out


def _worth(work: int, threads: int) -> int:
    """As many of the `threads` as get enough of the `work` to be worth waking."""
    return 1 if threads == 1 else max(1, min(threads, work // SHARE))


def _many(
    prepared: Prepared,
    packed: Packed,
    x: NDArray[Any],
    result: NDArray[Any],
    last_step: tuple[NDArray[Any], int],
    threads: int,
) -> None:
    lanes, chunk = machine().lanes(result.dtype), machine().chunk
    parts = (
        prepared.shape,
        chunk,
        *packed.arrays,
        *_flat(_readable(x)),
        *_flat(result),
        *last_step,
    )
    pieces = [
        (kernel, np.zeros(threads, np.int64), tokens)
        for kernel, *tokens in _panels(result.shape[1], lanes, packed.cut.has_rows_only, machine())
    ]
    shares = [
        [(kernel, (*parts, counters, thread, *tokens)) for kernel, counters, tokens in pieces]
        for thread in range(threads)
    ]
    if threads == 1:
        call(shares[0])
    else:
        run(shares)


def _one(
    prepared: Prepared,
    packed: Packed,
    x: NDArray[Any],
    result: NDArray[Any],
    last_step: tuple[NDArray[Any], int],
    threads: int,
) -> None:
    rows = prepared.shape[0]
    # One type of `x` for each type of sums, so that no loop is compiled twice.
    line = _readable(x).reshape(-1)
    if line.dtype not in (result.dtype, np.int16):
        line = line.astype(result.dtype)
    kernel = multiply.one_token(machine().lanes(result.dtype))
    arrays = (*packed.arrays, line, result.reshape(-1), *last_step)
    if threads == 1:
        kernel(*arrays, 0, rows)
        return
    # Whole windows of sorted rows to each thread.
    step = segments.SORTED
    shares = _shares(-(-rows // step), threads)
    run([[(kernel, (*arrays, step * first, min(step * last, rows)))] for first, last in shares])


@cache
def _no_bias(dtype: Any) -> NDArray[Any]:
    return np.empty(0, dtype)


@lru_cache(1024)
def _panels(
    tokens: int, lanes: int, has_rows_only: bool, machine: Machine
) -> list[tuple[Callable[..., None], int, int]]:
    """(kernel, first token, last token): panels of a few widths that cover all tokens."""
    # As many vectors as 4 rows of sums, and one row of inputs, leave registers for.
    full = 4 if machine.registers == 32 else 3
    widths = (8, full, 2, 1) if has_rows_only else (full, 2, 1)
    units = -(-tokens // lanes)
    pieces: list[tuple[Callable[..., None], int, int]] = []
    first = 0
    for width in widths:
        count = units // width
        if width == 3 and units % 3 == 1 and count:
            # Two panels of two are faster than one of three and one of one.
            count -= 1
        if count:
            last = min(first + count * width * lanes, tokens)
            kernel = multiply.many_tokens(lanes, width, machine.side(width))
            pieces.append((kernel, first, last))
            first = last
            units -= count * width
    return pieces


def _shares(count: int, threads: int) -> list[tuple[int, int]]:
    """`count` things in at most `threads` even shares: first and last of each."""
    threads = min(threads, count)
    if threads <= 1:
        return [(0, count)]
    return list(pairwise(count * i // threads for i in range(threads + 1)))


def _readable(x: NDArray[Any]) -> NDArray[Any]:
    """`x`, or a copy where its lines are not contiguous; patterns of bfloat16 as int16."""
    flags = x.flags
    # Read-only arrays are another type to Numba, which would compile all anew.
    x = x if flags.forc and flags.writeable else np.array(x, order="C")
    # uint16 stands for float16 in the loops.
    return x.view(np.int16) if x.dtype == np.uint16 else x


def _flat(array: NDArray[Any]) -> tuple[NDArray[Any], int, bool]:
    """`array` flat, the elements from line to line, and whether a line is a row (or a column)."""
    if array.flags.c_contiguous:
        return array.reshape(-1), array.shape[1], True
    return array.T.reshape(-1), array.shape[0], False


def _check(
    weight: Prepared,
    x: NDArray[Any],
    out: NDArray[Any] | None,
    bias: NDArray[Any] | None,
    activation: str | None,
    threads: int,
) -> np.dtype[Any]:
    """The outputs' type, after a look at whether the operands fit."""
    rows, cols = weight.shape
    if x.shape[0] != cols:
        raise ValueError(_needs(weight.shape, x))
    dtype = SUMS.get((weight.dtype, x.dtype))
    if dtype is None:
        if x.dtype not in {given for _, given in SUMS}:
            raise ValueError(f"spmm: x must be float32 or float64, found {x.dtype}; convert it")
        raise ValueError(
            f"spmm: weight is {weight.dtype}, which x's {x.dtype} cannot hold; convert one"
        )
    if bias is not None and (bias.shape != (rows,) or bias.dtype != dtype):
        raise ValueError(
            f"spmm: bias must be {dtype} of shape ({rows},), found {bias.dtype} of "
            f"shape {bias.shape}"
        )
    if activation not in ACTIVATIONS:
        known = ", ".join(name for name in ACTIVATIONS if name)
        raise ValueError(f"spmm: unknown activation {activation!r}; give one of {known}")
    if activation is not None and dtype == np.int32:
        raise ValueError(f"spmm: {activation} is for floating outputs; x is {x.dtype}")
    if threads < 1:
        raise ValueError(f"spmm: threads is {threads}; give 1 or more")
    if out is not None:
        _check_out(out, (rows, x.shape[1]), dtype)
    return dtype


def _needs(shape: tuple[int, int], x: NDArray[Any]) -> str:
    rows, cols = shape
    return f"spmm: weight ({rows}, {cols}) needs x of shape ({cols}, tokens), found {x.shape}"


def _check_out(out: NDArray[Any], shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"spmm: out must be {dtype} of shape {shape}, found {out.dtype} of shape {out.shape}"
        )
    if not out.flags.writeable:
        raise ValueError(f"spmm: out of shape {shape} is read-only; give a writable array")
