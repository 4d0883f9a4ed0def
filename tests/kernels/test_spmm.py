"""Is the product right, whatever the format, the shape, the dtype and the strides?"""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import csc, csr, mixed_vectors
from kernels.spmm import PRODUCTS, Weight, spmm
from sparse_formats.csc import CSC
from sparse_formats.csr import CSR
from sparse_formats.decompose import decompose_oriented
from sparse_formats.mixed_vectors import MixedVectors


def encodings(dense: NDArray[Any]) -> dict[str, Weight]:
    """`dense` in every format that has a kernel, mixed vectors in both orientations."""
    keep = dense != 0
    encoded: dict[str, Weight] = {
        format.__name__: format.encode(keep, dense) for format in (CSR, CSC)
    }
    for orientation in ("horizontal", "vertical"):
        vectors = decompose_oriented(keep, orientation)
        encoded[orientation] = MixedVectors.encode(keep, dense, vectors)
    assert {type(weight) for weight in encoded.values()} == set(PRODUCTS)
    return encoded


def sparse(rng: np.random.Generator, rows: int, cols: int, density: float) -> NDArray[np.float64]:
    """Normal weights in random runs, so that vectors of several lengths occur."""
    run = int(rng.integers(1, 17))
    keep = rng.random((-(-rows // run), -(-cols // run))) < density
    keep = np.kron(keep, np.ones((run, run), bool))[:rows, :cols]
    keep &= rng.random((rows, cols)) < 0.9
    return np.where(keep, rng.standard_normal((rows, cols)), 0)


def assert_product(found: NDArray[Any], dense: NDArray[Any], x: NDArray[Any]) -> None:
    """|found − W·x| ≤ (γ_n(u) + γ_n(u64))·|W||x|: our rounding, and that of the reference.

    n is the kept weights of the row; one of them is rounded at most n times on its way.
    Source: Higham, Accuracy and Stability of Numerical Algorithms, equation 3.5.
    """
    w, y = dense.astype(np.float64), x.astype(np.float64)
    kept = np.count_nonzero(dense, axis=1, keepdims=True)
    gamma = sum(
        kept * unit / (1 - kept * unit)
        for unit in (np.finfo(found.dtype).eps / 2, np.finfo(np.float64).eps / 2)
    )
    assert found.shape == (dense.shape[0], x.shape[1])
    assert found.dtype == x.dtype
    assert np.all(np.abs(found - w @ y) <= gamma * (np.abs(w) @ np.abs(y)))


@given(
    rows=st.integers(1, 70),
    cols=st.integers(1, 70),
    tokens=st.integers(0, 20),
    density=st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_format_equals_dense(
    rows: int, cols: int, tokens: int, density: float, dtype: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dense = sparse(rng, rows, cols, density).astype(dtype)
    x = rng.standard_normal((cols, tokens)).astype(dtype)
    for weight in encodings(dense).values():
        assert_product(spmm(weight, x), dense, x)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (1, 341), (341, 1), (127, 131)])
@pytest.mark.parametrize("density", [0.0, 1.0])
def test_extreme_shapes(shape: tuple[int, int], density: float) -> None:
    dense = np.full(shape, density, np.float32)
    x = np.linspace(-1, 1, shape[1] * 5, dtype=np.float32).reshape(shape[1], 5)
    for weight in encodings(dense).values():
        assert_product(spmm(weight, x), dense, x)


def test_by_hand() -> None:
    dense = np.array([[0, 2, 3], [0, 0, 0], [1, 0, 4]], np.float32)
    x = np.array([[1, 10], [2, 20], [3, 30]], np.float32)
    for weight in encodings(dense).values():
        np.testing.assert_array_equal(spmm(weight, x), [[13, 130], [0, 0], [13, 130]])


@pytest.mark.parametrize("view", ["transposed", "every second", "reversed", "broadcast"])
def test_strides_of_x_do_not_matter(view: str) -> None:
    rng = np.random.default_rng(0)
    dense = sparse(rng, 37, 41, 0.3).astype(np.float32)
    base = rng.standard_normal((82, 82)).astype(np.float32)
    x = {
        "transposed": base[:9, :41].T,
        "every second": base[::2, ::3],
        "reversed": base[40::-1, ::-1],
        "broadcast": np.broadcast_to(base[:41, :1], (41, 9)),
    }[view]
    for weight in encodings(dense).values():
        np.testing.assert_array_equal(spmm(weight, x), spmm(weight, np.array(x, order="C")))


@pytest.mark.parametrize("stored", [np.float16, np.float32, np.int8])
def test_narrow_weights_are_summed_wide(stored: type) -> None:
    rng = np.random.default_rng(1)
    dense = (8 * sparse(rng, 33, 35, 0.4)).astype(stored)
    x = rng.standard_normal((35, 7)).astype(np.float32)
    for weight in encodings(dense).values():
        assert_product(spmm(weight, x), dense, x)


@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_a_given_output_is_overwritten_and_returned(order: str) -> None:
    rng = np.random.default_rng(2)
    dense = sparse(rng, 23, 29, 0.3)
    x = rng.standard_normal((29, 6))
    for weight in encodings(dense).values():
        out = {
            "C": np.full((23, 6), np.nan),
            "F": np.full((23, 6), np.nan, order="F"),
            "strided": np.full((46, 18), np.nan)[::2, ::3],
        }[order]
        assert spmm(weight, x, out) is out
        np.testing.assert_array_equal(out, spmm(weight, x))


def test_the_output_may_be_the_input() -> None:
    rng = np.random.default_rng(3)
    dense, x = sparse(rng, 31, 31, 0.3), rng.standard_normal((31, 5))
    for weight in encodings(dense).values():
        expected, both = spmm(weight, x), x.copy()
        spmm(weight, both, both)
        np.testing.assert_array_equal(both, expected)


def test_the_operands_are_left_alone() -> None:
    rng = np.random.default_rng(4)
    dense, x = sparse(rng, 20, 30, 0.3), rng.standard_normal((30, 5))
    x.flags.writeable = False
    for weight in encodings(dense).values():
        spmm(weight, x)
        assert weight.data is not None
        decoded = weight.decode()[1]
        np.testing.assert_array_equal(decoded, dense)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_equals_uncompiled(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    dense = sparse(rng, 13, 17, 0.4).astype(dtype)
    x = rng.standard_normal((17, 3)).astype(dtype)
    encoded = encodings(dense)
    compiled = {name: spmm(weight, x) for name, weight in encoded.items()}
    for module, name in (
        (csr, "accumulate"),
        (csc, "accumulate"),
        (mixed_vectors, "accumulate_horizontal"),
        (mixed_vectors, "accumulate_vertical"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name).py_func)
    for name, weight in encoded.items():
        np.testing.assert_array_equal(spmm(weight, x), compiled[name])


@pytest.mark.parametrize(
    ("x", "out", "message"),
    [
        (np.zeros(3), None, r"weight \(2, 3\) needs x of shape \(3, tokens\), found \(3,\)"),
        (np.zeros((2, 4)), None, r"needs x of shape \(3, tokens\), found \(2, 4\)"),
        (np.zeros((3, 4), np.int64), None, "x must be float32 or float64, found int64"),
        (np.zeros((3, 4), np.float16), None, "x must be float32 or float64, found float16"),
        (np.zeros((3, 4), np.float32), None, "weight is float64, which x's float32 cannot hold"),
        (np.zeros((3, 4)), np.zeros((4, 2)), r"shape \(2, 4\), found float64 of shape \(4, 2\)"),
        (np.zeros((3, 4)), np.zeros((2, 4), np.float32), r"float64 of shape \(2, 4\), found float"),
        (np.zeros((3, 4)), np.broadcast_to(0.0, (2, 4)), "read-only"),
    ],
)
def test_what_does_not_fit_is_refused(
    x: NDArray[Any], out: NDArray[Any] | None, message: str
) -> None:
    for weight in encodings(np.ones((2, 3))).values():
        with pytest.raises(ValueError, match=message):
            spmm(weight, x, out)


@pytest.mark.parametrize("format", PRODUCTS, ids=lambda format: format.__name__)
def test_a_mask_without_weights_is_refused(format: Any) -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) holds a mask only"):
        spmm(format.encode(np.ones((2, 3), bool)), np.zeros((3, 1)))


def test_an_unknown_format_is_named_with_the_known_ones() -> None:
    dense: Any = np.zeros((2, 3))
    with pytest.raises(TypeError, match="no kernel for ndarray; encode as one of CSR, CSC"):
        spmm(dense, np.zeros((3, 1)))


def test_the_package_itself_is_empty() -> None:
    """A package of this name is probed by transformers, which must find nothing to use."""
    program = "import sys; old = set(sys.modules); import kernels; print(*(set(sys.modules) - old))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["kernels"]
    import kernels

    assert not hasattr(kernels, "__version__")
