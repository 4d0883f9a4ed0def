"""A cycle-level simulator of TF-MVP-style sparse transformer accelerators."""

TYPE_CHECKING = False  # True for type checkers; importing typing would load it

if TYPE_CHECKING:
    from accel_sim.comparisons.advice import advise
    from accel_sim.comparisons.compare import compare
    from accel_sim.comparisons.equal_size import made_equal
    from accel_sim.dataflows.abstract.dataflow import Machine
    from accel_sim.inputs.activations import Activations
    from accel_sim.inputs.activations_file import read_activations
    from accel_sim.inputs.workload import Workload
    from accel_sim.machines.builtin import builtin_accelerators
    from accel_sim.machines.load import load_machine
    from accel_sim.pipeline import simulate
    from accel_sim.reports.report import Report
    from accel_sim.reports.results import LayerResult
    from sparse_formats.files.mask_file import read_masks

__all__ = [
    "Activations",
    "LayerResult",
    "Machine",
    "Report",
    "Workload",
    "advise",
    "builtin_accelerators",
    "compare",
    "load_machine",
    "made_equal",
    "read_activations",
    "read_masks",
    "simulate",
]

_HOMES = {
    "Activations": "accel_sim.inputs.activations",
    "LayerResult": "accel_sim.reports.results",
    "Machine": "accel_sim.dataflows.abstract.dataflow",
    "Report": "accel_sim.reports.report",
    "Workload": "accel_sim.inputs.workload",
    "advise": "accel_sim.comparisons.advice",
    "builtin_accelerators": "accel_sim.machines.builtin",
    "compare": "accel_sim.comparisons.compare",
    "load_machine": "accel_sim.machines.load",
    "made_equal": "accel_sim.comparisons.equal_size",
    "read_activations": "accel_sim.inputs.activations_file",
    "read_masks": "sparse_formats.files.mask_file",
    "simulate": "accel_sim.pipeline",
}
"""The module of each public name."""


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
