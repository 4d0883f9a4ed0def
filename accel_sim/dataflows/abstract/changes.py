"""Changes of a machine in one thing, as dataflows name them for advice."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from accel_sim.dataflows.abstract.dataflow import Change


def scaled(words: str, section: str, **factors: float) -> Change:
    """Numbers of one section, each times its factor; impossible where one would not be whole."""

    def change(machine: Any) -> Any:
        part = getattr(machine, section)
        values = {key: factor * getattr(part, key) for key, factor in factors.items()}
        if any(value < 1 or value != int(value) for value in values.values()):
            return None
        whole = {key: int(value) for key, value in values.items()}
        return replace(machine, **{section: replace(part, **whole)})

    return Change(words, change)


def set_to(words: str, section: str, **values: Any) -> Change:
    """Values of one section in place of what they are."""

    def change(machine: Any) -> Any:
        return replace(machine, **{section: replace(getattr(machine, section), **values)})

    return Change(words, change)


def _dram(machine: Any) -> Any:
    faster = 2 * machine.dram.bytes_per_cycle
    return replace(machine, dram=replace(machine.dram, bytes_per_cycle=faster))


AROUND_THE_ARRAY: Mapping[str, Change] = {
    "dram": Change("twice the DRAM bandwidth", _dram),
    "weight_buffer": scaled("weight buffer twice as large", "weight_buffer", bytes=2),
    "activation_buffer": scaled("activation buffer twice as large", "activation_buffer", bytes=2),
    "output": scaled("twice as many words written back in a cycle", "output", words_per_cycle=2),
}
"""What any machine of one array may change, by its short name."""
