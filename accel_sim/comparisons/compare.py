"""The grid of masks × machines, each normalised to the first: time, energy, their product, area."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.inputs.workload import Workload
from accel_sim.pipeline import simulate


@dataclass(frozen=True)
class Pair:
    """One mask on one machine. stored: formats with their number of matrices.

    kept_share: of the multiplications that lanes are held for, those of kept weights; None where
    there are none. energy_band_j: with every row of the tables low, and with every row high.
    """

    mask: str
    accelerator: str
    macs: int
    stored: str
    kept_share: float | None
    bound_by: str | None
    cycles: int
    latency_s: float
    energy_j: float
    energy_wires_j: float
    energy_band_j: Mapping[str, float]
    area_mm2: float

    @property
    def energy_delay_js(self) -> float:
        return self.energy_j * self.latency_s

    def as_data(self, first: "Pair") -> dict[str, Any]:
        """As it stands in compare.json, with each quantity over that of the first pair."""
        return {
            **asdict(self),
            "energy_delay_js": self.energy_delay_js,
            "over_first": {
                quantity: _over(getattr(self, quantity), getattr(first, quantity))
                for quantity in QUANTITIES
            },
        }


QUANTITIES = ("latency_s", "energy_j", "energy_delay_js", "area_mm2")
"""What pairs are compared by; less is better."""


def compare(
    workloads: Mapping[str, Workload],
    machines: Sequence[Machine],
    threads: int | None = None,
) -> Iterator[Pair]:
    """Every mask on every machine: mask by mask, machines in their order.

    workloads: by the name that their mask has in the table.

    Raises:
        InputError: a matrix does not fit a machine.
    """
    for name, workload in workloads.items():
        for machine in machines:
            report = simulate(workload, machine, is_checked=False, threads=threads)
            total, formats = report.total, Counter(layer.format for layer in report.layers)
            yield Pair(
                mask=name,
                accelerator=machine.name,
                macs=machine.macs,
                stored=", ".join(
                    form if len(formats) == 1 else f"{form} ({count})"
                    for form, count in formats.items()
                ),
                kept_share=_over(total.macs_executed, total.macs_executed + total.macs_padding),
                bound_by=total.bound_by,
                cycles=total.cycles,
                latency_s=total.latency_s,
                energy_j=total.energy_j,
                energy_wires_j=total.energy_by_component_j["wires"],
                energy_band_j={
                    case: sum(parts.values()) for case, parts in total.energy_band_j.items()
                },
                area_mm2=sum(report.area_mm2.values()),
            )


def _over(above: float, below: float) -> float | None:
    return above / below if below else None
