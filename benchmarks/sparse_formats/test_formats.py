"""How fast are encoders and decoders: a 3072×768 float32 matrix, 80 % sparse?

Masks: uniformly random; "mvp" planted horizontal vectors, mean length 11; "vertical" the same
turned. Interleaved: every round runs all contenders of a group once, so that a slow minute of the
machine hits all alike; compare medians within a group. `mixed_vectors` is given its layout on "mvp"
and "vertical" masks (as mask files of ours do) and decomposes on random ones; "mixed_vectors, cut"
decomposes on all.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from statistics import median
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from sparse_formats.formats.registry import FORMATS, encode
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.synthetic.generate import generate
from sparse_formats.masks.synthetic.shapes import MatrixShape

SHAPE, DENSITY, ROUNDS = (3072, 768), 0.2, 31
RIGID = ("n_m", "vector_wise", "hierarchical_n_m", "n_m_or_dense", "bsr")
ANY_MASK = [name for name in FORMATS if name not in RIGID]


@cache
def matrix(pattern: str, shape: tuple[int, int] = SHAPE) -> MaskedMatrix:
    if pattern == "vertical":
        lying = matrix("mvp", shape[::-1])
        assert lying.vectors is not None
        keep = np.ascontiguousarray(lying.keep.T)
        layout = replace(lying.vectors, orientation="vertical")
        return weighted(MaskedMatrix("m", keep, vectors=layout))
    (drawn,) = generate([MatrixShape("m", "FFN1", *shape)], DENSITY, pattern)
    return weighted(drawn)


@cache
def regular(format: str) -> MaskedMatrix:
    """A mask that a format of `RIGID` can hold: 2 of 4, 4 of 16, half the groups, 16×16 blocks."""
    rng = np.random.default_rng(0)
    if format == "bsr":
        squares = rng.random((SHAPE[0] // 16, SHAPE[1] // 16)) < DENSITY
        return weighted(MaskedMatrix("m", np.kron(squares, np.ones((16, 16), bool))))
    length, most = (16, 4) if format == "vector_wise" else (4, 2)
    ranks = np.argsort(rng.random((SHAPE[0], SHAPE[1] // length, length)), axis=2)
    keep = ranks < most
    if format == "hierarchical_n_m":
        keep &= (np.arange(keep.shape[1]) % 8 < 4)[:, None]
    return weighted(MaskedMatrix("m", keep.reshape(SHAPE)))


def weighted(drawn: MaskedMatrix) -> MaskedMatrix:
    weight = np.random.default_rng(1).standard_normal(drawn.shape, np.float32)
    weight[~drawn.keep] = 0
    return MaskedMatrix(drawn.name, drawn.keep, weight, drawn.kind, drawn.vectors)


def encoders(pattern: str) -> dict[str, Callable[[], Any]]:
    one = matrix(pattern)
    bare = MaskedMatrix("m", one.keep, one.weight)
    every: dict[str, Callable[[], Any]] = {
        "scipy csr": lambda: scipy.sparse.csr_matrix(one.weight),
        "scipy csc": lambda: scipy.sparse.csc_matrix(one.weight),
        "mixed_vectors, cut": lambda: encode(bare, "mixed_vectors"),
    }
    return every | {name: lambda name=name: encode(one, name) for name in ANY_MASK}


def interleaved(contenders: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median seconds of each, after one call that compiles."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: median(each) for name, each in times.items()}


def show(benchmark: Any, medians: dict[str, float], note: str) -> None:
    benchmark.extra_info["median_s"] = medians
    print(f"\n{note}")
    for name, seconds in medians.items():
        print(f"  {name:24} {seconds * 1e3:8.2f} ms")


@pytest.mark.benchmark(group="encode, interleaved")
@pytest.mark.parametrize("pattern", ["fine", "mvp", "vertical"])
def test_encode(benchmark: Any, pattern: str) -> None:
    contenders = encoders(pattern)
    medians = benchmark.pedantic(interleaved, (contenders,), rounds=1)
    show(benchmark, medians, f"encode, {pattern} mask")


@pytest.mark.benchmark(group="decode, interleaved")
@pytest.mark.parametrize("pattern", ["fine", "mvp"])
def test_decode(benchmark: Any, pattern: str) -> None:
    encoded = {name: encode(matrix(pattern), name) for name in ANY_MASK}
    encoded |= {n: encode(regular(n), n) for n in FORMATS if n not in ANY_MASK}
    contenders = {name: one.decode for name, one in encoded.items()}
    medians = benchmark.pedantic(interleaved, (contenders,), rounds=1)
    show(benchmark, medians, f"decode, {pattern} mask (rigid formats: masks of their own)")
    size = SHAPE[0] * SHAPE[1] * 4
    rates = {name: size / seconds / 1e9 for name, seconds in medians.items()}
    benchmark.extra_info["gigabytes_per_s"] = rates
    print("  GB/s of dense output:", {name: round(rate, 2) for name, rate in rates.items()})


@pytest.mark.benchmark(group="streams, interleaved")
@pytest.mark.parametrize("direction", ["to_bytes", "from_bytes"])
def test_streams(benchmark: Any, direction: str) -> None:
    contenders: dict[str, Callable[[], Any]] = {}
    for name in FORMATS:
        one: Any = encode(matrix("fine") if name in ANY_MASK else regular(name), name)
        stream, descriptor = one.to_bytes(), one.descriptor()
        contenders[name] = (
            one.to_bytes
            if direction == "to_bytes"
            else lambda one=one, s=stream, d=descriptor: type(one).from_bytes(s, d)
        )
    medians = benchmark.pedantic(interleaved, (contenders,), rounds=1)
    show(benchmark, medians, direction)


@pytest.mark.benchmark(group="linear time")
@pytest.mark.parametrize("format", ANY_MASK)
def test_four_sizes(benchmark: Any, format: str) -> None:
    """Nanoseconds an entry of encode + decode for 0.6 to 37.7 M entries: it should stay flat.

    Beside it what the machine does when weights and mask are only copied twice: beyond the caches
    and for freshly allocated pages that rises too.
    """
    shapes = [(768, 768), (1536, 1536), (3072, 3072), (6144, 6144)]

    def timed(call: Callable[[], Any]) -> float:
        times: list[float] = []
        for _ in range(3):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return median(times) * 1e9

    def once() -> dict[str, tuple[float, float]]:
        found: dict[str, tuple[float, float]] = {}
        for shape in shapes:
            one = matrix("fine", shape)
            encode(one, format).decode()
            weight: Any = one.weight
            ours = timed(lambda one=one: encode(one, format).decode())
            copies = timed(lambda w=weight, k=one.keep: (w.copy(), k.copy(), w.copy(), k.copy()))
            found[f"{shape[0]}×{shape[1]}"] = (ours / one.keep.size, copies / one.keep.size)
        return found

    each = benchmark.pedantic(once, rounds=1)
    benchmark.extra_info["ns_per_entry"] = each
    shown = (f"{size} {ns:.2f} (copies {copy:.2f})" for size, (ns, copy) in each.items())
    print(f"\n  {format:20}", "  ".join(shown), "ns")
