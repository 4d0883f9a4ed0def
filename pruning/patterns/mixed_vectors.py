"""Mixed-length vector pruning: keep aligned 1×L or L×1 vectors, each matrix in one orientation.

Three algorithms propose candidates (orientation, menu, vector cost); the search here finds the
price τ of a kept weight at which the best vectors fill the budget:

    candidates ──▶ search τ, every candidate in play ──▶ each matrix takes its most valuable one
               ──▶ search τ with those fixed ──▶ an overfull and an underfull solution, close by
               ──▶ chunk by chunk from under to over, best gain first ──▶ fill the last few weights

Where no two prices come close (many equal scores) the scores are told apart by a little noise.

Source: TF-MVP (Yoo et al., DAC 2023) for the pattern; its selection rule is not public, the
algorithms are this project's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.budget import check_budget, check_sparsity, kept_count, unit_mean
from pruning.patterns.candidates import Candidate, lines_of
from pruning.patterns.dyadic import dyadic
from pruning.patterns.fine_grained import best_weights, top_mask
from pruning.patterns.lagrangian import lagrangian
from pruning.patterns.pattern import Break, Pattern, Pruned, Target
from pruning.patterns.threshold import threshold
from pruning.patterns.ties import best_first, told_apart
from pruning.patterns.tiles import broken_tile
from sparse_formats.errors import InputError, nearest
from sparse_formats.formats import encode
from sparse_formats.masks import MaskedMatrix
from sparse_formats.storage import Storage
from sparse_formats.vectors import MENU, VectorLayout, check_menu

VECTOR_COST = 1.5
"""Default price of a vector, in kept weights.

Chosen: an index and a length code are 12 to 14 bits, 0.8 of a 16-bit weight, and issuing a vector
takes about the slot of one more. On MiniLM at 80 % it keeps as much importance as vectors of
length 4 throughout, in little more than half as many vectors (mean length 7).
"""

EPSILON = 0.15
"""Default loss of importance that algorithm A accepts (chosen)."""

Propose = Callable[
    [NDArray[np.float32], float, tuple[int, ...], float, float], tuple[Candidate, ...]
]
"""(scores, fine-grained density, menu, vector cost, epsilon) → the candidates of one matrix."""

ALGORITHMS: Mapping[str, Propose] = {"A": threshold, "B": lagrangian, "C": dyadic}

CHUNK = 64
"""Entries of a line solved and exchanged together, at least the longest vector (chosen)."""

LONGEST = 1 << 16
"""The longest vector on offer; no axis of a transformer comes near it (chosen)."""

CLOSE = 0.05
"""Share of the target by which two solutions to exchange between may differ (chosen)."""


@dataclass(frozen=True)
class MixedVectors(Pattern):
    """Aligned vectors of the lengths in `menu`, all of a matrix in one orientation.

    The knobs are those of `cut`.
    """

    menu: tuple[int, ...] = MENU
    vector_cost: float = VECTOR_COST
    algorithm: str = "C"
    epsilon: float = EPSILON

    knobs: ClassVar = ("menu", "vector_cost", "algorithm", "epsilon")

    def __post_init__(self) -> None:
        object.__setattr__(self, "menu", check_lengths(self.menu))
        check_knobs(self.algorithm, self.vector_cost, self.epsilon)

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """See `cut`."""
        scores = [t.scores for t in targets]
        layouts = cut(scores, kept, self.menu, self.vector_cost, self.algorithm, self.epsilon)
        return [
            Pruned(layout.keep((s.shape[0], s.shape[1])), layout)
            for s, layout in zip(scores, layouts, strict=True)
        ]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first shortest vector that is kept in part, in the orientation with fewer of them.

        Any mask is made of vectors of length 1.
        """
        for matrix in matrices:
            found = in_either_orientation(matrix, self.menu[0])
            if found is not None:
                return found
        return None

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format mixed_vectors."""
        return encode(matrix, "mixed_vectors").storage(value_bits)


def in_either_orientation(matrix: MaskedMatrix, length: int) -> Break | None:
    """None if the mask is made of aligned 1×L or of L×1 vectors, else where it comes furthest."""
    breaks = [broken_tile(matrix, tile) for tile in ((1, length), (length, 1))]
    found = [b for b in breaks if b is not None]
    return max(found, key=lambda b: (b.row, b.col)) if len(found) == len(breaks) else None


@dataclass(frozen=True)
class _Prices:
    """One matrix in one candidate's layout, at one price τ; arrays have one item a chunk."""

    tau: float
    values: NDArray[np.float64]
    sizes: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass
class _Matrix:
    """One matrix's scores and its candidates, laid out as lines when first asked for."""

    scores: NDArray[np.float32]
    candidates: tuple[Candidate, ...]
    _lines: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def lines(self, candidate: Candidate) -> NDArray[np.float32]:
        if candidate.orientation not in self._lines:
            self._lines[candidate.orientation] = lines_of(self.scores, candidate.orientation)
        return self._lines[candidate.orientation]

    def priced(self, candidate: Candidate, tau: float) -> _Prices:
        from pruning.patterns import _segments

        lines = self.lines(candidate)
        chunk = _chunk(candidate.menu)
        chunks = lines.shape[0] * -(-lines.shape[1] // chunk)
        values = np.empty(chunks)
        sizes, counts = np.empty(chunks, np.int64), np.empty(chunks, np.int64)
        menu = np.array(candidate.menu, np.int64)
        _segments.measure(lines, menu, chunk, tau, candidate.vector_cost, values, sizes, counts)
        return _Prices(tau, values, sizes, counts)

    def choose(self, tau: float) -> tuple[Candidate, _Prices]:
        """The candidate of the largest value at `tau`, the first of equals."""
        priced = [(c, self.priced(c, tau)) for c in self.candidates]
        return max(priced, key=lambda pair: float(pair[1].values.sum()))


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


def mixed_vectors(
    scores: Sequence[NDArray[np.float32]],
    sparsity: float,
    menu: tuple[int, ...] = MENU,
    vector_cost: float = VECTOR_COST,
    algorithm: str = "C",
    budget: str = "matrix",
    epsilon: float = EPSILON,
) -> list[VectorLayout]:
    """Cut each matrix into the vectors worth keeping; one layout a matrix.

    scores: importance ≥ 0 per matrix, float32 (out, in). sparsity: fraction to remove, of each
    matrix (`budget` "matrix") or of all together ("global", scores brought to unit mean first).
    menu: vector lengths, each dividing the next. vector_cost ≥ 0: see `Candidate`. epsilon in
    [0, 1]: algorithm A only.

    Kept weights miss round((1 − sparsity)·N) by less than one vector; with length 1 in the menu
    algorithm C meets it exactly.

    Raises:
        InputError: a knob out of its range.
    """
    check_sparsity(sparsity)
    knobs = menu, vector_cost, algorithm, epsilon
    if check_budget(budget) == "matrix":
        return [cut([s], kept_count(s.size, sparsity), *knobs)[0] for s in scores]
    kept = kept_count(sum(s.size for s in scores), sparsity)
    return cut([unit_mean(s) for s in scores], kept, *knobs)


def cut(
    scores: Sequence[NDArray[np.float32]],
    kept: int,
    menu: tuple[int, ...] = MENU,
    vector_cost: float = VECTOR_COST,
    algorithm: str = "C",
    epsilon: float = EPSILON,
) -> list[VectorLayout]:
    """The vectors worth keeping of matrices that share `kept` weights; see `mixed_vectors`."""
    lengths = check_lengths(menu)
    propose = check_knobs(algorithm, vector_cost, epsilon)
    # Only algorithm A asks what fine-grained pruning would keep of each; it takes seconds.
    fine = best_weights(scores, kept) if algorithm == "A" and len(scores) > 1 else []
    densities = [float(m.mean()) if m.size else 0.0 for m in fine]
    densities = densities or [kept / s.size if s.size else 0.0 for s in scores]
    matrices = [
        _Matrix(s, propose(s, p, lengths, vector_cost, epsilon))
        for s, p in zip(scores, densities, strict=True)
    ]
    return _fill_budget(matrices, kept)


def cut_as(
    scores: Sequence[NDArray[np.float32]], candidate: Candidate, kept: int
) -> list[VectorLayout]:
    """The vectors worth keeping where every matrix is cut as `candidate` says."""
    return _fill_budget([_Matrix(s, (candidate,)) for s in scores], kept)


def line_values(
    scores: NDArray[np.float32], candidate: Candidate, tau: float, parts: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Value at price `tau` and kept weights of `parts` equal shares of a matrix's lines."""
    priced = _Matrix(scores, (candidate,)).priced(candidate, tau)
    return priced.values.reshape(parts, -1).sum(1), priced.sizes.reshape(parts, -1).sum(1)


def check_lengths(menu: tuple[int, ...]) -> tuple[int, ...]:
    """`menu` sorted; InputError unless each length divides the next and none is above `LONGEST`."""
    lengths = check_menu(menu)
    if lengths[-1] > LONGEST:
        raise InputError(f"vector length {lengths[-1]}: give lengths up to {LONGEST}, e.g. 1,4,8")
    return lengths


def check_knobs(algorithm: str, vector_cost: float, epsilon: float) -> Propose:
    """The algorithm of that name; InputError if there is none or a knob is out of its range."""
    if algorithm not in ALGORITHMS:
        raise InputError(f"unknown algorithm {algorithm!r}{nearest(algorithm, ALGORITHMS)}")
    if not 0 <= vector_cost < float("inf"):
        raise InputError(f"vector cost {vector_cost:g}: give a number of kept weights, 0 or more")
    if not 0 <= epsilon <= 1:
        raise InputError(f"epsilon {epsilon:g}: give the accepted loss, from 0 to 1, e.g. 0.15")
    return ALGORITHMS[algorithm]


def layout_value(
    scores: NDArray[np.float32], candidate: Candidate, tau: float
) -> tuple[float, int, int]:
    """The best vectors at price `tau`: (Σ S − τ(covered + vector cost), kept weights, vectors).

    What the search maximises, on its own: the tests hold every other set of vectors against it.
    """
    priced = _Matrix(scores, (candidate,)).priced(candidate, tau)
    return float(priced.values.sum()), int(priced.sizes.sum()), int(priced.counts.sum())


def _fill_budget(matrices: list[_Matrix], target: int) -> list[VectorLayout]:
    """The layouts of `matrices` that together keep `target` weights, within one vector."""
    if not matrices:
        return []
    bracket = _bracket(matrices, target)
    if not bracket.close(target):
        # Exchanging so much chunk by chunk would keep some chunks whole and leave others empty.
        matrices = [_Matrix(told_apart(m.scores), m.candidates) for m in matrices]
        bracket = _bracket(matrices, target)
    return _exchange(matrices, bracket.over, bracket.under, target)


def _bracket(matrices: list[_Matrix], target: int) -> _Bracket:
    """Candidates chosen and `target` enclosed, as closely as the scores allow."""

    def with_choice(tau: float) -> _Solution:
        chosen, priced = zip(*(m.choose(tau) for m in matrices), strict=True)
        return _Solution(tau, chosen, priced, sum(int(p.sizes.sum()) for p in priced))

    guess = _guess(matrices, target)
    top = max((float(m.scores.max()) for m in matrices if m.scores.size), default=0.0)
    over, under = _search(with_choice, target, guess, top, tolerance=0.04, step=1.25)
    near = min(over, under, key=lambda s: abs(s.nnz - target))
    chosen = near.chosen

    def as_chosen(tau: float) -> _Solution:
        priced = tuple(m.priced(c, tau) for m, c in zip(matrices, chosen, strict=True))
        return _Solution(tau, chosen, priced, sum(int(p.sizes.sum()) for p in priced))

    return _Bracket(*_search(as_chosen, target, near.tau, top, tolerance=0.01, step=1.02))


def _guess(matrices: list[_Matrix], target: int) -> float:
    """A first price: the threshold fine-grained pruning would use, from a sample."""
    sample = np.concatenate([m.scores.ravel()[:: max(1, m.scores.size >> 16)] for m in matrices])
    total = sum(m.scores.size for m in matrices)
    return float(np.quantile(sample, 1 - target / total)) * 0.8 if sample.size else 0.0


def _search(
    at: Callable[[float], _Solution],
    target: int,
    start: float,
    top: float,
    tolerance: float,
    step: float,
) -> tuple[_Solution, _Solution]:
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
    matrices: list[_Matrix], over: _Solution, under: _Solution, target: int
) -> list[VectorLayout]:
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

    layouts = []
    begin = 0
    for matrix, candidate, priced_over, priced_under in zip(
        matrices, under.chosen, over.priced, under.priced, strict=True
    ):
        end = begin + len(priced_under.sizes)
        mine = switched[begin:end]
        vectors = int(np.where(mine, priced_over.counts, priced_under.counts).sum())
        taus = np.array([priced_under.tau, priced_over.tau])
        layouts.append(_emit(matrix, candidate, taus, mine, vectors))
        begin = end
    return _fill(matrices, under.chosen, layouts, target)


def _importance(priced: _Prices, cost: float) -> NDArray[np.float64]:
    """Importance kept in each chunk: its value with the prices paid added back."""
    return priced.values + priced.tau * (priced.sizes + cost * priced.counts)


def _emit(
    matrix: _Matrix,
    candidate: Candidate,
    taus: NDArray[np.float64],
    switched: NDArray[np.bool_],
    vectors: int,
) -> VectorLayout:
    from pruning.patterns import _segments

    lines, starts, lengths = (np.empty(vectors, np.int32) for _ in range(3))
    _segments.emit(
        matrix.lines(candidate),
        np.array(candidate.menu, np.int64),
        _chunk(candidate.menu),
        taus,
        switched.astype(np.int64),
        candidate.vector_cost,
        lines,
        starts,
        lengths,
    )
    return VectorLayout(candidate.orientation, lines, starts, lengths)


def _fill(
    matrices: list[_Matrix],
    chosen: Sequence[Candidate],
    layouts: list[VectorLayout],
    target: int,
) -> list[VectorLayout]:
    """Add free vectors, longest first and best first, while they fit under `target`."""
    kept = [layout.keep(m.scores.shape) for m, layout in zip(matrices, layouts, strict=True)]
    gap = target - sum(int(np.count_nonzero(k)) for k in kept)
    lengths = sorted({length for c in chosen for length in c.menu}, reverse=True)
    for length in lengths:
        if gap < 1:
            break
        offers = [
            _offers(m, c, k, length, gap) for m, c, k in zip(matrices, chosen, kept, strict=True)
        ]
        owner = np.concatenate([np.full(len(o[0]), i) for i, o in enumerate(offers)])
        mean, place, covered = (np.concatenate([o[j] for o in offers]) for j in range(3))
        order = best_first(mean)
        taken = order[np.cumsum(covered[order]) <= gap]
        gap -= int(covered[taken].sum())
        for i in np.unique(owner[taken]):
            places = place[taken[owner[taken] == i]].astype(np.int64)
            layouts[i] = _with_vectors(layouts[i], places, length, matrices[i], chosen[i])
            kept[i] = layouts[i].keep(matrices[i].scores.shape)
    return layouts


def _offers(
    matrix: _Matrix, candidate: Candidate, keep: NDArray[np.bool_], length: int, gap: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The best free vectors of one length: (mean score, segment number, covered entries)."""
    from pruning.patterns import _segments

    nothing = np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)
    if length not in candidate.menu:
        return nothing
    lines = matrix.lines(candidate)
    count, axis = lines.shape
    per_line = -(-axis // length)
    means = np.empty(count * per_line)
    _segments.free_means(lines, lines_of(keep, candidate.orientation), length, means)
    # The short vectors at the ends of lines cover less, so more of them fit.
    wanted = min(gap // (axis % length or length), means.size)
    if not wanted:
        return nothing
    best = np.flatnonzero(top_mask(means, wanted) & (means >= 0))
    covered = np.minimum(length, axis - best % per_line * length)
    return means[best], best, covered


def _with_vectors(
    layout: VectorLayout,
    places: NDArray[np.int64],
    length: int,
    matrix: _Matrix,
    candidate: Candidate,
) -> VectorLayout:
    """`layout` with the segments number `places` of one length added, in order."""
    per_line = -(-matrix.lines(candidate).shape[1] // length)
    lines = np.concatenate([layout.lines, (places // per_line).astype(np.int32)])
    starts = np.concatenate([layout.starts, (places % per_line * length).astype(np.int32)])
    lengths = np.concatenate([layout.lengths, np.full(len(places), length, np.int32)])
    order = np.lexsort((starts, lines))
    return VectorLayout(layout.orientation, lines[order], starts[order], lengths[order])


def _chunk(menu: tuple[int, ...]) -> int:
    longest = menu[-1]
    return longest * max(1, CHUNK // longest)
