"""The grid of masks × machines, each normalised to the first: time, energy, their product, area."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from accel_sim.costs.area import machine_area
from accel_sim.dataflows.parameters import CambriconX, Eie, Rcsc, Systolic, TensorCore
from accel_sim.machines.description import WITH_SETS, Accelerator, Machine, Rival
from accel_sim.mask_source import Source
from accel_sim.pipeline import simulate
from accel_sim.reports.report import totals
from accel_sim.workload import Activations
from sparse_formats.errors import InputError

Equal = Literal["as-is", "macs", "area"]
EQUALS: tuple[Equal, ...] = ("as-is", "macs", "area")


@dataclass(frozen=True)
class Pair:
    """One mask on one machine. stored: formats with their number of matrices.

    kept_share: of the multiplications that lanes are held for, those of kept weights; None where
    there are none.
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
    masks: Sequence[tuple[str, Source]],
    machines: Sequence[Machine],
    activations: Activations,
    threads: int | None = None,
) -> Iterator[Pair]:
    """Every mask on every machine: mask by mask, machines in their order.

    Raises:
        InputError: a matrix does not fit a machine.
    """
    for name, source in masks:
        for machine in machines:
            layers = simulate(
                source.matrices(), machine, activations, is_checked=False, threads=threads
            )
            total = totals(layers, machine)
            executed, padding = total["macs_executed"], total["macs_padding"]
            formats = Counter(layer.format for layer in layers)
            yield Pair(
                mask=name,
                accelerator=machine.name,
                macs=machine.macs,
                stored=", ".join(
                    form if len(formats) == 1 else f"{form} ({count})"
                    for form, count in formats.items()
                ),
                kept_share=_over(executed, executed + padding),
                bound_by=total["bound_by"],
                cycles=total["cycles"],
                latency_s=total["latency_s"],
                energy_j=total["energy_j"],
                area_mm2=sum(machine_area(machine).values()),
            )


def made_equal(machines: Sequence[Machine], equal: Equal) -> list[Machine]:
    """The machines with as many MACs, or as much area, as the first one has.

    What is changed is the number of PEs (`with_pes`); buffers, DRAM and clock stay. Of the numbers
    whose MACs or area do not exceed the first machine's, the largest is taken.

    Raises:
        InputError: naming the machine that exceeds them with the fewest PEs already.
    """
    first = machines[0]
    if equal == "as-is":
        return list(machines)
    return [first, *(_fitted(machine, first, equal) for machine in machines[1:])]


def _fitted(machine: Machine, first: Machine, equal: Equal) -> Machine:
    def size(candidate: Machine) -> float:
        if equal == "macs":
            return candidate.macs
        return sum(machine_area(candidate).values())

    limit, step = size(first) * (1 + 1e-12), _step(machine)
    if size(with_pes(machine, step)) > limit:
        raise InputError(
            f"--equal {equal}: {machine.name} has more {equal} than {first.name} already with "
            f"{step} PEs; name another machine first, or change it with a file of your own"
        )
    low, high = 1, 2
    while size(with_pes(machine, high * step)) <= limit:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if size(with_pes(machine, middle * step)) <= limit:
            low = middle
        else:
            high = middle
    return with_pes(machine, low * step)


def _step(machine: Machine) -> int:
    """PEs come in multiples of it: sets are equal."""
    if isinstance(machine, Accelerator):
        return machine.scheduler.sets if machine.scheduler.policy in WITH_SETS else 1
    assert isinstance(machine, Rival)
    array = machine.array
    return array.sets if isinstance(array, Rcsc) and array.policy == "set_associative" else 1


def with_pes(machine: Machine, count: int) -> Machine:
    """The machine with `count` of what its dataflow multiplies to be larger.

    PE rows with mixed-length vectors (the decompressor grows with them) and scalar entries,
    columns of a systolic array, PEs of EIE and Cambricon-X, tokens of a tensor core.
    """
    if isinstance(machine, Accelerator):
        rows, rates = machine.array.pe_rows, machine.decompressor
        return replace(
            machine,
            array=replace(machine.array, pe_rows=count),
            decompressor=replace(
                rates,
                bytes_per_cycle=max(1, rates.bytes_per_cycle * count // rows),
                entries_per_cycle=max(1, rates.entries_per_cycle * count // rows),
            ),
        )
    assert isinstance(machine, Rival)
    match machine.array:
        case Systolic() as array:
            changed = replace(array, cols=count)
        case Rcsc() as array:
            changed = replace(array, pe_rows=count)
        case Eie() | CambriconX() as array:
            changed = replace(array, pes=count)
        case TensorCore() as array:
            changed = replace(array, tokens=count)
    return replace(machine, array=changed)


def _over(above: float, below: float) -> float | None:
    return above / below if below else None
