"""How much each group of matrices keeps: per matrix, per kind or all together; whatever counts."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from pruning.patterns import PATTERNS
from pruning.patterns.pattern import Pattern, Pruned, Target, kept_count
from sparse_formats.errors import InputError, SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.matrix_names import layer_of

BUDGETS = ("row", "matrix", "kind", "global")
"""Levels at which the sparsity can hold."""

COUNTS = ("weights", "flops", "bits")
"""What the sparsity can count."""

VALUE_BITS = 16
"""Bits of a weight wherever bits or bytes are counted: half precision."""


@dataclass(frozen=True)
class Share:
    """What the matrices number `members` may keep together.

    asked: what the sparsity leaves. most: what there is to keep. kept: the smaller of the two.
    sparsity: theirs.
    """

    members: tuple[int, ...]
    asked: int
    most: int
    sparsity: float

    @property
    def kept(self) -> int:
        return min(self.asked, self.most)


def shares(
    targets: Sequence[Target],
    pattern: Pattern,
    sparsity: float,
    budget: str,
    most: Sequence[int],
    is_blind: bool,
    layers: Mapping[int, float] = MappingProxyType({}),
) -> list[Share]:
    """The pools of matrices that share a budget, and what each of them may keep.

    most: of each matrix, how many weights there are to keep at all. is_blind: the scores cannot
    say which matrix matters more; then the matrices of a pool each keep the same share of `most`.
    layers: the sparsity of matrices in these layers, where it is not `sparsity`.

    Raises:
        InputError: a budget for each row with a pattern that needs more than a row.
    """
    if budget == "row" and not pattern.fits_rows:
        known = ", ".join(name for name, kind in PATTERNS.items() if kind.fits_rows)
        raise SettingError(
            "budget",
            f"is row, which only the patterns {known} work with, because the others choose among "
            "several rows; give matrix",
        )
    finest = [tuple(pool) for pool in pattern.pools(targets)]
    found = []
    for pool in _pooled(targets, finest, budget):
        members = tuple(sorted(i for part in pool for i in part))
        mine = [targets[i] for i in members]
        own = _sparsity_of(mine, sparsity, layers)
        largest = _largest(pattern, targets, members, most)
        whole = Share(members, pattern.kept(mine, own), largest, own)
        if not is_blind or len(pool) == 1:
            found.append(whole)
            continue
        limits = np.cumsum([_largest(pattern, targets, part, most) for part in pool])
        # Rounding the running sum instead of each share makes the counts add up to the target.
        asked = np.diff(np.rint(limits * (whole.asked / max(whole.most, 1))), prepend=0)
        there = np.diff(limits, prepend=0)
        found += [
            Share(part, int(count), int(limit), own)
            for part, count, limit in zip(pool, asked, there, strict=True)
        ]
    return found


def _sparsity_of(targets: Sequence[Target], sparsity: float, layers: Mapping[int, float]) -> float:
    """The sparsity of matrices together: the mean over their weights of those of their layers."""
    if not layers:
        return sparsity
    size = sum(t.scores.size for t in targets)
    numbers = [layer_of(t.name) for t in targets]
    own = [sparsity if n is None else layers.get(n, sparsity) for n in numbers]
    return sum(s * t.scores.size for s, t in zip(own, targets, strict=True)) / max(size, 1)


def _largest(
    pattern: Pattern, targets: Sequence[Target], members: Sequence[int], most: Sequence[int]
) -> int:
    """What keeping all there is to keep amounts to."""
    there = [targets[i] for i in members]
    lost = sum(targets[i].scores.size - most[i] for i in members)
    return pattern.size(there) - lost


def _pooled(
    targets: Sequence[Target], finest: Sequence[tuple[int, ...]], budget: str
) -> list[list[tuple[int, ...]]]:
    if budget in ("row", "matrix"):
        return [[pool] for pool in finest]
    if budget == "global":
        return [list(finest)] if finest else []
    by_kind: dict[tuple[str, ...], list[tuple[int, ...]]] = {}
    for pool in finest:
        by_kind.setdefault(tuple(sorted({targets[i].kind for i in pool})), []).append(pool)
    return list(by_kind.values())


def masks_of(
    pattern: Pattern,
    targets: Sequence[Target],
    share: Share,
    budget: str,
    count: str,
) -> list[Pruned]:
    """The masks of the matrices that have `share` together, in weights, FLOPs or bits.

    Raises:
        InputError: the pattern cannot keep so much, or so little.
    """

    def masks(kept: int) -> list[Pruned]:
        if budget == "row":
            return [masks_by_row(pattern, targets[0], kept)]
        return pattern.masks(targets, kept)

    if count != "bits":
        return masks(share.kept)
    most = min(share.most, pattern.kept(targets, 1 - pattern.densest))
    return masks_in_bits(pattern, targets, share.sparsity, masks, most)


def masks_by_row(pattern: Pattern, target: Target, kept: int) -> Pruned:
    """Every row with the same share of `kept`, as if it were a matrix of its own."""
    rows = target.scores.shape[0]
    if not rows:
        return pattern.masks([target], kept)[0]
    counts = np.diff(np.rint(np.arange(rows + 1) * (kept / rows))).astype(int)
    parts = [
        pattern.masks([Target(target.name, target.kind, target.scores[i : i + 1])], int(n))[0].keep
        for i, n in enumerate(counts)
    ]
    return Pruned(np.vstack(parts))


def masks_in_bits(
    pattern: Pattern,
    targets: Sequence[Target],
    sparsity: float,
    masks: Callable[[int], list[Pruned]],
    most: int,
) -> list[Pruned]:
    """The largest masks whose storage is at most (1 − sparsity) of the dense matrices'.

    masks: of an amount to keep. Found by halving between nothing and `most`; a pattern or format
    that cannot keep less than all it allows (vector_wise, 1:4) keeps that.

    Raises:
        InputError: not even the least that can be kept takes so few bits.
    """
    weights = sum(t.scores.size for t in targets)
    budget = kept_count(weights * VALUE_BITS, sparsity)

    def bits(pruned: Sequence[Pruned]) -> int:
        masked = (
            MaskedMatrix(t.name, p.keep, None, t.kind, p.layout, p.slots)
            for t, p in zip(targets, pruned, strict=True)
        )
        return sum(pattern.storage(matrix, VALUE_BITS).bits for matrix in masked)

    whole = masks(most)
    if (least := bits(whole)) <= budget:
        return whole
    low, found, words = 0, whole, "what it must keep"
    with contextlib.suppress(InputError):
        found = masks(0)
        least, words = bits(found), "keeping nothing"
    if least > budget:
        raise SettingError(
            "sparsity",
            f"is {sparsity:g} of bits, which leaves {budget}, but the format of this pattern needs "
            f"{least} for {words} of {targets[0].name}; give a lower one",
        )
    high = most
    # Closer than a ten-thousandth of the matrix, the storage of the indices moves as much.
    while high - low > max(1, weights // 10_000):
        middle = (low + high) // 2
        tried = masks(middle)
        if bits(tried) <= budget:
            low, found = middle, tried
        else:
            high = middle
    return found


def bytes_of(pattern: Pattern, matrix: MaskedMatrix) -> int | None:
    """Bytes of the encoded matrix; None where the pattern's format cannot hold its mask."""
    try:
        return -(-pattern.storage(matrix, VALUE_BITS).bits // 8)
    except InputError:
        return None


def kept_weights(pruned: Sequence[Pruned]) -> int:
    """Weights kept in all."""
    return sum(int(np.count_nonzero(p.keep)) for p in pruned)
