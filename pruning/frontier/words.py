"""The verdict in sentences."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from accel_sim.reports.number_text import quantity
from pruning.frontier.results import Quality, Result
from pruning.frontier.verdict import Best, Candidate, Choice, Verdict

_PATTERNS = {
    "fine": "single weights",
    "mvp": "mixed-length vectors",
    "mvp_tiled": "mixed-length vectors by tile",
    "vector": "vectors",
    "block": "blocks",
    "vector_wise": "vector-wise",
    "two_level": "two-level slots",
    "lane_select": "lane select",
}

_N_M = {
    "hierarchical_n_m": "{0}:{1} groups of {2}:{3}",
    "sum_n_m": "{0}:{1} + {2}:{3}",
    "n_m_or_dense": "{0}:{1} beside dense rows",
}

DECIMALS = {"per_token": 2, "f1": 4, "accuracy": 4, "pearson": 4}


def pattern_words(pattern: str) -> str:
    """A pattern as people say it: "vectors of 8"."""
    name, *numbers = pattern.split(":")
    if name in _N_M:
        return _N_M[name].format(*numbers)
    if name not in _PATTERNS:
        return pattern
    words = _PATTERNS[name]
    if not numbers:
        return words
    sides = numbers * 2 if name == "block" and len(numbers) == 1 else numbers
    return f"{words} of {'×'.join(sides)}"


def result_words(result: Result) -> str:
    """A result as people say it: "vectors of 8 at 70 %"."""
    if result.kind == "pruned":
        return f"{pattern_words(result.pattern)} at {percent(result.sparsity)}"
    if result.kind == "random mask":
        return f"random mask at {percent(result.sparsity)}"
    return {"trained dense": "dense, trained as long"}.get(result.kind, result.kind)


def percent(share: float) -> str:
    """0.7 → "70 %"."""
    return f"{100 * share:.3g} %"


def figure_words(quality: Quality | None) -> str:
    """The main figure of a measure."""
    if quality is None:
        return "–"
    value = quality.figure
    if value is None:
        return "beyond"
    return f"{value:.{DECIMALS.get(quality.main, 3)}f}" if abs(value) < 1e6 else f"{value:.3g}"


def measure_words(quality: Quality) -> str:
    """What the main figure is."""
    return {"per_token": "perplexity per token", "f1": "F1", "pearson": "Pearson correlation"}.get(
        quality.main, quality.main
    )


def sentences(verdict: Verdict) -> tuple[str, ...]:
    """The verdict, the most important first."""
    if verdict.reference is None:
        return tuple(_without_quality(verdict))
    groups: list[list[Choice]] = []
    for choice in verdict.choices:
        if groups and _is_alike(groups[-1][-1], choice):
            groups[-1].append(choice)
        else:
            groups.append([choice])
    return (*(_choice(group) for group in groups), *_bests(verdict.bests))


def notes(verdict: Verdict) -> tuple[str, ...]:
    """What a reader must know besides."""
    return tuple(_notes(verdict))


def _is_alike(one: Choice, other: Choice) -> bool:
    """Whether two tolerances lead to the same choice on one machine."""
    return (one.machine, one.fastest, one.thriftiest) == (
        other.machine, other.fastest, other.thriftiest
    )  # fmt: skip


def _choice(choices: Sequence[Choice]) -> str:
    """The sentence of a choice; that of several tolerances is said once."""
    choice = choices[0]
    within = f"{_within([each.tolerance for each in choices])} on {choice.machine}"
    if choice.fastest is None:
        other = choice.thriftiest
        if other is None:
            return (
                f"{within}: nothing that can be recommended is faster than dense or takes less "
                f"energy{_nearest(choice)}."
            )
        return (
            f"{within}: nothing that can be recommended is faster than dense; "
            f"{result_words(other.result)} takes {other.saving[choice.machine]:.1f}× less energy."
        )
    text = f"{within}: {result_words(choice.fastest.result)}, {_gains(choice.fastest, choice)}"
    if choice.thriftiest is not None:
        text += (
            f"; least energy: {result_words(choice.thriftiest.result)}, "
            f"{_gains(choice.thriftiest, choice)}"
        )
    return f"{text}."


def _within(tolerances: Sequence[float]) -> str:
    """Within 1, 2 and 5 % of dense."""
    shares = [f"{100 * each:.3g}" for each in tolerances]
    listed = ", ".join(shares[:-1]) + f" and {shares[-1]}" if len(shares) > 1 else shares[0]
    return f"Within {listed} % of dense"


def _bests(bests: Sequence[Best]) -> Iterator[str]:
    """Which of all machines is best; that of several tolerances is said once."""
    for _, group in groupby(bests, key=lambda best: (best.fastest, best.thriftiest)):
        same = list(group)
        (machine, fastest), (other, thriftiest) = same[0].fastest, same[0].thriftiest
        latency = quantity(fastest.result.machines[machine].latency_s, "s")
        energy = quantity(thriftiest.result.machines[other].energy_j, "J")
        yield (
            f"{_within([each.tolerance for each in same])}, of all machines: {machine} is fastest, "
            f"with {_run(fastest)} in {latency}; {other} takes least energy, with "
            f"{_run(thriftiest)} for {energy}."
        )


def _run(candidate: Candidate) -> str:
    return "the dense model" if candidate.is_dense else result_words(candidate.result)


def _nearest(choice: Choice) -> str:
    """What loses least of what gains something, where nothing is within the tolerance."""
    nearest = choice.nearest
    if nearest is None or nearest.loss is None:
        return ""
    return (
        f"; beyond that the least loss is that of {result_words(nearest.result)}: "
        f"{percent(nearest.loss)}, {_gains(nearest, choice)}"
    )


def _gains(candidate: Candidate, choice: Choice) -> str:
    speedup, saving = candidate.speedup[choice.machine], candidate.saving[choice.machine]
    return f"{_times(speedup, 'faster', 'slower')}, {_times(saving, 'less', 'more')} energy"


def _times(ratio: float, better: str, worse: str) -> str:
    return f"{ratio:.1f}× {better}" if ratio >= 1 else f"{1 / ratio:.1f}× {worse}"


def _without_quality(verdict: Verdict) -> Iterator[str]:
    """The fastest and the thriftiest pattern at each sparsity, where nothing was measured."""
    for machine, front in verdict.fronts.items():
        for sparsity in dict.fromkeys(c.result.sparsity for c in front if not c.is_dense):
            at = [c for c in front if c.result.sparsity == sparsity]
            fastest = max(at, key=lambda c: c.speedup[machine])
            thriftiest = max(at, key=lambda c: c.saving[machine])
            figures = fastest.result.machines[machine]
            said = (
                f"At {percent(sparsity)} on {machine} the fastest are "
                f"{pattern_words(fastest.result.pattern)}: "
                f"{quantity(figures.latency_s, 's')}, {fastest.speedup[machine]:.1f}× as fast as "
                f"dense, with {fastest.saving[machine]:.1f}× less energy"
            )
            if thriftiest is not fastest:
                said += (
                    f"; the least energy take {pattern_words(thriftiest.result.pattern)}, "
                    f"{thriftiest.saving[machine]:.1f}× less"
                )
            yield f"{said}."


def _notes(verdict: Verdict) -> Iterator[str]:
    reference = verdict.reference
    if reference is None or reference.quality is None:
        yield (
            "Quality was not measured: the masks were drawn for these shapes, and belong to no "
            "model. Compare patterns at the same sparsity only."
        )
    else:
        yield (
            f"Quality is the {measure_words(reference.quality)}, "
            f"{'lower' if reference.quality.is_lower_better else 'higher'} is better. Losses refer "
            f"to {result_words(reference)}: {figure_words(reference.quality)}."
        )
        alike = [c for c in verdict.candidates if c.beaten_by and not c.is_dense]
        yield (
            "A point is recommended only where it is better than the random mask of its sparsity "
            "and than the zeroed model by more than three standard errors of the difference text "
            f"by text. {_marked(len(alike), len(verdict.candidates) - 1)}"
        )
        if verdict.resolution is not None:
            texts = reference.quality.samples.shape[1]
            yield (
                f"With these {texts} texts the loss of a point is known to about "
                f"± {percent(verdict.resolution)} (two standard errors, in the median)."
            )
    where = "these shapes" if reference is None else "this model"
    for result in verdict.impossible:
        yield f"{result_words(result)} cannot be on {where}: {result.impossible}"


def _marked(alike: int, points: int) -> str:
    if not alike:
        return f"All {points} points are."
    return f"{alike} of {points} points are not, and are marked."
