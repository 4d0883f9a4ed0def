"""What is compared: the figures of each kind of comparison, in words and with their units."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from accel_sim.reports.number_text import number, quantity

Kind = Literal["products", "model"]
"""Whether single products of weights are compared, or whole models."""


@dataclass(frozen=True)
class Measure:
    """key: of a pair in compare.json; words: for people; header: of a narrow column, with a line
    break where it has two lines. is_rate: more is better.
    """

    key: str
    words: str
    header: str
    unit: str
    is_rate: bool = False
    is_scaled: bool = True

    def text(self, value: float | None) -> str:
        """A value with its unit."""
        if self.is_scaled:
            return quantity(value, self.unit)
        return number(value, ",.2f" if value is None or abs(value) >= 1 else ".3g")


AREA = Measure("area_mm2", "area mm²", "area\nmm²", "mm²", is_scaled=False)

MEASURES: Mapping[Kind, tuple[Measure, ...]] = {
    "products": (
        Measure("latency_s", "time", "time", "s"),
        Measure("energy_j", "energy", "energy", "J"),
        Measure("energy_delay_js", "energy × delay", "EDP", "Js"),
        AREA,
    ),
    "model": (
        Measure("time_to_first_token_s", "time to first token", "TTFT", "s"),
        Measure("time_per_output_token_s", "time per output token", "TPOT", "s"),
        Measure("tokens_per_second", "tokens/s", "tokens\n/ s", "", is_rate=True, is_scaled=False),
        Measure("energy_per_output_token_j", "energy per output token", "energy\na token", "J"),
        Measure("prefill_energy_j", "energy of the prompt", "energy\nprompt", "J"),
        Measure("memory_bytes", "peak memory", "memory", "B"),
        AREA,
    ),
}
"""The most important first."""

DRAWN: Mapping[Kind, tuple[tuple[str, str], ...]] = {
    "products": (("latency_s", "energy_j"),),
    "model": (
        ("time_per_output_token_s", "energy_per_output_token_j"),
        ("time_to_first_token_s", "prefill_energy_j"),
    ),
}
"""Which figures are drawn one over the other: the first two that are there."""

LOADS: Mapping[Kind, Mapping[str, str]] = {
    "products": {"tokens": "tokens"},
    "model": {"batch": "batch", "context": "cached"},
}
"""What may differ besides mask and accelerator: by key, what the table calls it."""
