"""How fast are our products beside those people have: one FFN matrix of BERT-base, 80 % sparse?

One thread; generated weights. Compare within one run only: the same machine can be twice as slow
a minute later.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

from kernels.spmm import spmm
from sparse_formats.csr import CSR
from sparse_formats.decompose import decompose_oriented
from sparse_formats.mixed_vectors import MixedVectors
from sparse_formats.vectors import Orientation

ROWS, COLS, TOKENS, DENSITY, LENGTH = 3072, 768, 128, 0.2, 16

Array = NDArray[np.float32]
Product = Callable[[Array], Array]


def weights(height: int, width: int) -> Array:
    """Normal float32 weights, kept in blocks of `height` × `width`."""
    rng = np.random.default_rng(0)
    blocks = rng.random((ROWS // height, COLS // width)) < DENSITY
    keep = np.kron(blocks, np.ones((height, width), bool))
    return np.where(keep, rng.standard_normal((ROWS, COLS), np.float32), np.float32(0))


def numpy_dense() -> tuple[Array, Product]:
    dense = weights(1, 1)
    return dense, lambda x: dense @ x


def scipy_csr() -> tuple[Array, Product]:
    dense = weights(1, 1)
    matrix: Any = scipy.sparse.csr_array(dense)
    return dense, lambda x: matrix @ x


def our_csr() -> tuple[Array, Product]:
    dense = weights(1, 1)
    matrix = CSR.encode(dense != 0, dense)
    return dense, lambda x: spmm(matrix, x)


def our_vectors(orientation: Orientation) -> tuple[Array, Product]:
    dense = weights(1, LENGTH) if orientation == "horizontal" else weights(LENGTH, 1)
    keep = dense != 0
    matrix = MixedVectors.encode(keep, dense, decompose_oriented(keep, orientation))
    return dense, lambda x: spmm(matrix, x)


CONTENDERS: dict[str, Callable[[], tuple[Array, Product]]] = {
    "numpy dense": numpy_dense,
    "scipy csr": scipy_csr,
    "csr": our_csr,
    "mixed vectors, horizontal": lambda: our_vectors("horizontal"),
    "mixed vectors, vertical": lambda: our_vectors("vertical"),
}


@pytest.mark.benchmark(group=f"{ROWS}×{COLS}, density {DENSITY}, {TOKENS} tokens, 1 thread")
@pytest.mark.parametrize("contender", CONTENDERS)
def test_spmm(benchmark: Any, contender: str) -> None:
    dense, product = CONTENDERS[contender]()
    x = np.random.default_rng(1).standard_normal((COLS, TOKENS), np.float32)
    # The check is also the warm-up that compiles the kernel.
    np.testing.assert_allclose(product(x), dense @ x, rtol=0, atol=1e-3)
    benchmark.extra_info["executed_macs"] = int(np.count_nonzero(dense)) * TOKENS
    benchmark(product, x)
