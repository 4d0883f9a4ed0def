"""Units that only make sense whole: heads and hidden neurons, as lines of several matrices.

Removing a neuron of a feed-forward layer removes its row of gate and up and its column of down; a
head owns rows of Q, K and V and columns of the attention output. With grouped-query attention it
shares its rows of K and V with the other query heads of its group: they go with the last of these.

Any matrices of a layer will do, and shapes that contradict each other are an error: what a pattern
removes must be right. `attention_and_feed_forward` serves whole models, and leaves aside what it
does not know.

Source: LLM-Pruner (Ma et al., NeurIPS 2023) for dependency groups of the Llama family.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pruning.structure.heads import Heads
from pruning.structure.layer_matrices import ATTENTION, FEED_FORWARD, matrices_together
from pruning.structure.slices import COLS, ROWS, Slice, qkv_slices
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix_names import kind_of

Unit = Literal["head", "neuron"]
UNITS: tuple[Unit, ...] = ("head", "neuron")


@dataclass(frozen=True)
class Coupling:
    """`count` units of one place in the network, each of which stays or goes as a whole.

    shared: what each of `groups` groups of neighbouring units has together, by group; it stays as
        long as one of them does.
    """

    unit: Unit
    count: int
    parts: tuple[Slice, ...]
    shared: tuple[Slice, ...] = ()
    groups: int = 0

    @property
    def matrices(self) -> frozenset[str]:
        """The names of those that units have lines in."""
        return frozenset(part.matrix for part in (*self.parts, *self.shared))

    def groups_with(self, units: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which groups have one of the `units`, (count,) → (groups,)."""
        return np.asarray(units.reshape(self.groups, -1).any(axis=1))


def couplings_of(
    shapes: Mapping[str, tuple[int, int]], heads: Heads | None, units: Sequence[Unit] = UNITS
) -> tuple[Coupling, ...]:
    """The heads (where `heads` is known) and hidden neurons of all layers, if among `units`.

    shapes: (out, in) by name. A layer's matrices are told by their names (`masks.names`);
    a unit has lines in those of them that are there.

    Raises:
        InputError: a matrix whose shape does not fit the others of its layer, or the head counts.
    """
    kinds = {name: kind_of(name) for name in shapes}
    found: list[Coupling | None] = []
    if heads is not None and "head" in units:
        found += [
            _attention(block, shapes, _of_layer(heads, block, shapes))
            for block in matrices_together(kinds, ATTENTION)
        ]
    if "neuron" in units:
        found += [_neurons(block, shapes) for block in matrices_together(kinds, FEED_FORWARD)]
    return tuple(coupling for coupling in found if coupling is not None)


def _neurons(by_kind: Mapping[str, str], shapes: Mapping[str, tuple[int, int]]) -> Coupling:
    first = [by_kind[kind] for kind in ("gate", "up", "FFN1") if kind in by_kind]
    last = [by_kind[kind] for kind in ("down", "FFN2") if kind in by_kind]
    counts = [(name, shapes[name][COLS]) for name in last]
    counts += [(name, shapes[name][ROWS]) for name in first]
    against, count = counts[0]
    parts: list[Slice] = []
    for name in first:
        # Gate and up may be stacked in one matrix of twice the width (Phi-3, ModernBERT).
        bands, rest = divmod(shapes[name][ROWS], count)
        if rest or not 1 <= bands <= (2 if last and len(first) == 1 else 1):
            raise InputError(
                f"matrix {name} has {shapes[name][ROWS]} hidden neurons, {against} {count}; they "
                "do not belong to one feed-forward layer; exclude one"
            )
        parts += [Slice(name, ROWS, band * count, 1, 1) for band in range(bands)]
    for name in last:
        if shapes[name][COLS] != count:
            raise InputError(
                f"matrix {name} has {shapes[name][COLS]} hidden neurons, {against} {count}; they "
                "do not belong to one feed-forward layer; exclude one"
            )
        parts.append(Slice(name, COLS, 0, 1, 1))
    return Coupling("neuron", count, tuple(parts))


def _of_layer(
    heads: Heads, by_kind: Mapping[str, str], shapes: Mapping[str, tuple[int, int]]
) -> Heads:
    """The head counts of one layer."""
    places = (("Q", ROWS), ("K", ROWS), ("V", ROWS), ("attention out", COLS))
    lines = [shapes[by_kind[kind]][axis] for kind, axis in places if kind in by_kind]
    if heads.width is None or not lines:
        return heads
    count = max(1, lines[0] // heads.width)
    return Heads(count, count)


def _attention(
    by_kind: Mapping[str, str], shapes: Mapping[str, tuple[int, int]], heads: Heads
) -> Coupling | None:
    if "QKV" in by_kind:
        return _stacked(by_kind["QKV"], by_kind.get("attention out"), shapes, heads)
    groups = heads.key_value_heads
    own: list[Slice] = []
    shared: list[Slice] = []
    sizes: dict[str, int] = {}
    for kind, axis, count in (
        ("Q", ROWS, heads.heads),
        ("K", ROWS, groups),
        ("V", ROWS, groups),
        ("attention out", COLS, heads.heads),
    ):
        if kind not in by_kind:
            continue
        name = by_kind[kind]
        lines = shapes[name][axis]
        sizes[name], rest = divmod(lines, count)
        if rest:
            words = "columns" if axis else "rows"
            raise InputError(
                f"matrix {name}: its {lines} {words} cannot be divided into {count} equal heads; "
                "correct the head counts or exclude it"
            )
        parts = own if count == heads.heads else shared
        parts.append(Slice(name, axis, 0, sizes[name], sizes[name]))
    odd = next((name for name, size in sizes.items() if size != next(iter(sizes.values()))), None)
    if odd is not None:
        first = next(iter(sizes))
        raise InputError(
            f"matrix {odd} has heads of {sizes[odd]} lines, {first} of {sizes[first]}; correct "
            "the head counts or exclude it"
        )
    return _heads(heads.heads, groups, own, shared)


def _heads(count: int, groups: int, own: Sequence[Slice], shared: Sequence[Slice]) -> Coupling:
    """`own` by head, `shared` by group; where only shared lines are there, a group is the unit."""
    if not shared:
        return Coupling("head", count, tuple(own))
    if not own:
        return Coupling("head", groups, tuple(shared))
    return Coupling("head", count, tuple(own), tuple(shared), groups)


def _stacked(
    qkv: str, out: str | None, shapes: Mapping[str, tuple[int, int]], heads: Heads
) -> Coupling | None:
    """Heads of a matrix that holds Q, K and V: how many share a key, its rows tell."""
    if heads.qkv == "unknown":
        return None
    rows = shapes[qkv][ROWS]
    whole = rows // (heads.heads + 2 * heads.key_value_heads) if out is None else shapes[out][COLS]
    dim = whole if out is None else whole // heads.heads
    found = None if not dim else qkv_slices(qkv, rows, heads.heads, dim, heads.qkv)
    if found is None or (out is not None and whole % heads.heads):
        raise InputError(
            f"matrix {qkv}: its {rows} rows cannot be the queries, keys and values of "
            f"{heads.heads} equal heads; correct the head counts or exclude it"
        )
    query, *key_value = found
    served = query.size // dim
    columns = [] if out is None else [Slice(out, COLS, 0, dim, dim)]
    if served == 1:
        return Coupling("head", heads.heads, (*found, *columns))
    return _heads(heads.heads, heads.heads // served, [query.cut(served), *columns], key_value)
