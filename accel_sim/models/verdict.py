"""What pruning gains and what stays of the time, as a sentence for terminal and page."""

from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.reports.number_text import number, share_of

MOST_NAMED = 3
"""Kinds of operators that are named."""

LEAST_SHARE = 0.05
"""Of the time, below which a kind is not named."""


def staying(by_kind: Sequence[Any], pruned: frozenset[str], cycles: int) -> list[dict[str, Any]]:
    """The kinds of operators that are not pruned and take most of a phase's `cycles`.

    by_kind: `OperatorResult` of each kind; pruned: kinds of which some matrix has a mask.
    """
    left = sorted(
        (each for each in by_kind if each.kind not in pruned), key=lambda each: -each.cycles
    )
    return [
        {
            "kind": each.kind,
            "share": each.cycles / cycles,
            "cache_bytes": each.dram_bytes["cache"],
        }
        for each in left[:MOST_NAMED]
        if each.cycles >= LEAST_SHARE * cycles
    ]


def pruning_words(answer: Mapping[str, Any]) -> str:
    """What pruning gains, what it could gain at most, and why; "" where nothing is pruned."""
    gained, most = answer["speedup_vs_dense"], answer["most_speedup_by_pruning"]
    stays, layers = answer["stays"], answer["layer_weight_ratio"]
    if stays is None or layers is None:
        return ""
    said = (
        f"weights of the layers {number(layers)}× smaller: the prompt is "
        f"{number(gained['prefill'])}× as fast as dense (at most {number(most['prefill'])}× if the "
        "pruned products took no time)"
    )
    of = "prefill"
    if gained["output_token"] is not None:
        of = "output_token"
        said += (
            f", an output token {number(gained['output_token'])}× (at most "
            f"{number(most['output_token'])}×)"
        )
    if stays[of]:
        whole = {"prefill": "the prompt", "output_token": "an output token"}[of]
        named = [f"{_words(each)} {share_of(each['share'], 1, '.0f')}" for each in stays[of]]
        said += f", because what is not pruned stays; of {whole} that is {_listed(named)}"
    return f"{said}."


def _words(each: Mapping[str, Any]) -> str:
    return "QKᵀ with the KV cache" if each["cache_bytes"] else each["kind"]


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
