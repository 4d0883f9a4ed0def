"""What a tensor core may change, for advice."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from accel_sim.dataflows.abstract.changes import AROUND_THE_ARRAY, scaled, set_to
from accel_sim.dataflows.abstract.dataflow import Change
from sparse_formats.errors import InputError


def _with_mode(key: str, mode: tuple[int, ...], name: str) -> Change:
    def change(machine: Any) -> Any:
        modes = getattr(machine.array, key)
        if mode in modes:
            return None
        return replace(machine, array=replace(machine.array, **{key: (*modes, mode)}))

    return Change(f"{name} as a further mode", change)


def _where_possible(words: str, **values: Callable[[Any], Any]) -> Change:
    """Values of the array from what they are; impossible where its modes cannot use them."""

    def change(machine: Any) -> Any:
        new = {key: value(getattr(machine.array, key)) for key, value in values.items()}
        array = replace(machine.array, **new)
        try:
            array.check()
        except InputError:
            return None
        return replace(machine, array=array)

    return Change(words, change)


CHANGES: Mapping[str, Change] = {
    **AROUND_THE_ARRAY,
    "2:4": _with_mode("modes", (2, 4), "2:4"),
    "1:4": _with_mode("modes", (1, 4), "1:4"),
    "vector_wise": set_to(
        "the most that any 16 inputs keep as a further mode", "array", vector_length=16
    ),
    "hierarchical": _with_mode("hierarchical_modes", (4, 8, 2, 4), "4:8 groups of 2:4"),
    "terms": _where_possible("a further term in the sums of modes", terms=lambda terms: terms + 1),
    "dense_blocks": _where_possible(
        "blocks of outputs that run dense beside others in a mode", dense_blocks=lambda _: True
    ),
    "strip": scaled("accumulators for twice as many outputs", "array", strip_outputs=2),
    "more_slots": scaled(
        "twice the slots for half as many tokens, with as many MACs", "array", slots=2, tokens=0.5
    ),
    "more_tokens": scaled(
        "half the slots for twice as many tokens, with as many MACs", "array", slots=0.5, tokens=2
    ),
    "more_outputs": scaled(
        "twice the outputs for half as many tokens, with as many MACs",
        "array",
        outputs=2,
        tokens=0.5,
    ),
    "fewer_outputs": scaled(
        "half the outputs for twice as many tokens, with as many MACs",
        "array",
        outputs=0.5,
        tokens=2,
    ),
}
"""What would help, by its short name, in the order in which ties are broken."""
