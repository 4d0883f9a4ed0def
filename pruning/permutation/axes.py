"""The axes of a model inside its layers, from the couplings of its heads and hidden neurons.

Kinds of members, and what moves with them:

* neurons: rows of FFN1 (gate and up) and columns of FFN2 (down);
* heads: whole key-value heads with the query heads that they serve;
* heads of a group: query heads that share a key-value head;
* value dimensions of a key-value head: rows of V and the columns of the attention output;
* query dimensions of a key-value head: rows of K and of the queries that meet them.

Whether a model lets members move is not known from its family but tried (`permute`): rotary
embeddings turn every query dimension by an angle of its own, for example.
"""

from collections.abc import Iterator, Sequence

from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.models.order import Axis, Place
from pruning.structure.attention_and_feed_forward import Attention, FeedForward
from pruning.structure.slices import COLS, ROWS, Slice

INNER = (
    "query dimensions",
    "value dimensions",
    "heads of a group",
    "heads",
    "neurons",
)
"""Kinds of members inside layers, in the order in which they move."""


def inner_axes(opened: OpenModel) -> list[Axis]:
    """All axes inside the layers, ordered by kind; those with a single member are left out."""
    matrices = {matrix.name: matrix for matrix in opened.linears}
    found = [
        axis
        for number, attention in enumerate(opened.attentions)
        for axis in _of_attention(attention, number, matrices)
    ]
    found += [
        _axis("neurons", number, block.width, _neurons(block), matrices)
        for number, block in enumerate(opened.feed_forwards)
    ]
    moving = [axis for axis in found if axis.count > 1]
    return sorted(moving, key=lambda axis: (INNER.index(axis.kind), axis.number))


def _neurons(block: FeedForward) -> list[Slice]:
    return [*block.inputs, block.output]


def _of_attention(attention: Attention, number: int, matrices: dict[str, Matrix]) -> Iterator[Axis]:
    a, dim = attention, attention.head_dim
    served = a.heads // a.kv_heads
    whole = [a.query, a.key, a.value, Slice(a.out.matrix, COLS, 0, served * dim, served * dim)]
    yield _axis("heads", number, a.kv_heads, whole, matrices)
    for group in range(a.kv_heads):
        query, key, value = (part.lines(group).start for part in (a.query, a.key, a.value))
        out = group * served * dim
        mine = number * a.kv_heads + group
        heads = [
            Slice(a.query.matrix, ROWS, query, dim, dim),
            Slice(a.out.matrix, COLS, out, dim, dim),
        ]
        yield _axis("heads of a group", mine, served, heads, matrices)
        values = [Slice(a.value.matrix, ROWS, value, 1, 1)]
        values += [Slice(a.out.matrix, COLS, out + h * dim, 1, 1) for h in range(served)]
        yield _axis("value dimensions", mine, dim, values, matrices)
        queries = [Slice(a.key.matrix, ROWS, key, 1, 1)]
        queries += [Slice(a.query.matrix, ROWS, query + h * dim, 1, 1) for h in range(served)]
        yield _axis("query dimensions", mine, dim, queries, matrices)


def _axis(
    kind: str, number: int, count: int, parts: Sequence[Slice], matrices: dict[str, Matrix]
) -> Axis:
    places: list[Place] = []
    for part in parts:
        matrix = matrices[part.matrix]
        stored = 1 - part.axis if matrix.turned else part.axis
        shape = (part.start, part.stride, part.size)
        places.append(Place(f"{matrix.module_name}.weight", stored, *shape))
        if part.axis == ROWS and getattr(matrix.module, "bias", None) is not None:
            places.append(Place(f"{matrix.module_name}.bias", 0, *shape))
    return Axis(kind, number, count, tuple(dict.fromkeys(places)))
