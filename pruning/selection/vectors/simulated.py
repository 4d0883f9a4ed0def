"""Algorithm D: one orientation and one length per matrix, by simulated cycles and what is lost.

Every matrix is cut in every way, an orientation and a length of the menu, and pruned each time to
the same number of weights. A cut costs the cycles that an accelerator needs for it. It loses
importance against as many single weights, or puts an error on the outputs of the layer where that
is known. All matrices together lose as little as the allowed cycles permit.

Source: TF-MVP (Yoo et al., DAC 2023) takes a direction and a size for each layer; to weigh cycles
against what is lost is this project's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pruning.selection.knapsack import least_loss
from pruning.selection.tiles import best_tiles, tile_sums, vector_layout
from pruning.selection.vectors.candidates import Candidate
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.masks.vectors import ORIENTATIONS, Orientation

ErrorOf = Callable[[str], Callable[[NDArray[np.bool_]], float]]
"""Of the matrix of this name: mask → error that it leaves on the layer's outputs, from 0 to 1."""


@dataclass(frozen=True, eq=False)
class Uncut:
    """A matrix, how many weights it keeps, and the orientations that it may take.

    scores: importance ≥ 0, float32 (out, in), comparable between matrices.
    """

    name: str
    kind: str
    scores: NDArray[np.float32]
    kept: int
    orientations: tuple[Orientation, ...]


class Machine(NamedTuple):
    """What cycles are simulated on, with so many tokens, and how many are allowed.

    factor: how many times those of the fastest vectors are allowed, 1 or more.
    """

    accelerator: str
    tokens: int
    factor: float


class Chosen(NamedTuple):
    """A candidate for each matrix, in order, and in a sentence what they come to."""

    candidates: tuple[Candidate, ...]
    said: str


def simulated(
    matrices: Sequence[Uncut], menu: Sequence[int], machine: Machine, error_of: ErrorOf | None
) -> Chosen:
    """The cut of each matrix that loses little in all within the cycles that are allowed.

    Raises:
        InputError: no such accelerator.
    """
    singles = [Candidate(o, (1,), 0.0) for o in ORIENTATIONS]
    cuts = [Candidate(o, (length,), 0.0) for o in ORIENTATIONS for length in menu]
    found = {cut: _cycles(matrices, [cut] * len(matrices), machine) for cut in {*singles, *cuts}}
    cycles, of_singles = (np.array([found[cut] for cut in some]).T for some in (cuts, singles))
    allowed = np.array([[cut.orientation in m.orientations for cut in cuts] for m in matrices])
    may = np.where(allowed, cycles, np.inf)
    whole = float(of_singles.min(1).sum())
    fastest = float(may.min(1).sum())
    losses = np.array([_losses(m, cuts, error_of) for m in matrices])
    most = sum(1.0 if error_of else _best(m) for m in matrices) or 1.0
    chosen = least_loss(losses, may, machine.factor * fastest)
    lost = float(losses[np.arange(len(matrices)), chosen].sum()) / most
    candidates = tuple(cuts[i] for i in chosen)
    # Beside other neighbours a matrix waits otherwise for its weights.
    taken = sum(_cycles(matrices, candidates, machine))
    what = "importance that these hold" if error_of is None else "outputs, mean over matrices"
    return Chosen(
        candidates,
        f"algorithm D: with {machine.tokens} tokens on {machine.accelerator} the chosen vectors "
        f"take {taken:,} cycles, {taken / whole:.3f} of those of single weights (fastest: "
        f"{fastest / whole:.3f}), and lose {lost:.3f} of the {what}",
    )


def _masked(matrix: Uncut, cut: Candidate) -> MaskedMatrix:
    """The best vectors of one orientation and length."""
    (length,) = cut.menu
    is_turned = cut.orientation == "vertical"
    (keep,) = best_tiles([matrix.scores], [(length, 1) if is_turned else (1, length)], matrix.kept)
    tile = 1, length
    layout = vector_layout(tile_sums(keep.T if is_turned else keep, tile) > 0, tile)
    layout = replace(layout, orientation=cut.orientation)
    return MaskedMatrix(matrix.name, keep, None, matrix.kind, layout)


def _cycles(matrices: Sequence[Uncut], cuts: Sequence[Candidate], machine: Machine) -> list[int]:
    """Of each matrix, run one after the other."""
    from accel_sim import Activations, Workload, load_machine, simulate

    masks = MaskSet(tuple(map(_masked, matrices, cuts)))
    workload = Workload.of(masks, Activations(machine.tokens))
    report = simulate(workload, load_machine(machine.accelerator), is_checked=False)
    return [layer.cycles for layer in report.layers]


def _losses(matrix: Uncut, cuts: Sequence[Candidate], error_of: ErrorOf | None) -> list[float]:
    """What each cut loses: importance against single weights, or of the outputs."""
    keeps = (_masked(matrix, cut).keep for cut in cuts)
    if error_of is not None:
        error = error_of(matrix.name)
        return [error(keep) for keep in keeps]
    best = _best(matrix)
    return [best - float(matrix.scores[keep].sum(dtype=np.float64)) for keep in keeps]


def _best(matrix: Uncut) -> float:
    """The importance of as many single weights."""
    (fine,) = best_tiles([matrix.scores], [(1, 1)], matrix.kept)
    return float(matrix.scores[fine].sum(dtype=np.float64))
