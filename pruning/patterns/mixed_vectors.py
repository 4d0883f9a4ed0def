"""Mixed-length vector pruning: keep aligned 1×L or L×1 vectors, each matrix in one orientation.

Three algorithms propose candidates (orientation, menu, vector cost); `selection.vectors.search`
takes of each matrix the most valuable one, and the vectors that fill the budget. A fourth one
simulates an accelerator and decides for all matrices at once.

Source: TF-MVP (Yoo et al., DAC 2023) for the pattern; its selection rule is not public, the
algorithms are this project's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Self

import msgspec
import numpy as np

from pruning.patterns.pattern import Break, Pattern, Pool, Pruned, Target
from pruning.patterns.vector_pattern import VectorPattern
from pruning.selection.vectors.candidates import Candidate, Propose
from pruning.selection.vectors.dyadic import dyadic
from pruning.selection.vectors.lagrangian import lagrangian
from pruning.selection.vectors.search import Uncut, chosen_at_price, fill_budget
from pruning.selection.vectors.simulated import ErrorOf, Machine, simulated
from pruning.selection.vectors.simulated import Uncut as ToSimulate
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

SIMULATED = "D"
"""The algorithm that proposes no candidates: it simulates all of them, see `vectors.simulated`."""

CYCLES = 1.1
"""Default cycles that algorithm D allows, in units of the fewest possible (chosen)."""

TOKENS = 128
"""Default number of tokens that algorithm D simulates (chosen)."""

LONGEST = 1 << 16
"""The longest vector on offer; no axis of a transformer comes near it (chosen)."""


def _accelerators() -> list[str]:
    from accel_sim.machines.builtin import builtin_accelerators

    return list(builtin_accelerators())


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

    epsilon in [0, 1]: algorithm A only. accelerator, cycles ≥ 1, simulated_tokens: algorithm D
    only. cuts: how matrices are cut that are settled already, by their names. found: what
    algorithm D says of them.
    """

    algorithm: str = option(
        "How a matrix is cut into vectors: C mixes lengths, B takes one length per matrix, A takes "
        "the longest one that loses at most epsilon, D takes one length per matrix such that "
        "little is lost within the cycles that an accelerator may take.",
        default="C",
        choices=(*ALGORITHMS, SIMULATED),
    )
    epsilon: Share = option(
        "Share of the importance that algorithm A accepts to lose.", default=EPSILON
    )
    accelerator: str = option(
        "Accelerator that algorithm D simulates, and that a target of prune is for.",
        default="tf_mvp",
        choices=_accelerators,
        or_else="the path of a .toml file",
        reads=True,
    )
    cycles: Annotated[float, msgspec.Meta(ge=1)] = option(
        "Cycles that algorithm D allows all matrices together, in units of those that the fastest "
        "vectors of the menu take. A higher number gives shorter vectors that lose less.",
        default=CYCLES,
    )
    simulated_tokens: int = field(default=TOKENS, kw_only=True)
    found: str = field(default="", kw_only=True)
    cuts: Mapping[str, Candidate] = field(default_factory=dict, kw_only=True, hash=False)

    def __post_init__(self) -> None:
        VectorsOfAMenu.__post_init__(self)
        VectorPattern.__post_init__(self)
        algorithms = (*ALGORITHMS, SIMULATED)
        if self.algorithm not in algorithms:
            known = nearest(self.algorithm, algorithms)
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
        if self.settles_first and not all(t.name in self.cuts for t in targets):
            return self.settle([(targets, kept)]).masks(targets, kept)
        return [Pruned(*cut) for cut in fill_budget(self._uncut(targets, kept), kept)]

    @property
    def notes(self) -> tuple[str, ...]:
        """What algorithm D found."""
        return (self.found,) if self.found else ()

    @property
    def settles_first(self) -> bool:
        """Algorithm D weighs all matrices against each other."""
        return self.algorithm == SIMULATED

    def favoured(self, targets: Sequence[Target], kept: int) -> list[Orientation]:
        """That of the candidate worth most at the price at which `kept` weights stay."""
        return [c.orientation for c in chosen_at_price(self._uncut(targets, kept), kept)]

    def settle(self, pools: Sequence[Pool], error_of: ErrorOf | None = None) -> Self:
        """The pattern with an orientation for each matrix, and a length unless lengths are mixed.

        error_of: what algorithm D makes small in place of the importance lost.
        """
        if self.settles_first:
            uncut = [matrix for pool in pools for matrix in self._counted(*pool)]
            machine = Machine(self.accelerator, self.simulated_tokens, self.cycles)
            chosen = simulated(uncut, self.menu, machine, error_of)
            names = [matrix.name for matrix in uncut]
            return self._with(dict(zip(names, chosen.candidates, strict=True)), chosen.said)
        cuts = {
            target.name: candidate
            for targets, kept in pools
            for target, candidate in zip(
                targets, chosen_at_price(self._uncut(targets, kept), kept), strict=True
            )
        }
        return self._with(cuts)

    def _with(self, cuts: Mapping[str, Candidate], found: str = "") -> Self:
        orientations = {name: candidate.orientation for name, candidate in cuts.items()}
        return replace(
            self,
            cuts={**self.cuts, **cuts},
            settled={**self.settled, **orientations},
            found=found,
        )

    def _counted(self, targets: Sequence[Target], kept: int) -> list[ToSimulate]:
        """The matrices of a pool, each with as many weights as single ones would share it out."""
        scores = [t.scores for t in targets]
        fine = best_weights(scores, kept) if len(scores) > 1 else []
        counts = [int(np.count_nonzero(keep)) for keep in fine] or [kept]
        return [
            ToSimulate(t.name, t.kind, t.scores, count, self.allowed(t.name, t.kind))
            for t, count in zip(targets, counts, strict=True)
        ]

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
        propose = ALGORITHMS.get(self.algorithm, lagrangian)
        return [
            Uncut(
                t.scores,
                (self.cuts[t.name],)
                if t.name in self.cuts
                else propose(t.scores, density, self, self.allowed(t.name, t.kind)),
            )
            for t, density in zip(targets, densities, strict=True)
        ]
