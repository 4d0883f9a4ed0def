"""Do our matrices and scipy's hold the same entries?"""

from typing import Any

import numpy as np
import pytest
import scipy.sparse

from sparse_formats.errors import InputError
from sparse_formats.formats.bsr import BSR
from sparse_formats.formats.csc import CSC
from sparse_formats.formats.csr import CSR
from sparse_formats.formats.scipy_conversion import from_scipy, to_scipy


def matrix(seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    keep = np.kron(rng.random((3, 5)) < 0.5, np.ones((4, 4), bool))
    weight = np.where(keep, rng.integers(-2, 3, keep.shape), 0).astype(np.float32)
    return keep, weight


@pytest.mark.parametrize(("cls", "options"), [(CSR, {}), (CSC, {}), (BSR, {"block": 4})])
def test_do_entries_go_there_and_back(cls: Any, options: Any) -> None:
    keep, weight = matrix()
    theirs = to_scipy(cls.encode(keep, weight, **options))
    assert theirs.format == cls.__name__.lower()
    assert (theirs.toarray() == weight).all()
    # Kept zeros are stored, and stay.
    assert theirs.nnz == keep.sum() > np.count_nonzero(weight)
    ours = from_scipy(theirs)
    assert type(ours) is cls
    kept, weights = ours.decode()
    assert (kept == keep).all() and weights is not None and (weights == weight).all()


@pytest.mark.parametrize("cls", [CSR, CSC])
def test_are_masks_booleans(cls: Any) -> None:
    keep, _ = matrix()
    theirs = to_scipy(cls.encode(keep))
    assert theirs.dtype == np.bool_
    kept, weights = from_scipy(theirs).decode()
    assert weights is None and (kept == keep).all()


def test_is_float16_the_same_numbers_as_float32() -> None:
    keep, weight = matrix()
    assert (to_scipy(CSR.encode(keep, weight.astype(np.float16))).toarray() == weight).all()


def test_are_unsorted_entries_sorted() -> None:
    theirs = scipy.sparse.csr_array((np.array([1.0, 2.0]), [2, 0], [0, 2]), shape=(1, 3))
    assert from_scipy(theirs).indices.tolist() == [0, 2]
    assert theirs.indices.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (scipy.sparse.coo_array((2, 2)), "format 'coo': give csr, csc or bsr"),
        (np.ones((2, 2)), "format 'ndarray'"),
        (scipy.sparse.bsr_array(np.ones((2, 4)), blocksize=(1, 2)), "blocks are 1×2"),
        (
            scipy.sparse.csr_array((np.ones(2), [1, 1], [0, 2]), shape=(1, 3)),
            "stores an entry twice",
        ),
    ],
)
def test_what_does_another_array_say(array: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        from_scipy(array)


def test_what_do_blocks_over_the_edge_say() -> None:
    with pytest.raises(InputError, match="cannot hold"):
        to_scipy(BSR.encode(np.ones((5, 4), bool), None, 4))
