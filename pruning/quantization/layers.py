"""Which layers are computed in 8-bit numbers, and how another product takes a layer's place."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel

REQUANTISED = ("Q", "K", "FFN1", "gate", "up")
"""Kinds whose outputs are rounded to 8 bits again.

As published all but the value projection, both output projections and the classifier, whose
outputs go on in full precision. A stacked QKV holds values, so it is none of them.
"""


def quantisable(opened: OpenModel) -> tuple[Matrix, ...]:
    """The weights of all linear layers, heads too; not those that are an embedding's as well."""
    from torch import nn

    embeddings = {id(m.weight) for m in opened.model.modules() if isinstance(m, nn.Embedding)}
    return tuple(matrix for matrix in opened.linears if id(matrix.parameter) not in embeddings)


@contextlib.contextmanager
def replaced(products: Sequence[tuple[Matrix, Callable[..., object]]]) -> Iterator[None]:
    """Each matrix's layer computes its product here instead of its own, while the block runs."""
    try:
        for matrix, product in products:
            # An attribute of the instance goes before the method of its class: the module, its
            # name and its parameters stay as they are.
            matrix.module.forward = product
        yield
    finally:
        for matrix, _ in products:
            matrix.module.__dict__.pop("forward", None)
