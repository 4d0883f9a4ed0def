"""Do our matrices and torch's sparse tensors hold the same entries?"""

from typing import Any

import numpy as np
import pytest

from kernels.torch_sparse import from_torch, to_torch
from sparse_formats.errors import InputError
from sparse_formats.formats.bsr import BSR
from sparse_formats.formats.csc import CSC
from sparse_formats.formats.csr import CSR

torch: Any = pytest.importorskip("torch")

# torch says once in a process that its sparse CSR support is in beta.
pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")


def matrix() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    keep = np.kron(rng.random((3, 5)) < 0.5, np.ones((4, 4), bool))
    return keep, np.where(keep, rng.integers(-2, 3, keep.shape), 0).astype(np.float32)


CLASSES = [(CSR, {}), (CSC, {}), (BSR, {"block": 4})]


@pytest.mark.parametrize(("cls", "options"), CLASSES)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_do_entries_go_there_and_back(cls: Any, options: Any, dtype: str) -> None:
    keep, weight = matrix()
    weight = weight.astype(dtype)
    theirs = to_torch(cls.encode(keep, weight, **options))
    assert theirs.values().numel() == keep.sum()
    assert (theirs.to(torch.float32).to_dense().numpy() == weight).all()
    ours = from_torch(theirs)
    assert type(ours) is cls
    kept, weights = ours.decode()
    assert (kept == keep).all() and weights is not None
    assert weights.dtype == dtype and (weights == weight).all()


@pytest.mark.parametrize(("cls", "options"), CLASSES)
def test_are_masks_booleans_and_uint16_bfloat16(cls: Any, options: Any) -> None:
    keep, weight = matrix()
    theirs = to_torch(cls.encode(keep, **options))
    assert theirs.dtype == torch.bool
    kept, weights = from_torch(theirs).decode()
    assert weights is None and (kept == keep).all()
    patterns = torch.from_numpy(weight).to(torch.bfloat16).view(torch.uint16).numpy()
    theirs = to_torch(cls.encode(keep, patterns, **options))
    assert theirs.dtype == torch.bfloat16
    assert (theirs.to(torch.float32).to_dense().numpy() == weight).all()
    back = from_torch(theirs).decode()[1]
    assert (
        back is not None
        and (torch.from_numpy(back).view(torch.bfloat16).float().numpy() == weight).all()
    )


def test_may_entries_come_in_any_order_within_a_line() -> None:
    ends, places, values = torch.tensor([0, 2, 3]), torch.tensor([2, 0, 1]), torch.tensor([5, 7, 9])
    theirs = torch.sparse_csr_tensor(ends, places, values.to(torch.int8), size=(2, 3))
    ours = from_torch(theirs)
    assert isinstance(ours, CSR)
    assert ours.indices.tolist() == [0, 2, 1]
    weights = ours.decode()[1]
    assert weights is not None and weights.tolist() == [[7, 0, 5], [0, 9, 0]]


def test_what_does_another_tensor_say() -> None:
    with pytest.raises(InputError, match=r"layout torch.strided, 2-D: give a 2-D one"):
        from_torch(torch.ones(2, 2))
    with pytest.raises(InputError, match="blocks are 1×2"):
        from_torch(torch.ones(2, 4).to_sparse_bsr((1, 2)))
    with pytest.raises(InputError, match="which torch cannot hold"):
        to_torch(BSR.encode(np.ones((5, 4), bool), None, 4))
