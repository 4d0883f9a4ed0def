"""Masks on machines under several numbers of tokens: time, energy, their product, area."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.inputs.workload import Workload
from accel_sim.machines.plausibility import implausible
from accel_sim.pipeline import simulate, simulate_dense
from accel_sim.reports.report import Report
from sparse_formats.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What a reader must know of a pair: of its mask, of its accelerator, and of both together."""

    masks: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One mask on one accelerator, with so many tokens through each matrix.

    dense: the name of the mask that drops nothing of the same matrices. stored: formats with their
    number of matrices. is_resident: weights stay on the chip. needed_share: of the multiplications
    that are issued, those that a kept weight needs; None where there are none. energy_band_j: with
    every row of the tables low, and with every row high.
    """

    mask: str
    accelerator: str
    dense: str
    tokens: int
    density: float | None
    macs: int
    stored: str
    is_resident: bool = False
    needed_share: float | None
    bound_by: str | None
    cycles: int
    latency_s: float
    energy_j: float
    energy_wires_j: float
    energy_band_j: Mapping[str, float]
    area_mm2: float
    notes: Notes = field(default_factory=Notes)

    @property
    def energy_delay_js(self) -> float:
        return self.energy_j * self.latency_s

    @property
    def load(self) -> tuple[int, ...]:
        """What besides mask and accelerator may differ."""
        return (self.tokens,)


def compare(
    workloads: Mapping[str, Workload],
    machines: Mapping[str, Machine] | Sequence[Machine],
    threads: int | None = None,
    tokens: Sequence[int] = (),
    left_out: dict[str, str] | None = None,
) -> Iterator[Pair]:
    """Every mask on every machine: mask by mask, numbers of tokens and machines in their order.

    Behind them, each machine's own dense run of the same matrices, under the name "dense".
    workloads, machines: by the name that they have in the table; a machine without one has its own.
    tokens: in place of those of the workloads. left_out: filled with the machines that a matrix
    does not fit, each with the reason; they get no further pairs. The first is never left out.

    Raises:
        InputError: a matrix does not fit the first machine, or any where `left_out` is not given.
    """
    if not isinstance(machines, Mapping):
        machines = {machine.name: machine for machine in machines}
    dense_names: dict[tuple[object, ...], str] = {}
    dense: dict[tuple[str, str, int], Pair] = {}
    for name, workload in workloads.items():
        for count in tokens or (workload.activations.tokens,):
            activations = replace(workload.activations, tokens=count)
            work = replace(workload, activations=activations)
            for accelerator, machine in machines.items():
                if left_out is not None and accelerator in left_out:
                    continue
                try:
                    report = simulate(work, machine, is_checked=False, threads=threads)
                except InputError as error:
                    if left_out is None or accelerator == next(iter(machines)):
                        raise
                    left_out[accelerator] = str(error)
                    continue
                shapes = tuple((each.rows, each.cols, each.runs) for each in report.layers)
                of_dense = dense_names.setdefault(
                    shapes, f"dense {name}" if dense_names else "dense"
                )
                yield _pair(name, accelerator, of_dense, report, _notes(work, report))
                if (of_dense, accelerator, count) not in dense:
                    report = simulate_dense(work, machine, threads=threads)
                    dense[of_dense, accelerator, count] = _pair(
                        of_dense, accelerator, of_dense, report, Notes()
                    )
    yield from sorted(dense.values(), key=lambda pair: list(dense_names.values()).index(pair.mask))


def _pair(mask: str, accelerator: str, dense: str, report: Report, notes: Notes) -> Pair:
    total, formats = report.total, Counter(layer.format for layer in report.layers)
    issued = total.macs_executed + total.macs_padding
    return Pair(
        mask=mask,
        accelerator=accelerator,
        dense=dense,
        tokens=total.tokens,
        density=total.density,
        macs=report.machine.macs,
        stored=", ".join(
            form if len(formats) == 1 else f"{form} ({count})"
            for form, count in formats.most_common()
        ),
        is_resident=report.machine.dram.resident,
        needed_share=total.macs_executed / issued if issued else None,
        bound_by=total.bound_by,
        cycles=total.cycles,
        latency_s=total.latency_s,
        energy_j=total.energy_j,
        energy_wires_j=total.energy_by_component_j["wires"],
        energy_band_j={case: sum(parts.values()) for case, parts in total.energy_band_j.items()},
        area_mm2=sum(report.area_mm2.values()),
        notes=notes,
    )


def _notes(workload: Workload, report: Report) -> Notes:
    """The notes of a report by what they are about."""
    machine = report.machine
    of_mask = {
        *workload.notes,
        *workload.said_of_density({layer.name: layer.nnz for layer in report.layers}),
        workload.routed,
    }
    of_machine = {machine.note, *implausible(machine)}
    return Notes(
        masks=tuple(note for note in report.notes if note in of_mask),
        accelerators=tuple(note for note in report.notes if note in of_machine),
        pairs=tuple(note for note in report.notes if note not in of_mask | of_machine),
    )
