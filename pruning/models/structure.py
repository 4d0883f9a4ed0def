"""Which rows and columns of which matrices are one attention head, or one neuron.

Q, K, V rows and the columns of the attention output make up a head; the rows of the first
feed-forward matrices (gate and up, or FFN1) and the column of the last one make up a neuron. They
live and die together: these are the coupled groups of structured pruning.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pruning.models.matrices import Matrix


@dataclass(frozen=True)
class Slice:
    """The rows (axis 0) or columns (axis 1) of matrix `matrix`, (out, in), by unit.

    Unit u takes the lines start + u·stride … start + u·stride + size − 1.
    """

    matrix: str
    axis: int
    start: int
    stride: int
    size: int

    def lines(self, unit: int) -> range:
        """The rows or columns of unit number `unit`."""
        first = self.start + unit * self.stride
        return range(first, first + self.size)


@dataclass(frozen=True)
class Attention:
    """The heads of one attention block.

    query and out have a unit per head; key and value one per key/value head, which serves
    heads // kv_heads query heads (1 unless the model has grouped-query attention).
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


def find_attentions(
    matrices: Sequence[Matrix], heads: int, interleaved: bool, head_dim: int | None = None
) -> list[Attention]:
    """The attention blocks whose four projections are among `matrices`, in their order.

    heads: query heads of a block, as the model's config says; head_dim: the width of one, where
    blocks have different numbers of them. interleaved: a stacked QKV matrix holds q, k, v head by
    head (GPT-NeoX, BLOOM) and not one after the other (GPT-2, Phi-3), if they are as many.
    Blocks whose shapes do not divide into heads are left out.
    """
    found: list[Attention] = []
    for first in matrices:
        if first.kind not in ("Q", "QKV"):
            continue
        out = _partner(first, matrices, "attention out")
        # DeBERTa projects positions with a second Q and K: the heads are those of the first.
        if out is None or any(out.name == block.out.matrix for block in found):
            continue
        if head_dim is not None:
            heads = out.shape[1] // head_dim
        dim, rest = divmod(out.shape[1], heads)
        if rest or (first.kind == "Q" and first.shape[0] != out.shape[1]):
            continue
        if first.kind == "QKV":
            slices = _stacked(first, heads, dim, interleaved)
            kv_rows = (first.shape[0] - heads * dim) // 2
        else:
            key, value = _partner(first, matrices, "K"), _partner(first, matrices, "V")
            if key is None or value is None or key.shape[0] != value.shape[0]:
                continue
            slices = tuple(Slice(m.name, 0, 0, dim, dim) for m in (first, key, value))
            kv_rows = key.shape[0]
        kv_heads, rest = divmod(kv_rows, dim)
        if not kv_heads or rest or heads % kv_heads:
            continue
        query_slice, key_slice, value_slice = slices
        out_slice = Slice(out.name, 1, 0, dim, dim)
        found.append(
            Attention(query_slice, key_slice, value_slice, out_slice, heads, kv_heads, dim)
        )
    return found


def find_feed_forwards(matrices: Sequence[Matrix]) -> list[FeedForward]:
    """The feed-forward blocks among `matrices`, in their order."""
    found: list[FeedForward] = []
    for last in matrices:
        if last.kind not in ("FFN2", "down"):
            continue
        width = last.shape[1]
        # T5's last matrix is called the same with and without a gate.
        gated = last.kind == "down" or _partner(last, matrices, "FFN1") is None
        kinds = ("gate", "up", "FFN1") if gated else ("FFN1",)
        firsts = [m for kind in kinds if (m := _partner(last, matrices, kind)) is not None]
        inputs = [
            Slice(m.name, 0, part * width, 1, 1)
            for m in firsts
            # Gate and up may be stacked in one matrix of twice the width (Phi-3).
            for part in range(m.shape[0] // width)
        ]
        if inputs and all(m.shape[0] % width == 0 for m in firsts):
            found.append(FeedForward(tuple(inputs), Slice(last.name, 1, 0, 1, 1), width))
    return found


def _stacked(qkv: Matrix, heads: int, dim: int, interleaved: bool) -> tuple[Slice, ...]:
    if interleaved and qkv.shape[0] == 3 * heads * dim:
        return tuple(Slice(qkv.name, 0, part * dim, 3 * dim, dim) for part in range(3))
    kv_rows = (qkv.shape[0] - heads * dim) // 2
    starts = (0, heads * dim, heads * dim + kv_rows)
    return tuple(Slice(qkv.name, 0, start, dim, dim) for start in starts)


def _partner(matrix: Matrix, matrices: Sequence[Matrix], kind: str) -> Matrix | None:
    """The matrix of `kind` nearest to `matrix`: the longest common path of module names."""
    path = matrix.module_name.split(".")

    def shared(other: Matrix) -> int:
        pairs = zip(path, other.module_name.split("."), strict=False)
        return next((i for i, (a, b) in enumerate(pairs) if a != b), len(path))

    candidates = [m for m in matrices if m.kind == kind]
    best = max(candidates, key=shared, default=None)
    # What stands in another layer shares no more than the path up to the layers' numbers.
    number = next((i for i, part in enumerate(path) if part.isdigit()), -1)
    return best if best is not None and shared(best) > number else None
