"""Sparse × dense products on this CPU.

What stands in `__all__` is loaded when it is first used. transformers looks for another package of
this name, and must find nothing that is called as there.
"""

TYPE_CHECKING = False  # True for type checkers; importing typing would load it

if TYPE_CHECKING:
    from kernels.packing import Prepared, prepare
    from kernels.products import spmm
    from kernels.sparse_linear import SparseLinear, masked_dense, sparsify
    from kernels.torch_sparse import from_torch, to_torch

__all__ = [
    "Prepared",
    "SparseLinear",
    "from_torch",
    "masked_dense",
    "prepare",
    "sparsify",
    "spmm",
    "to_torch",
]

_HOMES = {
    "Prepared": "kernels.packing",
    "SparseLinear": "kernels.sparse_linear",
    "from_torch": "kernels.torch_sparse",
    "masked_dense": "kernels.sparse_linear",
    "prepare": "kernels.packing",
    "sparsify": "kernels.sparse_linear",
    "spmm": "kernels.products",
    "to_torch": "kernels.torch_sparse",
}
"""The module of each public name."""


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
