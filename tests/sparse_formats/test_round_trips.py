"""Does every format give back mask and weights bit for bit?"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.csc import CSC
from sparse_formats.formats.csr import CSR
from sparse_formats.formats.mixed_vectors import MixedVectors
from sparse_formats.formats.registry import FORMATS, encode
from sparse_formats.masks import bit_words, decompose
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import MENU, VectorLayout
from tests.sparse_formats.test_streams import fitted
from tests.tiers import slow

SHAPES = [(1, 1), (1, 9), (9, 1), (13, 17), (64, 64), (67, 129), (3, 131), (131, 3)]
FLOATS = [np.float16, np.float32, np.float64]


def masked(shape: tuple[int, int], density: float, dtype: Any) -> tuple[Any, Any]:
    """A random mask and weights with some kept zeros of either sign."""
    rng = np.random.default_rng(7)
    keep = rng.random(shape) < density
    weight = rng.standard_normal(shape)
    weight[rng.random(shape) < 0.1] = 0.0
    weight[rng.random(shape) < 0.1] = -0.0
    return keep, np.where(keep, weight, 0).astype(dtype)


def bits(array: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [np.float16, *slow(np.float32, np.float64)])
def test_is_every_bit_given_back(
    format: str, shape: tuple[int, int], density: float, dtype: Any
) -> None:
    keep, weight = masked(shape, density, dtype)
    keep = fitted(format, keep)
    weight = np.where(keep, weight, 0).astype(dtype)
    encoded = FORMATS[format].encode(keep, weight)
    kept, weights = encoded.decode()
    assert weights is not None and weights.dtype == dtype
    assert (encoded.shape, encoded.nnz) == (shape, int(keep.sum()))
    assert bits(kept) == bits(keep)
    assert bits(weights) == bits(weight)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("turn", [np.transpose, np.asfortranarray, lambda a: a[::2, ::-1]])
def test_does_memory_order_not_matter(
    format: str, turn: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    keep, weight = masked((20, 30), 0.4, np.float32)
    # Fitted last, in an array of the same memory order.
    upright = fitted(format, np.ascontiguousarray(turn(keep)))
    keep, weight = np.empty_like(turn(keep)), turn(weight).copy("K")
    keep[...] = upright
    weight[~keep] = 0
    kept, weights = FORMATS[format].encode(keep, weight).decode()
    assert weights is not None
    assert (kept == keep).all() and bits(weights) == bits(weight)


@pytest.mark.parametrize("format", FORMATS)
def test_is_a_mask_without_weights_given_back_alone(format: str) -> None:
    keep = fitted(format, masked((13, 17), 0.4, np.float32)[0])
    kept, weights = FORMATS[format].encode(keep).decode()
    assert weights is None
    assert (kept == keep).all()


masks = st.tuples(st.integers(1, 70), st.integers(1, 70), st.randoms(use_true_random=False)).map(
    lambda drawn: (
        np.random.default_rng(drawn[2].randrange(2**32)).random((drawn[0], drawn[1]))
        < drawn[2].random()
    )
)


@given(masks)
def test_do_csr_and_csc_hold_what_scipys_hold(keep: NDArray[np.bool_]) -> None:
    for ours, theirs in (
        (CSR.encode(keep), scipy.sparse.csr_array(keep)),
        (CSC.encode(keep), scipy.sparse.csc_array(keep)),
    ):
        assert ours.indptr.tolist() == theirs.indptr.tolist()
        assert ours.indices.tolist() == theirs.indices.tolist()
        assert ours.indptr.dtype == ours.indices.dtype == np.int32


def maximal_segments(line: list[bool], menu: tuple[int, ...]) -> list[tuple[int, int]]:
    """Start and length of the maximal kept aligned segments, by trying them all."""
    full = [
        (start, length)
        for length in menu
        for start in range(0, len(line), length)
        if all(line[start : start + length])
    ]

    def inside(small: tuple[int, int], big: tuple[int, int]) -> bool:
        return (
            small != big
            and big[0] <= small[0]
            and small[0] + small[1] <= big[0] + big[1]
            and small[1] < big[1]
        )

    return sorted(s for s in full if not any(inside(s, other) for other in full))


@given(masks, st.sampled_from([MENU, (1,), (1, 2, 6), (4, 8)]))
def test_are_vectors_the_maximal_aligned_segments(
    keep: NDArray[np.bool_], menu: tuple[int, ...]
) -> None:
    needed = {}
    for orientation, by_line in (("horizontal", keep), ("vertical", keep.T)):
        layout = decompose.decompose_oriented(keep, orientation, menu)  # type: ignore[arg-type]
        expected = [
            (line, start, length)
            for line, entries in enumerate(by_line.tolist())
            for start, length in maximal_segments(entries, tuple({1, *menu}))
        ]
        found = zip(
            layout.lines.tolist(), layout.starts.tolist(), layout.lengths.tolist(), strict=True
        )
        assert list(found) == expected
        assert (layout.keep((keep.shape[0], keep.shape[1])) == keep).all()
        needed[orientation] = len(layout)
    best = decompose.decompose(keep, menu)
    assert len(best) == min(needed.values())
    if needed["horizontal"] <= needed["vertical"]:
        assert best.orientation == "horizontal"


def test_has_the_makers_layout_precedence() -> None:
    keep = np.ones((1, 8), np.bool_)
    two = np.array([0, 4], np.int32)
    layout = VectorLayout("horizontal", np.zeros(2, np.int32), two, np.full(2, 4, np.int32))
    matrix = MaskedMatrix("m", keep, None, "other", layout)
    encoded = encode(matrix, "mixed_vectors")
    assert isinstance(encoded, MixedVectors)
    assert encoded.vectors is layout
    assert (encoded.decode()[0] == keep).all()


@pytest.mark.parametrize(
    ("lines", "starts", "lengths", "says"),
    [
        ([0], [0], [4], "do not make up its mask.*row 0, column 4"),
        ([0, 0], [0, 2], [4, 4], "a start must be a multiple"),
        ([0, 0], [4, 0], [4, 4], "overlap or are not sorted"),
        ([0, 0], [0, 0], [8, 8], "overlap"),
        ([1], [0], [8], "outside 0..0"),
        ([0], [8], [8], "starts outside 0..7"),
        ([0], [0], [0], "positive"),
        ([0, 0], [0, 6], [6, 4], "does not divide"),
        ([0, 0], [0], [8], "one length"),
    ],
)
def test_what_does_a_wrong_layout_say(
    lines: list[int], starts: list[int], lengths: list[int], says: str
) -> None:
    layout = VectorLayout("horizontal", *(np.array(a, np.int32) for a in (lines, starts, lengths)))
    with pytest.raises(InputError, match=says):
        MixedVectors.encode(np.ones((1, 8), np.bool_), None, layout)


def test_does_a_menu_that_does_not_nest_fail() -> None:
    with pytest.raises(InputError, match="4 does not divide 6"):
        decompose.decompose(np.ones((2, 2), np.bool_), (4, 6))


def kernels() -> list[tuple[Any, str]]:
    """Every compiled function of the package, and the module that names it."""
    import sparse_formats

    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(sparse_formats.__path__, "sparse_formats.")
        if not found.name.endswith("__main__")
    ]
    return [(m, name) for m in modules for name, f in vars(m).items() if hasattr(f, "py_func")]


def test_is_no_compiled_function_missed() -> None:
    assert {"_places", "_segments", "vector_starts", "_encode"} <= {name for _, name in kernels()}


def lowest_bit(word: int) -> int:
    return (int(word) & -int(word)).bit_length() - 1


@pytest.mark.parametrize("format", FORMATS)
def test_does_compiled_code_do_what_the_same_code_uncompiled_does(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, weight = masked((13, 70), 0.6, np.float16)
    keep = fitted(format, keep)
    weight[~keep] = 0
    weight[keep & (weight == 0)] = 1
    compiled = FORMATS[format].encode(keep, weight)
    stream, descriptor = compiled.to_bytes(), compiled.descriptor()
    compiled_functions = kernels()
    for module, name in compiled_functions:
        monkeypatch.setattr(module, name, getattr(module, name).py_func)
    for name, plainly in (
        ("trailing_zeros", lowest_bit),
        ("set_bits", lambda word: int(word).bit_count()),
        ("prefetch", lambda array, item: None),
    ):
        for module in {module for module, _ in compiled_functions} | {bit_words}:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, plainly)
    plain = FORMATS[format].encode(keep, weight)
    assert compiled.storage(16) == plain.storage(16)
    assert plain.to_bytes() == stream
    assert FORMATS[format].from_bytes(stream, descriptor).to_bytes() == stream
    for one, other in zip(compiled.decode(), plain.decode(), strict=True):
        assert one is not None and other is not None
        assert bits(one) == bits(other)
