"""The sparse formats by name. A new format is one file and one line here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError, nearest
from sparse_formats.formats.bitmap import Bitmap
from sparse_formats.formats.bsr import BSR
from sparse_formats.formats.csc import CSC
from sparse_formats.formats.csr import CSR
from sparse_formats.formats.dense import Dense
from sparse_formats.formats.ellpack import Ellpack
from sparse_formats.formats.hierarchical_n_m import HierarchicalNM
from sparse_formats.formats.lane_select import LaneSelect
from sparse_formats.formats.mixed_vectors import MixedVectors
from sparse_formats.formats.mixed_vectors_tiled import MixedVectorsTiled
from sparse_formats.formats.n_m import NM
from sparse_formats.formats.n_m_or_dense import NMOrDense
from sparse_formats.formats.relative_csc import RelativeCSC
from sparse_formats.formats.run_length import RunLength
from sparse_formats.formats.sa_rcsc import SARCSC
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.formats.sum_n_m import SumNM
from sparse_formats.formats.two_level import TwoLevel
from sparse_formats.formats.vector_wise import VectorWise
from sparse_formats.formats.xor_net import XorNet
from sparse_formats.masks.matrix import MaskedMatrix, check_mask
from sparse_formats.masks.slots import Slots

FORMATS: dict[str, type[SparseMatrix]] = {
    "dense": Dense,
    "csr": CSR,
    "csc": CSC,
    "relative_csc": RelativeCSC,
    "run_length": RunLength,
    "bitmap": Bitmap,
    "ellpack": Ellpack,
    "n_m": NM,
    "vector_wise": VectorWise,
    "hierarchical_n_m": HierarchicalNM,
    "sum_n_m": SumNM,
    "n_m_or_dense": NMOrDense,
    "bsr": BSR,
    "sa_rcsc": SARCSC,
    "mixed_vectors": MixedVectors,
    "mixed_vectors_tiled": MixedVectorsTiled,
    "two_level": TwoLevel,
    "lane_select": LaneSelect,
    "xor_net": XorNet,
}


def encode(
    mask: MaskedMatrix | NDArray[np.bool_],
    format: str,
    weight: NDArray[Any] | None = None,
    **parameters: int,
) -> SparseMatrix:
    """A mask, and weights where they are known, in the format called `format`.

    mask: bool, (out, in), or a masked matrix, which brings its own weights and, where the format
    has some, the vectors or slots that its maker cut it into. weight: of the same shape.
    parameters: those of the format's own `encode`, e.g. block=32 for "bsr".

    Raises:
        InputError: an unknown format, a mask or weights of another kind or shape; the format
            cannot hold the mask.
    """
    if not isinstance(format, str) or format not in FORMATS:
        raise InputError(f"format {format!r} is unknown{nearest(str(format), FORMATS)}")
    if not isinstance(mask, MaskedMatrix):
        check_mask(mask, "the mask")
        mask = MaskedMatrix("given", mask, weight)
    elif weight is not None:
        raise InputError(f"matrix {mask.name} has its own weights; leave weight out")
    chosen: Any = FORMATS[format]
    if chosen is MixedVectors:
        return MixedVectors.encode(mask.keep, mask.weight, mask.vectors, **parameters)
    if _is_cut_so(mask.slots, chosen, parameters):
        return chosen.encode(mask.keep, mask.weight, slots=mask.slots)
    return chosen.encode(mask.keep, mask.weight, **parameters)


def _is_cut_so(
    slots: Slots | None, chosen: type[SparseMatrix], parameters: Mapping[str, int]
) -> bool:
    """Whether a format with these parameters stores slots as a mask's maker cut it into."""
    if slots is None:
        return False
    if slots.choices > 1:
        said, own = LaneSelect, {"lanes": slots.lanes, "choices": slots.choices}
    else:
        said, own = TwoLevel, {"length": slots.lanes}
    return chosen is said and {**own, **parameters} == own
