"""The figures of a whole model's page: its operators, phase by phase, from the report as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.costs.energy import COMPONENTS
from accel_sim.dataflows.registry import causes_of
from accel_sim.models.report import VECTOR
from accel_sim.reports.number_text import share_of
from accel_sim.reports.page_items import (
    Item,
    Part,
    Phase,
    RunFigures,
    cause_parts,
    component_parts,
    kind_styles,
)
from sparse_formats.untrusted import printable

VECTOR_WORDS = "the vector unit works and the array has nothing to do"
DRAM_WORDS = "waiting for weights, keys and values, or embeddings to arrive from the DRAM"
OPERATION_WORDS = "operations of the vector unit"

_VECTOR_COLOUR = "#AA4499"

_COLUMNS = (
    *("short", "kind", "cycles", "share", "latency", "bound", "utilization", "energy", "bytes"),
    "executed",
)


def model_figures(data: Mapping[str, Any]) -> RunFigures:
    """data: the report as JSON."""
    machine = data["accelerator"]
    causes = cause_parts(causes_of(machine["dataflow"]))
    causes = [
        Part(each.key, each.title, DRAM_WORDS if each.key == "dram" else each.words, each.colour)
        for each in causes
    ]
    causes.append(Part(VECTOR, "Vector unit alone", VECTOR_WORDS, _VECTOR_COLOUR))
    components = [*component_parts(), Part(VECTOR, "Vector unit", OPERATION_WORDS, _VECTOR_COLOUR)]
    phases = [
        Phase(
            name,
            causes,
            components,
            _total(phase, causes),
            [_item(each, causes) for each in phase["operators"]],
            phase["steps"],
        )
        for name, phase in data["phases"].items()
    ]
    kinds = [item.kind for phase in phases for item in phase.items]
    return RunFigures(
        ("operator", "operators"),
        machine["clock"]["clock_hz"]["value"],
        data["peak_macs_per_cycle"],
        machine["dram"]["bytes_per_cycle"]["value"],
        _COLUMNS,
        kind_styles(kinds),
        phases,
    )


def _item(each: Mapping[str, Any], causes: Sequence[Part]) -> Item:
    kind, layer = printable(each["kind"]), each["layer"]
    return Item(
        name=printable(each["name"] or each["kind"]),
        short=kind if layer is None else f"{layer} {kind}",
        kind=kind,
        layer=layer,
        executed=each["macs_executed"],
        **_spent(each, causes),
    )


def _total(phase: Mapping[str, Any], causes: Sequence[Part]) -> Item:
    steps = phase["waterfall"]
    return Item(
        name="total",
        short="all operators",
        kind="",
        layer=None,
        executed=phase["macs_executed"],
        dense=phase["dense_cycles"],
        steps=None if steps is None else [tuple(step.values()) for step in steps],
        **_spent(phase, causes),
    )


def _spent(result: Mapping[str, Any], causes: Sequence[Part]) -> dict[str, Any]:
    """What an operator and a phase share."""
    cycles, energy = result["cycles_by_cause"], result["energy_by_component_j"]
    most = max(cycles, key=lambda cause: cycles[cause], default="")
    bound = f"{most.replace('_', ' ')} {share_of(cycles[most], result['cycles'], '.0f')}"
    return {
        "cycles": result["cycles"],
        "causes": [cycles.get(cause.key, 0) for cause in causes],
        "energy": result["energy_j"],
        "parts": [energy.get(key, 0.0) for key in (*COMPONENTS, VECTOR)],
        "bytes": sum(result["dram_bytes"].values()),
        "bound": bound if most and result["cycles"] else "",
    }
