"""Mixed-length vector pruning: keep aligned 1×L or L×1 vectors, each matrix in one orientation.

Three algorithms propose candidates (orientation, menu, vector cost); `selection.vectors.search`
takes of each matrix the most valuable one, and the vectors that fill the budget.

Source: TF-MVP (Yoo et al., DAC 2023) for the pattern; its selection rule is not public, the
algorithms are this project's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from pruning.patterns.pattern import Break, Pattern, Pool, Pruned, Target
from pruning.patterns.vector_pattern import VectorPattern
from pruning.selection.vectors.candidates import Candidate, Propose
from pruning.selection.vectors.dyadic import dyadic
from pruning.selection.vectors.lagrangian import lagrangian
from pruning.selection.vectors.search import Uncut, chosen_at_price, fill_budget
from pruning.selection.vectors.threshold import threshold
from pruning.selection.weights import best_weights
from sparse_formats.errors import SettingError, nearest
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import MENU, Orientation, check_menu
from sparse_formats.storage import Storage
from sparse_formats.terminal.settings import Count, NotNegative, Share, option

VECTOR_COST = 1.5
"""Default price of a vector, in kept weights.

Chosen: an index and a length code are 12 to 14 bits, 0.8 of a 16-bit weight, and issuing a vector
takes about the slot of one more. On MiniLM at 80 % it keeps as much importance as vectors of
length 4 throughout, in little more than half as many vectors (mean length 7).
"""

EPSILON = 0.15
"""Default loss of importance that algorithm A accepts (chosen)."""

ALGORITHMS: Mapping[str, Propose] = {"A": threshold, "B": lagrangian, "C": dyadic}

LONGEST = 1 << 16
"""The longest vector on offer; no axis of a transformer comes near it (chosen)."""


@dataclass(frozen=True)
class VectorsOfAMenu(Pattern):
    """Aligned vectors of the lengths in `menu`.

    menu: vector lengths, each dividing the next. vector_cost ≥ 0: see `Candidate`.
    """

    menu: tuple[Count, ...] = option(
        "Lengths of vectors, each of which divides the next.", default=MENU, is_separated=True
    )
    vector_cost: NotNegative = option(
        "Price of a vector in kept weights. A higher price gives longer and fewer vectors.",
        default=VECTOR_COST,
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "menu", check_menu(self.menu))
        if self.menu[-1] > LONGEST:
            raise SettingError("menu", f"has length {self.menu[-1]}; give lengths up to {LONGEST}")
        if not 0 <= self.vector_cost < float("inf"):
            raise SettingError(
                "vector_cost", f"is {self.vector_cost:g}; give a number of kept weights, 0 or more"
            )


@dataclass(frozen=True)
class MixedVectors(VectorsOfAMenu, VectorPattern):
    """Aligned vectors of the lengths in `menu`, all of a matrix in one orientation.

    epsilon in [0, 1]: algorithm A only. cuts: how matrices are cut that are settled already, by
    their names.
    """

    algorithm: str = option(
        "How a matrix is cut into vectors: C mixes lengths, B takes one length per matrix, A takes "
        "the longest one that loses at most epsilon.",
        default="C",
        choices=ALGORITHMS,
    )
    epsilon: Share = option(
        "Share of the importance that algorithm A accepts to lose.", default=EPSILON
    )
    cuts: Mapping[str, Candidate] = field(default_factory=dict, kw_only=True, hash=False)

    def __post_init__(self) -> None:
        VectorsOfAMenu.__post_init__(self)
        VectorPattern.__post_init__(self)
        if self.algorithm not in ALGORITHMS:
            known = nearest(self.algorithm, ALGORITHMS)
            raise SettingError("algorithm", f"is {self.algorithm!r}{known}")
        if not 0 <= self.epsilon <= 1:
            raise SettingError(
                "epsilon", f"is {self.epsilon:g}; give the accepted loss, from 0 to 1"
            )

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The vectors worth keeping.

        Kept weights miss `kept` by less than one vector; with length 1 in the menu algorithm C
        meets it exactly.
        """
        return [Pruned(*cut) for cut in fill_budget(self._uncut(targets, kept), kept)]

    def favoured(self, targets: Sequence[Target], kept: int) -> list[Orientation]:
        """That of the candidate worth most at the price at which `kept` weights stay."""
        return [c.orientation for c in chosen_at_price(self._uncut(targets, kept), kept)]

    def settle(self, pools: Sequence[Pool]) -> Self:
        """The pattern with an orientation for each matrix, of algorithms A and B a length too."""
        cuts = {
            target.name: candidate
            for targets, kept in pools
            for target, candidate in zip(
                targets, chosen_at_price(self._uncut(targets, kept), kept), strict=True
            )
        }
        orientations = {name: candidate.orientation for name, candidate in cuts.items()}
        return replace(self, cuts={**self.cuts, **cuts}, settled={**self.settled, **orientations})

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first shortest vector that is kept in part, in the orientation with fewer of them.

        Any mask is made of vectors of length 1.
        """
        return self.first_broken(matrices, self.menu[0])

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format mixed_vectors."""
        from sparse_formats.formats.registry import encode

        return encode(matrix, "mixed_vectors").storage(value_bits)

    def _uncut(self, targets: Sequence[Target], kept: int) -> list[Uncut]:
        """The matrices with the candidates that the algorithm proposes."""
        scores = [t.scores for t in targets]
        # Only algorithm A asks what fine-grained pruning would keep of each; it takes seconds.
        fine = best_weights(scores, kept) if self.algorithm == "A" and len(scores) > 1 else []
        densities = [float(m.mean()) if m.size else 0.0 for m in fine]
        densities = densities or [kept / s.size if s.size else 0.0 for s in scores]
        propose = ALGORITHMS[self.algorithm]
        return [
            Uncut(
                t.scores,
                (self.cuts[t.name],)
                if t.name in self.cuts
                else propose(t.scores, density, self, self.allowed(t.name, t.kind)),
            )
            for t, density in zip(targets, densities, strict=True)
        ]
