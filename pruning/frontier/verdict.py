"""What a study says: which points are better than the floors, the front, and the best choices.

Two models are compared text by text on the same data. The mean difference has the standard error of
these differences over the texts; where several seeds were run, the spread over seeds is added:

    error² = variance over texts / texts + variance over seeds / seeds (of both sides)

A point counts as better than a floor where it is more than three standard errors better (with few
texts, what is as unlikely by Student's t: one in 740), than the random mask of its sparsity and
than the zeroed model. The bar is that high because a study looks at many points at once.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accel_sim.exploration import pareto
from pruning.frontier.plan import FLOORS
from pruning.frontier.results import Quality, Result

BAR = 0.00135
"""How often chance alone makes a difference of three standard errors (Gauss, one side)."""


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another, in units of the samples, and its error."""

    mean: float
    error: float
    texts: int

    @property
    def is_certain(self) -> bool:
        """Whether it is more than chance."""
        return self.texts > 1 and self.mean > _bar(self.texts) * self.error


@dataclass(frozen=True, eq=False)
class Candidate:
    """A pruned point or the dense model beside the floors and the dense model.

    loss: share of the dense quality that is lost, below 0 where it gained; None where it cannot be
    said. loss_error: its standard error.
    beaten_by: the floor that it cannot be told from; "" where it is better than both, None without
    a measure.
    speedup, saving: dense over this, by machine: of latency, of energy.
    """

    result: Result
    loss: float | None
    loss_error: float | None
    beaten_by: str | None
    speedup: Mapping[str, float]
    saving: Mapping[str, float]

    @property
    def is_dense(self) -> bool:
        return self.result.kind == "dense"

    @property
    def can_be_chosen(self) -> bool:
        """Whether it may be recommended."""
        return not self.beaten_by


@dataclass(frozen=True, eq=False)
class Choice:
    """The fastest candidate within a tolerance on a machine; None where none is faster than dense.

    thriftiest: the one of least energy, where it is another one. nearest: where there is neither,
    the one that loses least of those that are faster or take less energy.
    """

    machine: str
    tolerance: float
    fastest: Candidate | None
    thriftiest: Candidate | None
    nearest: Candidate | None = None

    @property
    def least_energy(self) -> Candidate | None:
        """The one of least energy of those within the tolerance; None where dense takes less."""
        found = self.thriftiest or self.fastest
        return found if found is not None and found.saving[self.machine] > 1 else None


@dataclass(frozen=True, eq=False)
class Best:
    """Of all machines within a tolerance, the fastest and the one of least energy, with what runs
    there; it may be the dense model."""

    tolerance: float
    fastest: tuple[str, Candidate]
    thriftiest: tuple[str, Candidate]


@dataclass(frozen=True, eq=False)
class Verdict:
    """reference: whose quality losses refer to. trained: the dense model that was trained as long
    as the others, if there is training. fronts: by machine, candidates nobody beats. bests: of all
    machines, for each tolerance; none where there is one machine.

    resolution: the loss that the measure can just tell, two standard errors in the median of the
    candidates; None without a measure.
    """

    reference: Result | None
    trained: Result | None
    candidates: tuple[Candidate, ...]
    floors: tuple[Result, ...]
    impossible: tuple[Result, ...]
    fronts: Mapping[str, tuple[Candidate, ...]]
    choices: tuple[Choice, ...]
    bests: tuple[Best, ...]
    resolution: float | None


def judge(results: Sequence[Result], tolerances: Sequence[float]) -> Verdict:
    """The verdict on all results of a study; the dense model is among them."""
    there = [result for result in results if not result.impossible]
    floors = [result for result in there if result.kind in FLOORS]
    dense = next(result for result in there if result.kind == "dense")
    reference = _reference(there)
    spread = _spread(there)
    candidates = tuple(
        _candidate(result, dense, reference, floors, spread)
        for result in there
        if result.kind in ("dense", "pruned")
    )
    machines = list(dense.machines)
    return Verdict(
        reference=reference,
        trained=next((r for r in there if r.kind == "trained dense"), None),
        candidates=candidates,
        floors=tuple(floors),
        impossible=tuple(result for result in results if result.impossible),
        fronts={name: _front(candidates, name) for name in machines},
        choices=tuple(
            _choice(candidates, name, tolerance) for name in machines for tolerance in tolerances
        )
        if reference is not None
        else (),
        bests=tuple(_best_of_all(candidates, machines, tolerance) for tolerance in tolerances)
        if reference is not None and len(machines) > 1
        else (),
        resolution=_resolution(candidates),
    )


def difference(a: Quality, b: Quality, spread: float) -> Difference:
    """How much better `a` is than `b`; spread: variance over seeds, of points that have several."""
    each = a.samples.mean(0) - b.samples.mean(0)
    texts = each.shape[0]
    variance = float(each.var(ddof=1)) / texts if texts > 1 else 0.0
    for side in (a, b):
        seeds = side.samples.shape[0]
        if seeds > 1:
            variance += max(_seed_variance(side), spread) / seeds
    return Difference(float(each.mean()), math.sqrt(variance), texts)


def _reference(results: Sequence[Result]) -> Result | None:
    """The dense model: as it is given, or trained as long as the others, whichever is better."""
    dense = [r for r in results if r.kind in ("dense", "trained dense") and r.quality is not None]
    return max(dense, key=lambda r: r.quality.goodness if r.quality else 0.0, default=None)


def _spread(results: Sequence[Result]) -> float:
    """The variance over seeds, pooled: two or three seeds of one point say little about it."""
    found = [
        _seed_variance(result.quality)
        for result in results
        if result.quality is not None and result.quality.samples.shape[0] > 1
    ]
    return float(np.mean(found)) if found else 0.0


def _seed_variance(quality: Quality) -> float:
    return float(quality.samples.mean(1).var(ddof=1))


def _bar(texts: int) -> float:
    from scipy.stats import t

    return float(t.isf(BAR, texts - 1))


def _candidate(
    result: Result,
    dense: Result,
    reference: Result | None,
    floors: Sequence[Result],
    spread: float,
) -> Candidate:
    loss = error = beaten_by = None
    if result.quality is not None and reference is not None and reference.quality is not None:
        loss, error = _loss(result.quality, reference.quality, spread)
        beaten_by = _beaten_by(result, floors, spread)
    return Candidate(
        result,
        loss,
        error,
        beaten_by,
        {n: dense.machines[n].latency_s / f.latency_s for n, f in result.machines.items()},
        {n: dense.machines[n].energy_j / f.energy_j for n, f in result.machines.items()},
    )


def _loss(quality: Quality, reference: Quality, spread: float) -> tuple[float | None, float | None]:
    """The share of the reference's quality that is lost, and its standard error."""
    own, best = quality.figure, reference.figure
    if own is None or best is None or best <= 0:
        return None, None
    error = difference(quality, reference, spread).error
    if quality.is_lower_better:
        # Samples are logarithms: a small difference is a share.
        return own / best - 1, error * own / best
    return 1 - own / best, error / best


def _beaten_by(result: Result, floors: Sequence[Result], spread: float) -> str:
    """The floor that the result is not certainly better than; "" where there is none."""
    assert result.quality is not None
    for floor in floors:
        if floor.quality is None or floor.sparsity not in (result.sparsity, 1.0):
            continue
        if not difference(result.quality, floor.quality, spread).is_certain:
            return floor.kind
    return ""


def _front(candidates: Sequence[Candidate], machine: str) -> tuple[Candidate, ...]:
    """Those that nobody beats in quality, latency and energy at once; without a measure, those of
    their sparsity, because the sparsest would win."""
    chosen = [c for c in candidates if c.can_be_chosen and machine in c.result.machines]
    if not chosen:
        return ()
    if all(c.result.quality is None for c in chosen):
        at = dict.fromkeys(c.result.sparsity for c in chosen)
        groups = [[c for c in chosen if c.result.sparsity == sparsity] for sparsity in at]
        return tuple(c for group in groups for c in _best(group, machine))
    return _best(chosen, machine)


def _best(chosen: Sequence[Candidate], machine: str) -> tuple[Candidate, ...]:
    rows = [
        (
            0.0 if c.result.quality is None else -c.result.quality.goodness,
            c.result.machines[machine].latency_s,
            c.result.machines[machine].energy_j,
        )
        for c in chosen
    ]
    on_front = pareto.front(np.array(rows, np.float64))
    return tuple(c for c, is_on in zip(chosen, on_front, strict=True) if is_on)


def _choice(candidates: Sequence[Candidate], machine: str, tolerance: float) -> Choice:
    losses = {
        c: c.loss
        for c in candidates
        if not c.is_dense and c.can_be_chosen and c.loss is not None and machine in c.speedup
    }
    within = [c for c, loss in losses.items() if loss <= tolerance]
    faster = [c for c in within if c.speedup[machine] > 1]
    thrifty = [c for c in within if c.saving[machine] > 1]
    fastest = max(faster, key=lambda c: (c.speedup[machine], c.saving[machine]), default=None)
    thriftiest = max(thrifty, key=lambda c: c.saving[machine], default=None)
    if fastest is None and thriftiest is None:
        gaining = [c for c in losses if max(c.speedup[machine], c.saving[machine]) > 1]
        nearest = min(gaining, key=lambda c: losses[c], default=None)
        return Choice(machine, tolerance, None, None, nearest)
    return Choice(machine, tolerance, fastest, None if thriftiest is fastest else thriftiest)


def _best_of_all(
    candidates: Sequence[Candidate], machines: Sequence[str], tolerance: float
) -> Best:
    """The dense model is always one of those to choose from."""
    pairs = [
        (name, c)
        for name in machines
        for c in candidates
        if c.is_dense or (c.can_be_chosen and c.loss is not None and c.loss <= tolerance)
    ]
    return Best(
        tolerance,
        min(pairs, key=lambda pair: pair[1].result.machines[pair[0]].latency_s),
        min(pairs, key=lambda pair: pair[1].result.machines[pair[0]].energy_j),
    )


def _resolution(candidates: Sequence[Candidate]) -> float | None:
    errors = [c.loss_error for c in candidates if c.loss_error is not None and not c.is_dense]
    return 2 * float(np.median(errors)) if errors else None
