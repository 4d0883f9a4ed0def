"""Sparse weight × dense activations, for every format that has a kernel."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import csc, csr, mixed_vectors
from sparse_formats.csc import CSC
from sparse_formats.csr import CSR
from sparse_formats.mixed_vectors import MixedVectors

Weight = CSR | CSC | MixedVectors


def spmm(weight: Weight, x: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
    """The product weight · x, shape (out_features, tokens), dtype of `x`.

    weight: encoded with its weights, of a dtype that `x`'s holds exactly; shape (out, in).
    x: float32 or float64, shape (in, tokens), any strides. Sums are kept in this dtype.
    out: where to put the product: shape (out, tokens), dtype of `x`, any strides; it is
        overwritten, may overlap `x`, and is returned. Without it, a new array is.

    Each output is a sum in the weight's storage order, so its error is at most γ_n·|W||x|, with
    n the kept weights of its row, γ_n = n·u / (1 − n·u) and u the unit round-off.

    Raises:
        TypeError: there is no kernel for this format.
        ValueError: shapes or dtypes do not fit, or the weight holds a mask only.
    """
    product = PRODUCTS.get(type(weight))
    if product is None:
        known = ", ".join(format.__name__ for format in PRODUCTS)
        raise TypeError(f"spmm: no kernel for {type(weight).__name__}; encode as one of {known}")
    values = _checked_values(weight, x)
    shape = (weight.shape[0], x.shape[1])
    if out is not None:
        _check_out(out, shape, x.dtype)
    # Contiguous operands only, so that there is one compiled kernel a dtype; a strided `out`, or
    # one that shares memory with `x`, is filled at the end.
    direct = out is not None and out.flags.c_contiguous and not np.may_share_memory(out, x)
    result = out if out is not None and direct else np.empty(shape, x.dtype)
    result.fill(0)
    product(weight, values, np.ascontiguousarray(x), result)
    if out is None or direct:
        return result
    out[...] = result
    return out


def _csr(weight: CSR, values: NDArray[Any], x: NDArray[Any], out: NDArray[Any]) -> None:
    csr.accumulate(weight.indptr, weight.indices, values, x, out)


def _csc(weight: CSC, values: NDArray[Any], x: NDArray[Any], out: NDArray[Any]) -> None:
    csc.accumulate(weight.indptr, weight.indices, values, x, out)


def _mixed_vectors(
    weight: MixedVectors, values: NDArray[Any], x: NDArray[Any], out: NDArray[Any]
) -> None:
    vectors = weight.vectors
    accumulate = {
        "horizontal": mixed_vectors.accumulate_horizontal,
        "vertical": mixed_vectors.accumulate_vertical,
    }[vectors.orientation]
    accumulate(vectors.lines, vectors.starts, weight.offsets, values, x, out)


PRODUCTS: dict[type, Callable[[Any, NDArray[Any], NDArray[Any], NDArray[Any]], None]] = {
    CSR: _csr,
    CSC: _csc,
    MixedVectors: _mixed_vectors,
}
"""The kernel of each format: (weight, values, x, out) → None, adding the product to `out`."""


def _checked_values(weight: Weight, x: NDArray[Any]) -> NDArray[Any]:
    """The kept weights in the dtype of `x`, after a look at whether the two fit."""
    rows, cols = weight.shape
    if x.ndim != 2 or x.shape[0] != cols:
        raise ValueError(
            f"spmm: weight ({rows}, {cols}) needs x of shape ({cols}, tokens), found {x.shape}"
        )
    if x.dtype not in (np.float32, np.float64):
        raise ValueError(f"spmm: x must be float32 or float64, found {x.dtype}; convert it")
    if weight.data is None:
        raise ValueError(
            f"spmm: weight ({rows}, {cols}) holds a mask only; encode it with its weights"
        )
    if not np.can_cast(weight.data.dtype, x.dtype, "safe"):
        raise ValueError(
            f"spmm: weight is {weight.data.dtype}, which x's {x.dtype} cannot hold; convert one"
        )
    return np.ascontiguousarray(weight.data, x.dtype)


def _check_out(out: NDArray[Any], shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"spmm: out must be {dtype} of shape {shape}, found {out.dtype} of shape {out.shape}"
        )
    if not out.flags.writeable:
        raise ValueError(f"spmm: out of shape {shape} is read-only; give a writable array")
