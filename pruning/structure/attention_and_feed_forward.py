"""The attention and feed-forward blocks of a whole model: their matrices by role, and their units.

Q, K, V rows and the columns of the attention output make up a head; the rows of the first
feed-forward matrices (gate and up, or FFN1) and the column of the last one make up a neuron.

A block is only there where all of its matrices are; one whose shapes do not fit each other is left
out, since what it computes is not known. `couplings` serves single matrices, and refuses instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pruning.structure.heads import QKV, Heads
from pruning.structure.layer_matrices import ATTENTION, FEED_FORWARD, matrices_together
from pruning.structure.slices import COLS, ROWS, Slice, qkv_slices
from sparse_formats.masks.matrix_names import kind_of


@dataclass(frozen=True)
class Attention:
    """The heads of one attention block.

    query, key and value have a unit per key/value head, which serves heads // kv_heads query heads
    (1 unless the model has grouped-query attention): of query, all of these. out has one per head.
    """

    query: Slice
    key: Slice
    value: Slice
    out: Slice
    heads: int
    kv_heads: int
    head_dim: int

    def group(self, kv_head: int) -> range:
        """The query heads that key/value head `kv_head` serves."""
        each = self.heads // self.kv_heads
        return range(kv_head * each, (kv_head + 1) * each)


@dataclass(frozen=True)
class FeedForward:
    """The neurons of one feed-forward block: `inputs` are FFN1, or gate and up."""

    inputs: tuple[Slice, ...]
    output: Slice
    width: int


def find_attentions(shapes: Mapping[str, tuple[int, int]], heads: Heads) -> list[Attention]:
    """The attention blocks whose projections are all there, in their order.

    shapes: (out, in) by name, of all matrices of the model. Blocks whose shapes do not divide into
    heads are left out.
    """
    found: list[Attention] = []
    for block in matrices_together({name: kind_of(name) for name in shapes}, ATTENTION):
        out = block.get("attention out")
        if out is None:
            continue
        lines = shapes[out][COLS]
        count = heads.heads if heads.width is None else lines // heads.width
        if not count or lines % count:
            continue
        dim = lines // count
        slices = _projections(block, shapes, count, dim, heads.qkv)
        if slices is None:
            continue
        query, key, value = slices
        out_slice = Slice(out, COLS, 0, dim, dim)
        found.append(Attention(query, key, value, out_slice, count, lines // query.size, dim))
    return found


def find_feed_forwards(shapes: Mapping[str, tuple[int, int]]) -> list[FeedForward]:
    """The feed-forward blocks, in their order; shapes: (out, in) by name, of all matrices."""
    found: list[FeedForward] = []
    for block in matrices_together({name: kind_of(name) for name in shapes}, FEED_FORWARD):
        last = block.get("down", block.get("FFN2"))
        firsts = [block[kind] for kind in ("gate", "up", "FFN1") if kind in block]
        if last is None or not firsts:
            continue
        width = shapes[last][COLS]
        rows = [shapes[name][ROWS] for name in firsts]
        if any(count % width for count in rows):
            continue
        inputs = [
            Slice(name, ROWS, part * width, 1, 1)
            for name, count in zip(firsts, rows, strict=True)
            # Gate and up may be stacked in one matrix of twice the width (Phi-3, ModernBERT).
            for part in range(count // width)
        ]
        found.append(FeedForward(tuple(inputs), Slice(last, COLS, 0, 1, 1), width))
    return found


def _projections(
    block: Mapping[str, str],
    shapes: Mapping[str, tuple[int, int]],
    heads: int,
    dim: int,
    qkv: QKV,
) -> Sequence[Slice] | None:
    """Q, K and V; None where they are not there, or are not so many heads."""
    if "QKV" in block:
        return qkv_slices(block["QKV"], shapes[block["QKV"]][ROWS], heads, dim, qkv)
    names = [block[kind] for kind in ("Q", "K", "V") if kind in block]
    rows = [shapes[name][ROWS] for name in names]
    if len(rows) < 3 or rows[0] != heads * dim or rows[1] != rows[2]:
        return None
    count, rest = divmod(rows[1], dim)
    if not count or rest or heads % count:
        return None
    sizes = (heads // count * dim, dim, dim)
    return [Slice(name, ROWS, 0, size, size) for name, size in zip(names, sizes, strict=True)]
