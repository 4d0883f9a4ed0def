"""The vectors worth keeping in a budget: which candidate for each matrix, and which vectors of it.

The search here finds the price τ of a kept weight at which the best vectors fill the budget:

    candidates ──▶ search τ, every candidate in play ──▶ each matrix takes its most valuable one
               ──▶ search τ with those fixed ──▶ an overfull and an underfull solution, close by
               ──▶ chunk by chunk from under to over, best gain first ──▶ fill the last few weights

Where no two prices come close (many equal scores) the scores are told apart by a little noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pruning.selection.tie_breaking import best_first, told_apart
from pruning.selection.vectors.candidates import Candidate, lines_of
from pruning.selection.weights import top_mask
from sparse_formats.masks.vectors import VectorLayout

CHUNK = 64
"""Entries of a line solved and exchanged together, at least the longest vector (chosen)."""

CLOSE = 0.05
"""Share of the target by which two solutions to exchange between may differ (chosen)."""

SAMPLE = 1 << 13
"""Scores of a matrix that the first price is guessed from (chosen)."""


@dataclass(frozen=True)
class _Prices:
    """One matrix in one candidate's layout, at one price τ; arrays have one item a chunk."""

    tau: float
    values: NDArray[np.float64]
    sizes: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass
class Uncut:
    """One matrix's scores and its candidates, laid out as lines when first asked for."""

    scores: NDArray[np.float32]
    candidates: tuple[Candidate, ...]
    _lines: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def lines(self, candidate: Candidate) -> NDArray[np.float32]:
        if candidate.orientation not in self._lines:
            self._lines[candidate.orientation] = lines_of(self.scores, candidate.orientation)
        return self._lines[candidate.orientation]

    def priced(self, candidate: Candidate, tau: float) -> _Prices:
        from pruning.selection.vectors import line_solver

        lines = self.lines(candidate)
        chunk = _chunk(candidate.menu)
        chunks = lines.shape[0] * -(-lines.shape[1] // chunk)
        values = np.empty(chunks)
        sizes, counts = np.empty(chunks, np.int64), np.empty(chunks, np.int64)
        menu = np.array(candidate.menu, np.int64)
        line_solver.measure(lines, menu, chunk, tau, candidate.vector_cost, values, sizes, counts)
        return _Prices(tau, values, sizes, counts)

    def choose(self, tau: float) -> tuple[Candidate, _Prices]:
        """The candidate of the largest value at `tau`, the first of equals."""
        priced = [(c, self.priced(c, tau)) for c in self.candidates]
        return max(priced, key=lambda pair: float(pair[1].values.sum()))


class Cut(NamedTuple):
    """The mask of a matrix, bool (out, in), and the vectors that make it up."""

    keep: NDArray[np.bool_]
    layout: VectorLayout


class AtPrice(Protocol):
    """What is kept at one price: the price of a weight, and weights kept in all."""

    @property
    def tau(self) -> float: ...

    @property
    def nnz(self) -> int: ...


Found = TypeVar("Found", bound=AtPrice)


@dataclass(frozen=True)
class _Solution:
    """All matrices at one price: the chosen candidates, their chunks, and weights kept in all."""

    tau: float
    chosen: tuple[Candidate, ...]
    priced: tuple[_Prices, ...]
    nnz: int


@dataclass(frozen=True)
class _Bracket:
    """Two solutions of the same candidates, at or over and at or under the target."""

    over: _Solution
    under: _Solution

    def close(self, target: int) -> bool:
        return self.over.nnz - self.under.nnz <= CLOSE * target


def cut_as(
    scores: Sequence[NDArray[np.float32]], candidate: Candidate, kept: int, near: float
) -> list[Cut]:
    """The vectors worth keeping where every matrix is cut as `candidate` says.

    near: a price at which about `kept` weights stay.
    """
    return fill_budget([Uncut(s, (candidate,)) for s in scores], kept, near)


def line_values(
    scores: NDArray[np.float32], candidate: Candidate, tau: float, parts: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Value at price `tau` and kept weights of `parts` equal shares of a matrix's lines."""
    priced = Uncut(scores, (candidate,)).priced(candidate, tau)
    return priced.values.reshape(parts, -1).sum(1), priced.sizes.reshape(parts, -1).sum(1)


def chosen_at_price(
    matrices: Sequence[Uncut], target: int, near: float | None = None
) -> tuple[Candidate, ...]:
    """The most valuable candidate of each matrix, at the price that keeps about `target` weights.

    near: the price that the search begins at; guessed where it is not known.
    """
    return _choice(matrices, target, near).chosen if matrices else ()


def fill_budget(matrices: Sequence[Uncut], target: int, near: float | None = None) -> list[Cut]:
    """Masks and layouts of `matrices` that together keep `target` weights, within one vector.

    near: the price that the search begins at; guessed where it is not known.
    """
    if not matrices:
        return []
    bracket = _bracket(matrices, target, near)
    if not bracket.close(target):
        # Exchanging so much chunk by chunk would keep some chunks whole and leave others empty.
        matrices = [Uncut(told_apart(m.scores), m.candidates) for m in matrices]
        bracket = _bracket(matrices, target, near)
    return _exchange(matrices, bracket.over, bracket.under, target)


def _choice(matrices: Sequence[Uncut], target: int, start: float | None) -> _Solution:
    """The price that keeps nearly `target` weights, with every candidate in play."""
    if start is None:
        start = guess([m.scores for m in matrices], target)

    def with_choice(tau: float) -> _Solution:
        chosen, priced = zip(*(m.choose(tau) for m in matrices), strict=True)
        return _Solution(tau, chosen, priced, sum(int(p.sizes.sum()) for p in priced))

    top = largest([m.scores for m in matrices])
    over, under = search(with_choice, target, start, top, tolerance=0.04, step=1.25)
    return min(over, under, key=lambda s: abs(s.nnz - target))


def _bracket(matrices: Sequence[Uncut], target: int, start: float | None) -> _Bracket:
    """Candidates chosen and `target` enclosed, as closely as the scores allow."""
    near = None
    if any(len(m.candidates) > 1 for m in matrices):
        near = _choice(matrices, target, start)
        start = near.tau
    elif start is None:
        start = guess([m.scores for m in matrices], target)
    chosen = tuple(m.candidates[0] for m in matrices) if near is None else near.chosen

    def as_chosen(tau: float) -> _Solution:
        if near is not None and tau == near.tau:
            return near
        priced = tuple(m.priced(c, tau) for m, c in zip(matrices, chosen, strict=True))
        return _Solution(tau, chosen, priced, sum(int(p.sizes.sum()) for p in priced))

    top = largest([m.scores for m in matrices])
    step = 1.1 if near is None else 1.02
    return _Bracket(*search(as_chosen, target, start, top, tolerance=0.01, step=step))


def largest(scores: Sequence[NDArray[np.float32]]) -> float:
    """The largest score of all, 0 where there is none: no price needs to be above it."""
    return max((float(s.max()) for s in scores if s.size), default=0.0)


def guess(scores: Sequence[NDArray[np.float32]], target: int) -> float:
    """A first price: the threshold fine-grained pruning would use, from a sample."""
    parts = [s.ravel()[:: max(1, s.size // SAMPLE)] for s in scores]
    sample = np.concatenate(parts or [np.empty(0, np.float32)])
    if not sample.size:
        return 0.0
    # As np.quantile, but with one place of the sample sorted out instead of four.
    place = (len(sample) - 1) * (1 - target / sum(s.size for s in scores))
    below = int(place)
    sample.partition(below)
    low = float(sample[below])
    high = float(sample[below + 1 :].min()) if place > below else low
    return float(np.float32(low + (high - low) * (place - below))) * 0.8


def search(
    at: Callable[[float], Found],
    target: int,
    start: float,
    top: float,
    tolerance: float,
    step: float,
) -> tuple[Found, Found]:
    """Two solutions, at or over and at or under `target` kept weights, at prices close together.

    Prices lie between 0, where all that has importance is kept, and just above `top`, the largest
    score, where nothing is. The bracket closes by false position (Illinois) in log price until it
    spans less than `tolerance` of the target. Kept weights need not fall with the price at every
    step (a dearer weight makes a vector dearer too); the bracket holds all the same. Where even
    price 0 keeps too little, both solutions are that one.
    """
    tau = min(max(start, top * 1e-6), top)
    first = at(tau)
    over = under = first
    factor = step
    while over.nnz < target and over.tau > 0:
        under, tau = over, over.tau / factor
        over = at(tau if tau > top * 1e-9 else 0.0)
        factor *= factor
    factor = step
    while under.nnz > target:
        over = under
        under = at(min(under.tau * factor, top * 1.01))
        factor *= factor
    if over.nnz < target:
        return over, over
    weight_over = weight_under = 1.0
    for _ in range(60):
        if over.nnz - under.nnz <= tolerance * target or over.nnz == target:
            break
        if under.nnz == target or under.tau <= over.tau * (1 + 1e-6):
            break
        if over.tau <= 0:
            if under.tau <= top * 1e-9:
                break
            middle = at(under.tau / 16)
        else:
            above = weight_over * (over.nnz - target)
            below = weight_under * (target - under.nnz)
            share = min(max(above / (above + below), 0.02), 0.98)
            middle = at(over.tau * (under.tau / over.tau) ** share)
        if middle.nnz >= target:
            over, weight_over, weight_under = middle, 1.0, weight_under / 2
        else:
            under, weight_under, weight_over = middle, 1.0, weight_over / 2
    return (over, over) if over.nnz == target else (over, under)


def _exchange(
    matrices: Sequence[Uncut], over: _Solution, under: _Solution, target: int
) -> list[Cut]:
    """From the underfull solution towards the overfull one, chunk by chunk, then fill the rest."""
    costs = [c.vector_cost for c in under.chosen]
    more = np.concatenate(
        [o.sizes - u.sizes for o, u in zip(over.priced, under.priced, strict=True)]
    )
    gain = np.concatenate(
        [
            _importance(o, c) - _importance(u, c)
            for o, u, c in zip(over.priced, under.priced, costs, strict=True)
        ]
    )
    price = np.concatenate(
        [
            (o.sizes - u.sizes) + c * np.maximum(o.counts - u.counts, 0)
            for o, u, c in zip(over.priced, under.priced, costs, strict=True)
        ]
    )
    growing = np.flatnonzero(more > 0)
    order = growing[best_first(gain[growing] / price[growing])]
    affordable = np.cumsum(more[order]) <= target - under.nnz
    switched = np.zeros(len(more), np.bool_)
    switched[order[affordable]] = True

    layouts: list[VectorLayout] = []
    kept: list[NDArray[np.bool_]] = []
    begin = 0
    for matrix, candidate, priced_over, priced_under in zip(
        matrices, under.chosen, over.priced, under.priced, strict=True
    ):
        end = begin + len(priced_under.sizes)
        mine = switched[begin:end]
        vectors = int(np.where(mine, priced_over.counts, priced_under.counts).sum())
        taus = np.array([priced_under.tau, priced_over.tau])
        layout, keep = _emit(matrix, candidate, taus, mine, vectors)
        layouts.append(layout)
        kept.append(keep)
        begin = end
    return _fill(matrices, under.chosen, layouts, kept, target)


def _importance(priced: _Prices, cost: float) -> NDArray[np.float64]:
    """Importance kept in each chunk: its value with the prices paid added back."""
    return priced.values + priced.tau * (priced.sizes + cost * priced.counts)


def _emit(
    matrix: Uncut,
    candidate: Candidate,
    taus: NDArray[np.float64],
    switched: NDArray[np.bool_],
    vectors: int,
) -> tuple[VectorLayout, NDArray[np.bool_]]:
    """The vectors of every chunk at its price, and what they keep: bool (lines, axis)."""
    from pruning.selection.vectors import line_solver

    scores = matrix.lines(candidate)
    lines, starts, lengths = (np.empty(vectors, np.int32) for _ in range(3))
    keep = np.zeros(scores.shape, np.bool_)
    line_solver.emit(
        scores,
        np.array(candidate.menu, np.int64),
        _chunk(candidate.menu),
        taus,
        switched.astype(np.int64),
        candidate.vector_cost,
        lines,
        starts,
        lengths,
        keep,
    )
    return VectorLayout(candidate.orientation, lines, starts, lengths), keep


def _fill(
    matrices: Sequence[Uncut],
    chosen: Sequence[Candidate],
    layouts: list[VectorLayout],
    kept: list[NDArray[np.bool_]],
    target: int,
) -> list[Cut]:
    """Add free vectors, longest first and best first, while they fit under `target`.

    kept: what `layouts` keep, (lines, axis) whatever the orientation; added to in place.
    """
    added: list[list[tuple[NDArray[np.int64], int]]] = [[] for _ in matrices]
    gap = target - sum(int(np.count_nonzero(k)) for k in kept)
    lengths = sorted({length for c in chosen for length in c.menu}, reverse=True)
    for length in lengths:
        if gap < 1:
            break
        offers = [
            _offers(m, c, k, length, gap) for m, c, k in zip(matrices, chosen, kept, strict=True)
        ]
        owner = np.concatenate([np.full(len(o[0]), i) for i, o in enumerate(offers)])
        if not len(owner):
            continue
        mean, place, covered = (np.concatenate([o[j] for o in offers]) for j in range(3))
        order = best_first(mean)
        taken = order[np.cumsum(covered[order]) <= gap]
        gap -= int(covered[taken].sum())
        for i in np.unique(owner[taken]):
            places = place[taken[owner[taken] == i]].astype(np.int64)
            added[i].append((places, length))
            _mark(kept[i], places, length)
    return [
        Cut(keep if c.orientation == "horizontal" else np.ascontiguousarray(keep.T), layout)
        for keep, c, layout in zip(
            kept,
            chosen,
            map(_with_vectors, layouts, added, (k.shape[1] for k in kept)),
            strict=True,
        )
    ]


def _mark(keep: NDArray[np.bool_], places: NDArray[np.int64], length: int) -> None:
    """Set the segments number `places` of one length, in place."""
    per_line = -(-keep.shape[1] // length)
    lines, starts = places // per_line, places % per_line * length
    for i in range(length):
        inside = starts + i < keep.shape[1]
        keep[lines[inside], starts[inside] + i] = True


def _offers(
    matrix: Uncut, candidate: Candidate, keep: NDArray[np.bool_], length: int, gap: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The best free vectors of one length: (mean score, segment number, covered entries).

    keep: (lines, axis), what is kept already.
    """
    from pruning.selection.vectors import line_solver

    nothing = np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)
    if length not in candidate.menu:
        return nothing
    lines = matrix.lines(candidate)
    count, axis = lines.shape
    per_line = -(-axis // length)
    # The short vectors at the ends of lines cover less, so more of them fit.
    wanted = min(gap // (axis % length or length), count * per_line)
    if not wanted:
        return nothing
    means = np.empty(count * per_line)
    line_solver.free_means(lines, keep, length, means)
    best = np.flatnonzero(top_mask(means, wanted) & (means >= 0))
    covered = np.minimum(length, axis - best % per_line * length)
    return means[best], best, covered


def _with_vectors(
    layout: VectorLayout, added: list[tuple[NDArray[np.int64], int]], axis: int
) -> VectorLayout:
    """`layout` with the segments added: (their numbers, their length) on lines of `axis`."""
    if not added:
        return layout
    lines, starts, lengths = [layout.lines], [layout.starts], [layout.lengths]
    for places, length in added:
        per_line = -(-axis // length)
        lines.append((places // per_line).astype(np.int32))
        starts.append((places % per_line * length).astype(np.int32))
        lengths.append(np.full(len(places), length, np.int32))
    line, start, nominal = (np.concatenate(parts) for parts in (lines, starts, lengths))
    order = np.argsort(line.astype(np.int64) * axis + start, kind="stable")
    return VectorLayout(layout.orientation, line[order], start[order], nominal[order])


def _chunk(menu: tuple[int, ...]) -> int:
    longest = menu[-1]
    return longest * max(1, CHUNK // longest)
