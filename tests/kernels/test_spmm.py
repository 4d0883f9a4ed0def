"""Is the product right, whatever the format, the shape, the dtype and the strides?"""

import math
import subprocess
import sys
from collections.abc import Iterator
from time import sleep
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import dispatcher as plan
from kernels import packing as prepare_module
from kernels import products as spmm_module
from kernels import threads as threads_module
from kernels.dispatcher import batch_of, candidates
from kernels.loops import multiply
from kernels.packing import Prepared, pack, prepare
from kernels.products import spmm
from kernels.vector_registers import NEON, Machine, machine
from sparse_formats.formats.bsr import BSR
from sparse_formats.formats.csc import CSC
from sparse_formats.formats.csr import CSR
from sparse_formats.formats.lane_select import LaneSelect
from sparse_formats.formats.mixed_vectors import MixedVectors
from sparse_formats.formats.mixed_vectors_tiled import MixedVectorsTiled
from sparse_formats.formats.n_m import NM
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.formats.two_level import TwoLevel
from sparse_formats.masks.decompose import decompose_oriented
from sparse_formats.masks.slots import Slots
from tests.sparse_formats.slot_masks import selected


@pytest.fixture(autouse=True, scope="module")
def every_thread_is_worth_waking() -> Iterator[None]:
    """So that products small enough for tests are shared among threads too."""
    before, spmm_module.SHARE = spmm_module.SHARE, 1
    yield
    spmm_module.SHARE = before


def encodings(dense: NDArray[Any]) -> dict[str, SparseMatrix]:
    """`dense` in every format whose kernel is asked for, mixed vectors in both orientations."""
    keep = dense != 0
    encoded: dict[str, SparseMatrix] = {
        format.__name__: format.encode(keep, dense) for format in (CSR, CSC, MixedVectorsTiled)
    }
    encoded["BSR"] = BSR.encode(keep, dense, 1)
    encoded["TwoLevel"] = TwoLevel.encode(keep, dense, 8)
    encoded["NM"] = NM.encode(keep, dense, 4, 4)
    for orientation in ("horizontal", "vertical"):
        vectors = decompose_oriented(keep, orientation)
        encoded[orientation] = MixedVectors.encode(keep, dense, vectors)
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


PIECES = {
    "single": (1, 1),
    "vertical 4": (4, 1),
    "vertical 16": (16, 1),
    "vertical 64": (64, 1),
    "horizontal 4": (1, 4),
    "horizontal 16": (1, 16),
    "horizontal 32": (1, 32),
    "blocks": (32, 32),
}


def in_pieces(
    rng: np.random.Generator, rows: int, cols: int, pieces: str, density: float
) -> NDArray[np.float64]:
    """Normal weights kept in whole pieces of one kind, cut off at the edges."""
    height, width = PIECES[pieces]
    keep = rng.random((-(-rows // height), -(-cols // width))) < density
    keep = keep.repeat(height, 0).repeat(width, 1)[:rows, :cols]
    return np.where(keep, rng.standard_normal((rows, cols)), 0)


TOKENS = [0, 1, 2, 7, 8, 9, 16, 17, 31, 33, 64, 73, 129]


@given(
    rows=st.integers(1, 400),
    cols=st.integers(1, 300),
    tokens=st.sampled_from(TOKENS),
    pieces=st.sampled_from(sorted(PIECES)),
    density=st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_is_every_product_right(
    rows: int, cols: int, tokens: int, pieces: str, density: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dense = in_pieces(rng, rows, cols, pieces, density).astype(np.float32)
    x = rng.standard_normal((cols, tokens)).astype(np.float32)
    weight = CSR.encode(dense != 0, dense)
    assert_product(spmm(weight, x, threads=int(rng.integers(1, 4))), dense, x)


@settings(max_examples=settings().max_examples // 8 or 1)
@given(
    rows=st.integers(1, 70),
    cols=st.integers(1, 70),
    tokens=st.sampled_from([1, 5, 16]),
    density=st.sampled_from([0.0, 0.2, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_format_equals_dense(
    rows: int, cols: int, tokens: int, density: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dense = sparse(rng, rows, cols, density).astype(np.float32)
    x = rng.standard_normal((cols, tokens)).astype(np.float32)
    for weight in encodings(dense).values():
        assert_product(spmm(weight, x), dense, x)


@pytest.mark.parametrize("is_vertical", [False, True])
@pytest.mark.parametrize("tokens", [1, 16, 129])
def test_lanes_that_select_their_inputs_equal_dense(tokens: int, is_vertical: bool) -> None:
    rng = np.random.default_rng(tokens)
    keep = selected(rng.random((70, 150)) < 0.3, 16, 4, is_vertical)
    dense = np.where(keep, rng.standard_normal(keep.shape), 0).astype(np.float32)
    x = rng.standard_normal((150, tokens)).astype(np.float32)
    slots = Slots("vertical" if is_vertical else "horizontal", 16, 4)
    assert_product(spmm(LaneSelect.encode(keep, dense, slots=slots), x), dense, x)


@pytest.mark.parametrize("tokens", [1, 8, 24, 70])
@pytest.mark.parametrize("pieces", PIECES)
def test_is_every_cut_right_not_only_the_chosen(pieces: str, tokens: int) -> None:
    rng = np.random.default_rng(6)
    rows, cols = 2 * machine().chunk + 5, 147
    dense = in_pieces(rng, rows, cols, pieces, 0.3).astype(np.float32)
    weight = CSR.encode(dense != 0, dense)
    x = rng.standard_normal((cols, tokens)).astype(np.float32)
    used: set[str] = set()
    for cut in candidates(batch_of(tokens)).values():
        packed = pack(weight, tokens, cut)
        prepared = Prepared(
            weight.shape, weight.nnz, weight, dense.dtype, {batch_of(tokens): packed}
        )
        assert_product(spmm(prepared, x), dense, x)
        parts = {"strips": packed.strips, "segments": packed.segments, "rows": packed.rows}
        used |= {name for name, part in parts.items() if part.values.size}
    assert used == {"strips", "segments", "rows"}


@pytest.mark.parametrize("pattern", [{}, {"kept": 1}, {"kept": 3}])
def test_n_m(pattern: dict[str, int]) -> None:
    rng = np.random.default_rng(7)
    kept = pattern.get("kept", 2)
    keep = (rng.random((203, 40, 4)).argsort(2) < kept).reshape(203, 160)
    dense = np.where(keep, rng.standard_normal(keep.shape), 0).astype(np.float32)
    x = rng.standard_normal((160, 29)).astype(np.float32)
    assert_product(spmm(NM.encode(keep, dense, **pattern), x), dense, x)


@pytest.mark.parametrize("block", [3, 4, 16, 32])
def test_blocks_that_reach_over_the_edge(block: int) -> None:
    rng = np.random.default_rng(8)
    keep = (rng.random((5, 7)) < 0.4).repeat(block, 0).repeat(block, 1)[: 5 * block - 2, :-1]
    dense = np.where(keep, rng.standard_normal(keep.shape), 0).astype(np.float32)
    for tokens in (1, 20):
        x = rng.standard_normal((keep.shape[1], tokens)).astype(np.float32)
        assert_product(spmm(BSR.encode(keep, dense, block), x), dense, x)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (1, 341), (341, 1), (127, 131)])
@pytest.mark.parametrize("density", [0.0, 1.0])
def test_extreme_shapes(shape: tuple[int, int], density: float) -> None:
    dense = np.full(shape, density, np.float32)
    for tokens in (5, 1):
        x = np.linspace(-1, 1, shape[1] * tokens, dtype=np.float32).reshape(shape[1], tokens)
        for weight in encodings(dense).values():
            assert_product(spmm(weight, x, threads=2), dense, x)


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [(768, 768), (3072, 768), (768, 3072), (4096, 4096), (1024, 4096), (11008, 4096), (341, 4096),
     (4096, 341)],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("pieces", ["single", "vertical 16", "horizontal 16", "blocks"])
def test_projections_of_bert_and_llama(shape: tuple[int, int], pieces: str) -> None:
    rng = np.random.default_rng(shape[0])
    height, width = PIECES[pieces]
    keep = rng.random((-(-shape[0] // height), -(-shape[1] // width))) < 0.2
    keep = keep.repeat(height, 0).repeat(width, 1)[: shape[0], : shape[1]]
    dense = np.where(keep, rng.standard_normal(shape, np.float32), np.float32(0))
    weight = CSR.encode(keep, dense)
    # Some rows, among them the last: all of them in float64 would take a gigabyte.
    rows = np.append(rng.integers(0, shape[0], 200), shape[0] - 1)
    for tokens in (1, 16, 130):
        x = rng.standard_normal((shape[1], tokens), np.float32)
        found = spmm(weight, x, threads=2)
        assert_product(found[rows], dense[rows], x)


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


@pytest.mark.parametrize(
    ("stored", "wide"),
    [(np.float16, np.float32), (np.int8, np.float32), (np.float32, np.float64)],
)
def test_narrow_weights_are_summed_wide(stored: type, wide: type) -> None:
    rng = np.random.default_rng(1)
    for pieces in ("vertical 16", "horizontal 4", "single"):
        dense = (8 * in_pieces(rng, 33, 67, pieces, 0.4)).astype(stored)
        weight = CSR.encode(dense != 0, dense)
        for tokens in (1, 16):
            x = rng.standard_normal((67, tokens)).astype(wide)
            assert_product(spmm(weight, x), dense, x)


@pytest.mark.parametrize("tokens", [1, 7, 40])
@pytest.mark.parametrize("order", ["C", "F"])
def test_patterns_of_bfloat16_are_read_as_what_they_stand_for(tokens: int, order: Any) -> None:
    rng = np.random.default_rng(2)
    dense = sparse(rng, 70, 90, 0.3).astype(np.float32)
    weight = CSR.encode(dense != 0, dense)
    x = np.array(rng.standard_normal((90, tokens)), np.float32, order=order)
    patterns = (x.view(np.uint32) >> 16).astype(np.uint16, order="K")
    wide = (patterns.astype(np.uint32) << 16).view(np.float32)
    found = spmm(weight, patterns)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, spmm(weight, wide))


def test_whole_numbers_are_exact() -> None:
    rng = np.random.default_rng(9)
    for pieces in ("vertical 16", "horizontal 4", "single"):
        dense = np.where(in_pieces(rng, 50, 83, pieces, 0.4), rng.integers(-128, 128, (50, 83)), 0)
        weight = CSR.encode(dense != 0, dense.astype(np.int8))
        for tokens in (1, 16):
            x = rng.integers(-128, 128, (83, tokens)).astype(np.int8)
            found = spmm(weight, x)
            assert found.dtype == np.int32
            np.testing.assert_array_equal(found, dense.astype(np.int64) @ x)


@pytest.mark.parametrize("tokens", [1, 3, 40])
@pytest.mark.parametrize("activation", [None, "relu", "gelu"])
def test_bias_and_activation(activation: Any, tokens: int) -> None:
    rng = np.random.default_rng(10)
    dense = sparse(rng, 200, 41, 0.3)
    x, bias = rng.standard_normal((41, tokens)), rng.standard_normal(200)
    sums = dense @ x + bias[:, None]
    error_function = np.vectorize(math.erf)
    expected = {
        None: sums,
        "relu": np.maximum(sums, 0),
        "gelu": sums * (1 + error_function(sums / math.sqrt(2))) / 2,
    }[activation]
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        typed = dense.astype(dtype)
        weight = CSR.encode(typed != 0, typed)
        found = spmm(weight, x.astype(dtype), None, bias.astype(dtype), activation)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("tokens", [1, 40])
def test_what_is_no_number_stays_none(activation: Any, tokens: int) -> None:
    dense = np.eye(32, dtype=np.float32)
    x = np.full((32, tokens), -1, np.float32)
    x[3] = np.nan
    found = spmm(CSR.encode(dense != 0, dense), x, activation=activation)
    assert np.isnan(found[3]).all()
    # Those of the same strip may become NaN too.
    assert not np.isnan(found[16:]).any()


def test_the_error_function_of_float32() -> None:
    values = np.concatenate([np.linspace(-9, 9, 20001), [1e-30, -1e-30, 0, 100, -100]])
    nothing = np.zeros((len(values), 1), bool)
    weight = CSR.encode(nothing, nothing.astype(np.float32))
    x = np.zeros((1, 2), np.float32)
    found = spmm(weight, x, bias=values.astype(np.float32), activation="gelu")
    cdf = np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in values])
    # Near −5 what is left is smaller than the rounding of 1 + erf, times 5.
    np.testing.assert_allclose(found[:, 1], values * cdf, rtol=2e-6, atol=1.2e-6)


@pytest.mark.parametrize("threads", [2, 3, 50])
def test_threads_change_nothing(threads: int) -> None:
    rng = np.random.default_rng(11)
    for tokens in (1, 40):
        dense = sparse(rng, 5 * machine().chunk + 7, 41, 0.3).astype(np.float32)
        prepared = prepare(CSR.encode(dense != 0, dense), tokens)
        x = rng.standard_normal((41, tokens)).astype(np.float32)
        np.testing.assert_array_equal(spmm(prepared, x, threads=threads), spmm(prepared, x))


def test_helpers_wake_serve_two_callers_and_pass_errors_on() -> None:
    def fail() -> None:
        raise ArithmeticError("of a helper")

    seen: list[str] = []
    # Longer apart than a helper looks for work.
    for _ in range(3):
        sleep(0.02)
        threads_module.run([[(seen.append, ("here",))], [(seen.append, ("there",))]])
    assert sorted(seen) == ["here"] * 3 + ["there"] * 3
    inner = [[(seen.append, ("first",))], [(seen.append, ("second",))]]
    seen.clear()
    threads_module.run([[(threads_module.run, (inner,))], []])
    assert seen == ["first", "second"]
    with pytest.raises(ArithmeticError, match="of a helper"):
        threads_module.run([[], [(fail, ())]])
    threads_module.run([[], [(seen.append, ("alive",))]])
    assert seen[-1] == "alive"


def test_a_small_product_wakes_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[int] = []
    helpers = threads_module._helpers
    monkeypatch.setattr(
        threads_module, "_helpers", lambda count: woken.append(count) or helpers(count)
    )
    dense = np.ones((4 * machine().chunk, 16), np.float32)
    weight = CSR.encode(dense != 0, dense)
    for tokens, share, expected in (
        (24, dense.size * 24 // 3, [2]),
        (24, dense.size * 24 // 2 + 1, []),
        (1, dense.size * 8 // 2, [1]),
        (1, dense.size * 8, []),
    ):
        monkeypatch.setattr(spmm_module, "SHARE", share)
        woken.clear()
        spmm(weight, np.ones((16, tokens), np.float32), threads=4)
        assert woken == expected


def test_a_change_of_what_is_compiled_in_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba's own check of a cached kernel sees the file of its outermost function only."""

    def key(make: Any) -> object:
        kernel = make.__wrapped__
        kernel = kernel(8) if make is multiply.one_token else kernel(8, 1, False)
        return kernel._cache._index_key((), kernel.targetctx.codegen())

    for make in (multiply.one_token, multiply.many_tokens):
        before = key(make)
        assert key(make) == before
        with monkeypatch.context() as patched:
            patched.setattr(multiply, "SOURCES", "of another edition")
            assert key(make) != before


@pytest.mark.parametrize(
    "other", [Machine("AVX-512", 64, 32, True), Machine("128-bit", 16, 16, False), NEON], ids=str
)
def test_registers_of_another_machine(other: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """LLVM makes any width fit this machine, slowly: the products must be right all the same."""
    for module in (prepare_module, plan, spmm_module):
        monkeypatch.setattr(module, "machine", lambda: other)
    rng = np.random.default_rng(13)
    for tokens in (1, other.lanes(np.dtype(np.float32)) - 1):
        for pieces in ("vertical 16", "horizontal 16", "single"):
            dense = in_pieces(rng, other.chunk + 21, 70, pieces, 0.3).astype(np.float16)
            x = rng.standard_normal((70, tokens)).astype(np.float32)
            assert_product(spmm(CSR.encode(dense != 0, dense), x), dense, x)


def test_what_is_prepared_once_serves_any_number_of_tokens() -> None:
    rng = np.random.default_rng(12)
    dense = sparse(rng, 64, 41, 0.3).astype(np.float32)
    prepared = prepare(CSR.encode(dense != 0, dense))
    first = prepared.seconds
    assert first > 0 and prepared.bytes >= 4 * prepared.nnz == 4 * np.count_nonzero(dense)
    for tokens in (128, 1, 5, 1, 129):
        x = rng.standard_normal((41, tokens)).astype(np.float32)
        assert_product(spmm(prepared, x), dense, x)
    assert set(prepared.packings) == {"one", "few", "many"} and prepared.seconds > first
    # Each packing has all the weights.
    assert prepared.bytes >= 3 * 4 * prepared.nnz


@pytest.mark.parametrize("tokens", [1, 16, 130])
def test_a_dropped_weight_does_not_spoil_a_row_without_it(tokens: int) -> None:
    """What a piece covers may take an infinite input's 0 · ∞; a row without any piece may not."""
    dense = np.zeros((64, 48), np.float32)
    dense[:16, 3] = 1
    x = np.full((48, tokens), np.inf, np.float32)
    found = spmm(CSR.encode(dense != 0, dense), x)
    assert np.all(found[:16] == np.inf) and np.all(found[16:] == 0)


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


@pytest.mark.parametrize(("tokens", "threads"), [(1, 2), (5, 1), (100, 1), (100, 2)])
@pytest.mark.parametrize("shift", [-7, 7])
def test_the_output_may_overlap_the_input(tokens: int, threads: int, shift: int) -> None:
    # The output begins a few numbers before or behind the input, in the same memory.
    rng = np.random.default_rng(6)
    dense, x = sparse(rng, 64, 64, 0.5), rng.standard_normal((64, tokens))
    for weight in encodings(dense).values():
        expected = spmm(weight, x)
        memory = np.zeros(x.size + 14)
        given_, out = (memory[start : start + x.size].reshape(x.shape) for start in (7, 7 + shift))
        given_[:] = x
        spmm(weight, given_, out, threads=threads)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("tokens", [1, 3])
def test_what_lies_behind_the_input_does_not_matter(tokens: int) -> None:
    rng = np.random.default_rng(7)
    dense = sparse(rng, 33, 19, 0.5)
    memory = np.full((32, tokens), np.nan)
    memory[:19] = rng.standard_normal((19, tokens))
    for weight in encodings(dense).values():
        np.testing.assert_allclose(spmm(weight, memory[:19]), dense @ memory[:19], atol=1e-9)


def test_the_operands_are_left_alone() -> None:
    rng = np.random.default_rng(4)
    dense, x = sparse(rng, 20, 30, 0.3), rng.standard_normal((30, 5))
    x.flags.writeable = False
    for weight in encodings(dense).values():
        spmm(weight, x)
        assert weight.data is not None
        decoded = weight.decode()[1]
        np.testing.assert_array_equal(decoded, dense)


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


@pytest.mark.parametrize("format", [CSR, CSC, NM, MixedVectors])
def test_a_mask_without_weights_is_refused(format: Any) -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) holds only a mask"):
        spmm(format.encode(np.eye(2, 3, dtype=bool)), np.zeros((3, 1)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias": np.zeros(3)}, r"bias must be float64 of shape \(2,\), found float64 of shape"),
        ({"bias": np.zeros(2, np.float32)}, r"bias must be float64 .* found float32"),
        ({"activation": "tanh"}, "unknown activation 'tanh'; give one of relu, gelu"),
        ({"threads": 0}, "threads is 0; give 1 or more"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    dense = np.ones((2, 3))
    with pytest.raises(ValueError, match=message):
        spmm(CSR.encode(dense != 0, dense), np.zeros((3, 4)), **options)


def test_weights_without_a_kernel_are_refused() -> None:
    keep = np.ones((2, 3), bool)
    with pytest.raises(ValueError, match="weight is uint16; convert it to one of float64"):
        spmm(CSR.encode(keep, keep.astype(np.uint16)), np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match="gelu is for floating outputs; x is int8"):
        weight = CSR.encode(keep, keep.astype(np.int8))
        spmm(weight, np.zeros((3, 4), np.int8), activation="gelu")


def test_what_is_no_array_is_named() -> None:
    array = np.zeros((2, 1))
    operands: dict[str, Any] = {"x": array, "out": array, "bias": array[:, 0]}
    weight = CSR.encode(np.eye(2, dtype=bool), np.eye(2))
    for name in operands:
        given = operands | {name: operands[name].tolist()}
        with pytest.raises(TypeError, match=f"{name} must be a NumPy array, found list; convert"):
            spmm(weight, **given)


def test_what_is_no_sparse_matrix_is_named() -> None:
    dense: Any = np.zeros((2, 3))
    with pytest.raises(TypeError, match="no kernel for ndarray; encode it, for instance as CSR"):
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
