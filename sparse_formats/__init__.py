"""Masks, mask files, sparse encodings, and what they cost in bits.

What stands in `__all__` is loaded when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparse_formats.errors import InputError
    from sparse_formats.files.mask_file import read_masks, read_weights, write_masks
    from sparse_formats.formats.registry import FORMATS, encode
    from sparse_formats.formats.scipy_conversion import from_scipy, to_scipy
    from sparse_formats.formats.sparse_matrix import SparseMatrix
    from sparse_formats.masks.decompose import decompose
    from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
    from sparse_formats.masks.vectors import VectorLayout
    from sparse_formats.storage import Storage

__all__ = [
    "FORMATS",
    "InputError",
    "MaskSet",
    "MaskedMatrix",
    "SparseMatrix",
    "Storage",
    "VectorLayout",
    "decompose",
    "encode",
    "from_scipy",
    "read_masks",
    "read_weights",
    "to_scipy",
    "write_masks",
]

_HOMES = {
    "FORMATS": "formats.registry",
    "InputError": "errors",
    "MaskSet": "masks.matrix",
    "MaskedMatrix": "masks.matrix",
    "SparseMatrix": "formats.sparse_matrix",
    "Storage": "storage",
    "VectorLayout": "masks.vectors",
    "decompose": "masks.decompose",
    "encode": "formats.registry",
    "from_scipy": "formats.scipy_conversion",
    "read_masks": "files.mask_file",
    "read_weights": "files.mask_file",
    "to_scipy": "formats.scipy_conversion",
    "write_masks": "files.mask_file",
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
