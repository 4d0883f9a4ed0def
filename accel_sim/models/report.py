"""What a run of a whole model found out, as data: docs/whole_models.md §6."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from accel_sim.costs.energy import COMPONENTS
from accel_sim.dataflows.registry import causes_of
from accel_sim.machines.load import resolved
from accel_sim.models.attention import AttentionRun
from accel_sim.models.output_check import OutputCheck
from accel_sim.models.phases import OperatorTotal, Phase
from accel_sim.models.simulate import ModelRun, memory_bytes
from accel_sim.models.transformer import cache_bytes
from accel_sim.models.verdict import staying
from accel_sim.models.work import BYTES, Waits, energy, together
from accel_sim.reports.csv_table import csv_text
from accel_sim.reports.figures.waterfall import waterfall
from accel_sim.reports.report import versions

SCHEMA_VERSION = 1

VECTOR = "vector"
"""The cause of cycles in which the vector unit alone works, and the component of its operations."""


@dataclass(frozen=True, kw_only=True)
class OperatorResult:
    """One operator in all steps of a phase, of one layer or of all of them.

    macs: multiplications of a dense operator; macs_executed: that were done. elements: of softmax.
    The fields are the keys of model.json and the columns of operators.csv.
    """

    kind: str
    layer: int | None
    name: str
    cycles: int
    latency_s: float
    macs: int
    macs_executed: int
    macs_padding: int
    elements: int
    cycles_by_cause: Mapping[str, int]
    dram_bytes: Mapping[str, int]
    energy_j: float
    energy_by_component_j: Mapping[str, float]


@dataclass(frozen=True)
class ModelReport:
    """A whole run. mask: where the masks came from; advice: each change with what it comes to.

    output: what the model computes, where that was asked for.
    """

    run: ModelRun
    mask: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    advice: Sequence[Mapping[str, Any]] | None = None
    command: str = ""
    output: OutputCheck | None = None

    @cached_property
    def operators(self) -> dict[str, list[OperatorResult]]:
        """By phase, in order: one for each operator of each layer."""
        return {
            phase.name: [self._result([total]) for total in phase.operators]
            for phase in self.run.phases
        }

    @cached_property
    def by_kind(self) -> dict[str, list[OperatorResult]]:
        """By phase, in order of their first: one for each kind of operator."""
        found = {}
        for phase in self.run.phases:
            kinds: dict[str, list[OperatorTotal]] = {}
            for total in phase.operators:
                kinds.setdefault(total.work.kind, []).append(total)
            found[phase.name] = [self._result(totals) for totals in kinds.values()]
        return found

    def _result(self, totals: Sequence[OperatorTotal]) -> OperatorResult:
        """Of one operator, or of several of one kind."""
        machine = self.run.machine
        work = together([total.work for total in totals])
        waits = Waits.sum(total.waits for total in totals)
        cycles = sum(total.cycles for total in totals)
        one = len(totals) == 1
        spent = energy(work.actions, work.clocked, cycles, waits, machine)
        return OperatorResult(
            kind=work.kind,
            layer=work.layer if one else None,
            name=work.name if one else "",
            cycles=cycles,
            latency_s=cycles / machine.clock.clock_hz,
            macs=work.macs_dense,
            macs_executed=work.executed,
            macs_padding=work.padding,
            elements=work.elements,
            cycles_by_cause=_in_order(
                {**work.causes, "dram": waits.dram, "decoder": waits.decoder},
                waits.writeback,
                self.causes,
            ),
            dram_bytes={kind: work.bytes.get(kind, 0) for kind in BYTES},
            energy_j=sum(spent.values()),
            energy_by_component_j=spent,
        )

    @cached_property
    def causes(self) -> list[str]:
        """Every cause that an operator may have, in its order."""
        return [*causes_of(self.run.machine.dataflow), VECTOR]

    @cached_property
    def phases(self) -> dict[str, dict[str, Any]]:
        """By name: what its operators add up to."""
        found, dense = {}, self.run.dense
        dense = {"prefill": dense.prompt, "decode": sum(dense.decode)}
        for phase in self.run.phases:
            results = self.by_kind[phase.name]
            found[phase.name] = {
                "steps": len(phase.steps),
                "tokens": sum(step.batch * step.tokens for step in phase.steps),
                "cycles": phase.cycles,
                "latency_s": self._seconds(phase.cycles),
                "dense_cycles": dense[phase.name],
                "macs": sum(each.macs for each in results),
                "macs_executed": sum(each.macs_executed for each in results),
                "elements": sum(each.elements for each in results),
                "cycles_by_cause": _ordered(
                    _sums([each.cycles_by_cause for each in results]), self.causes
                ),
                "dram_bytes": _sums([each.dram_bytes for each in results]),
                "energy_j": sum(each.energy_j for each in results),
                "energy_by_component_j": _sums([each.energy_by_component_j for each in results]),
                "attention": _attention(phase),
            }
            found[phase.name]["waterfall"] = _waterfall(found[phase.name])
        return found

    @cached_property
    def answer(self) -> dict[str, Any]:
        """What was asked: times, energy and memory; ratios to the dense twin."""
        run, steps = self.run, self.run.cycles.decode
        decode = self.phases.get("decode")
        mean = sum(steps) / len(steps) if steps else None
        tokens = run.request.batch * len(steps)
        return {
            "time_to_first_token_s": self._seconds(run.cycles.prompt),
            "time_per_output_token_s": None
            if mean is None
            else {
                "first": self._seconds(steps[0]),
                "mean": self._seconds(mean),
                "last": self._seconds(steps[-1]),
            },
            "tokens_per_second": None if not mean else run.request.batch / self._seconds(mean),
            "end_to_end_s": self._seconds(run.cycles.all),
            "prefill_energy_j": self.phases["prefill"]["energy_j"],
            "energy_per_output_token_j": decode["energy_j"] / tokens if decode else None,
            "memory_bytes": self._memory,
            "dense": {
                "time_to_first_token_s": self._seconds(run.dense.prompt),
                "mean_time_per_output_token_s": self._mean(run.dense.decode),
                "weight_bytes": dict(run.dense_weight_bytes),
            },
            "speedup_vs_dense": _ratios(run, run.cycles),
            "most_speedup_by_pruning": _ratios(run, run.without_pruned),
            "layer_weight_ratio": _ratio(
                run.dense_weight_bytes["layers"], run.weight_bytes["layers"]
            ),
            "stays": self._stays,
        }

    @property
    def _stays(self) -> dict[str, list[dict[str, Any]] | None] | None:
        """What is not pruned and takes most of the time; None where nothing is pruned."""
        run = self.run
        masks = run.masked.masks
        if not masks:
            return None
        pruned = frozenset(m.kind for m in run.model.matrices if m.name in masks)
        phases = {"prefill": "prefill", "output_token": "decode"}
        return {
            key: staying(self.by_kind[name], pruned, self.phases[name]["cycles"])
            if name in self.phases
            else None
            for key, name in phases.items()
        }

    @property
    def _memory(self) -> dict[str, int]:
        parts = memory_bytes(self.run)
        return {**parts, "total": sum(parts.values())}

    def _seconds(self, cycles: float) -> float:
        return cycles / self.run.machine.clock.clock_hz

    def _mean(self, steps: Sequence[int]) -> float | None:
        return self._seconds(sum(steps) / len(steps)) if steps else None

    @cached_property
    def all_notes(self) -> tuple[str, ...]:
        """What a reader must know, the idle columns first."""
        run = self.run
        tokens, columns = run.request.batch, run.machine.tokens_at_once
        idle = (
            f"A step of decode has {tokens} {'token' if tokens == 1 else 'tokens'}: "
            f"{columns - tokens} of the {columns} token columns of {run.machine.name} idle."
            if run.request.decode and tokens < columns
            else ""
        )
        waits = any(
            each.kind == "QKᵀ" and each.cycles_by_cause.get("dram")
            for results in self.by_kind.values()
            for each in results
        )
        loads = "The time of QKᵀ has the wait for keys and values from the DRAM." if waits else ""
        return tuple(note for note in (idle, *run.notes, loads, *self.notes) if note)


def _waterfall(phase: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """From multiplications that are left out to the phase's speed-up over its dense twin."""
    steps = waterfall(
        {
            **{key: phase[key] for key in ("cycles", "dense_cycles", "cycles_by_cause")},
            "macs_dense": phase["macs"],
            "macs_executed": phase["macs_executed"],
            "macs_skipped": 0,
        }
    )
    return None if steps is None else [step.as_data() for step in steps]


def _in_order(causes: Mapping[str, int], writeback: int, order: Sequence[str]) -> dict[str, int]:
    """The causes that have cycles; products of attention may have waited for write-back too."""
    found = {**causes, "writeback": causes.get("writeback", 0) + writeback}
    return {cause: found[cause] for cause in order if found.get(cause)}


def _ordered(causes: Mapping[str, int], order: Sequence[str]) -> dict[str, int]:
    return {cause: causes[cause] for cause in order if cause in causes}


def _sums(maps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in maps:
        for key, value in each.items():
            found[key] = found.get(key, 0) + value
    return found


def _attention(phase: Phase) -> list[dict[str, Any]]:
    """How attention ran in the phase's last step, for each window."""
    return [
        {
            "window": window,
            "scores": run.residency,
            "query_block": run.query_block,
            "is_on_chip": run.is_on_chip,
            "hidden_softmax_cycles": _hidden(run),
        }
        for window, run in phase.attention.items()
    ]


def _hidden(run: AttentionRun) -> int:
    """Cycles of softmax that run beside the array, in one layer."""
    return run.softmax.cycles - run.exposed_cycles


def _ratio(above: float, below: float) -> float | None:
    return above / below if below else None


def _ratios(run: ModelRun, cycles: Any) -> dict[str, float | None]:
    """How much faster than the dense twin: the prompt, an output token, and all of it."""
    return {
        "prefill": _ratio(run.dense.prompt, cycles.prompt),
        "output_token": _ratio(sum(run.dense.decode), sum(cycles.decode)),
        "end_to_end": _ratio(run.dense.all, cycles.all),
    }


def as_json(report: ModelReport, timestamp: str | None = None) -> dict[str, Any]:
    """The whole report as JSON-able data; only `timestamp`, now if not given, differs."""
    run = report.run
    model, request = run.model, run.request
    return {
        "schema_version": SCHEMA_VERSION,
        "timestamp": timestamp or datetime.now(UTC).isoformat(timespec="seconds"),
        "command": report.command,
        "versions": versions(),
        "model": {
            **{key: value for key, value in asdict(model).items() if key != "matrices"},
            "layer_weights": model.layer_weights,
            "cache_bytes_per_token": cache_bytes(
                model, 1, request.cache_bits or 8 * run.machine.operand_bytes
            ),
        },
        "request": asdict(request),
        "mask": report.mask,
        "notes": list(report.all_notes),
        "answer": report.answer,
        "phases": {
            name: {
                **phase,
                "by_kind": [asdict(each) for each in report.by_kind[name]],
                "operators": [asdict(each) for each in report.operators[name]],
            }
            for name, phase in report.phases.items()
        },
        "advice": report.advice,
        "output": None if report.output is None else report.output.as_data(),
        "accelerator": resolved(run.machine),
        "peak_macs_per_cycle": run.machine.macs,
    }


def as_csv(report: ModelReport) -> str:
    """operators.csv: one row an operator, layer and phase."""
    causes = report.causes
    nested = {
        "cycles_by_cause": causes,
        "dram_bytes": list(BYTES),
        "energy_by_component_j": [*COMPONENTS, VECTOR],
    }
    plain = [
        *("kind", "layer", "name", "cycles", "latency_s", "macs", "macs_executed"),
        *("macs_padding", "elements", "energy_j"),
    ]
    header = ["phase", *plain, *(f"{key}.{part}" for key in nested for part in nested[key])]
    rows = [
        [
            phase,
            *(getattr(each, key) for key in plain),
            *(getattr(each, key).get(part, 0) for key in nested for part in nested[key]),
        ]
        for phase, operators in report.operators.items()
        for each in operators
    ]
    return csv_text(header, rows)
