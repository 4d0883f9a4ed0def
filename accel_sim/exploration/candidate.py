"""One point as a run: what `run` or `model` would be told, and what it comes to.

A candidate is small and says all, so that any process can simulate it. What does not depend on
the machine is kept from one candidate to the next.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite, prod
from pathlib import Path
from threading import Lock
from typing import Any

from accel_sim.costs.area import machine_area
from accel_sim.costs.energy import energy_of
from accel_sim.dataflows.abstract.account import LayerRun, together
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.timeline import lay_out_in
from accel_sim.dataflows.mixed_vector.kept import Kept, keeping
from accel_sim.exploration.space import ACCELERATOR_AXIS, NAMED
from accel_sim.inputs.activations import Activations, Layer
from accel_sim.inputs.defaults import ACCELERATOR, DENSITY
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.machines.recipe import as_setting
from accel_sim.models.config import read_model
from accel_sim.models.report import ModelReport
from accel_sim.models.simulate import Request, simulate_model
from accel_sim.models.weights import MaskedModel, generated, masked
from accel_sim.pipeline import each_layer, settled
from accel_sim.reports.results import bound_by
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.synthetic.generate import own_density


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Which matrices, with which masks: those of a file, or generated ones."""

    mask: str | None = None
    shapes: str | None = None
    pattern: str | None = None
    density: float | None = None
    seed: int = 0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate(Weights):
    """A machine and what it is to do; the fields are settings of `run`, or of `model`.

    tokens: through each matrix. prefill: of a prompt, if the whole model is run.
    """

    accelerator: str = ACCELERATOR
    set: tuple[str, ...] = ()
    tokens: int | None = None
    activation_density: float = 1.0
    prefill: int | None = None
    generate: int = 0
    batch: int = 1
    context: int = 0

    @property
    def command(self) -> str:
        """Of `accel_sim`, which runs it."""
        return "run" if self.prefill is None else "model"

    @property
    def weights(self) -> Weights:
        return Weights(**{each.name: getattr(self, each.name) for each in fields(Weights)})

    def settings(self) -> dict[str, Any]:
        """What the command is told: all that differs from a candidate that says nothing."""
        found = {
            each.name: value
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default
        }
        sweeps = {name: [found[name]] for name in ("batch", "context") if name in found}
        return found | sweeps


def candidate_at(base: Candidate, values: Mapping[str, Any], masks: Mapping[str, str]) -> Candidate:
    """The candidate of a point. values: by axis and linked key; masks: the file of each name.

    Generated masks without a density have the one that their pattern says itself.
    """
    weights = {name: values[name] for name in NAMED if name in values}
    if (accelerator := weights.get(ACCELERATOR_AXIS, "")).endswith(".toml"):
        weights[ACCELERATOR_AXIS] = str(Path(accelerator).resolve())
    if "mask" in weights:
        weights["mask"] = masks[weights["mask"]]
    pattern = weights.get("pattern", base.pattern)
    if pattern is not None and weights.get("density", base.density) is None:
        own = own_density(pattern)
        weights["density"] = DENSITY if own is None else own
    chosen = (as_setting(key, value) for key, value in values.items() if key not in NAMED)
    return replace(base, set=(*base.set, *chosen), **weights)


def measured(candidate: Candidate) -> dict[str, Any]:
    """What the candidate comes to, JSON-able, or the reason why it cannot be simulated."""
    try:
        with keeping(_encodings):
            return _measured(candidate)
    except InputError as error:
        _, found, reason = str(error).partition(f" with {', '.join(candidate.set)}: ")
        return {"reason": reason if found else str(error)}


def _measured(candidate: Candidate) -> dict[str, Any]:
    if candidate.prefill is None:
        workload = workload_of(candidate.weights)
        machine = _machine(candidate, workload.is_int8)
        found = _of_matrices(candidate, workload, machine)
    else:
        model = model_of(candidate.weights)
        machine = _machine(candidate, model.is_int8)
        found = _of_model(candidate, candidate.prefill, model, machine)
    latency, energy = found["cycles"] / machine.clock.clock_hz, found["energy_j"]
    if not isfinite(energy * latency):
        raise InputError("its latency or energy is too large for a number of 64 bits")
    return {
        **found,
        "latency_s": latency,
        "energy_delay_js": energy * latency,
        "power_w": energy / latency if latency else 0.0,
        "area_mm2": sum(machine_area(machine).values()),
    }


def _machine(candidate: Candidate, is_int8: bool) -> Machine:
    """The machine, for 8-bit weights as `run` and `model` set it for them."""
    machine = load_machine(candidate.accelerator, candidate.set)
    key = machine.datatype_key
    if not is_int8 or key is None or machine.origins[key].mark == "set":
        return machine
    return load_machine(candidate.accelerator, (*candidate.set, f"{key}=int8"))


def _of_matrices(candidate: Candidate, workload: Workload, machine: Machine) -> dict[str, Any]:
    """Cycles, energy and bound as `run` reports them, without the dense twin."""
    assert candidate.tokens is not None
    activations = Activations(candidate.tokens, candidate.activation_density, candidate.seed)
    workload = replace(workload, activations=activations)
    machine, _ = settled(workload, machine, 1)

    def run(layer: Layer) -> LayerRun:
        inputs = activations.inputs(layer, machine.numbers, is_multiplied=False)
        return machine.run(layer, inputs)

    runs = list(each_layer(run, workload, machine, 1))
    order = workload.order([each.name for each in runs])
    times = lay_out_in(order, runs, machine)
    accounts = [
        machine.account(each, time)
        for each, of_layer in zip(runs, times, strict=True)
        for time in of_layer
    ]
    total = together(accounts)
    return {
        "cycles": sum(time.cycles for of_layer in times for time in of_layer),
        "energy_j": sum(energy_of(total.actions, machine).values()),
        "bound_by": bound_by(total.causes),
        "kept_share": _share(
            sum(each.nnz for each in runs), sum(prod(each.shape) for each in runs)
        ),
    }


def _of_model(
    candidate: Candidate, prefill: int, model: MaskedModel, machine: Machine
) -> dict[str, Any]:
    """Cycles and energy of the whole request, as `model` reports them."""
    request = Request(
        prefill=prefill,
        generate=candidate.generate,
        batch=candidate.batch,
        context=candidate.context,
    )
    report = ModelReport(simulate_model(model, request, machine, threads=1))
    causes: dict[str, int] = {}
    for phase in report.phases.values():
        for cause, cycles in phase["cycles_by_cause"].items():
            causes[cause] = causes.get(cause, 0) + cycles
    return {
        "cycles": report.run.cycles.all,
        "energy_j": sum(phase["energy_j"] for phase in report.phases.values()),
        "bound_by": bound_by(causes),
        "kept_share": _share(
            sum(mask.nnz for mask in model.masks.values()),
            sum(mask.size for mask in model.masks.values()),
        ),
    }


def _share(kept: int, size: int) -> float:
    """Of the weights that have a mask; 1 where none has."""
    return kept / size if size else 1.0


_encodings = Kept(2**29)
"""What was encoded for one machine is stored alike on many others."""

_MOST_KEPT = 2**28
"""Entries of masks that a process keeps, of 1 byte each."""

_kept: OrderedDict[Weights, tuple[int, Workload | MaskedModel]] = OrderedDict()
"""What was read or generated last, and how many entries it has."""

_lock = Lock()
"""A worker of a cluster may simulate on several threads."""


def workload_of(weights: Weights) -> Workload:
    """The matrices, without their weights: only a product would need these.

    Raises:
        InputError: as `Workload.of`, `Workload.generated`.
    """
    with _lock:
        if (known := _known(weights)) is not None:
            assert isinstance(known, Workload)
            return known
        found = _workload(weights)
        if found.weights <= _MOST_KEPT:
            matrices = tuple(_without_weights(found.matrices()))
            found = replace(found, matrices=lambda: iter(matrices))
            _keep(weights, found.weights, found)
        return found


def _workload(weights: Weights) -> Workload:
    if weights.mask is not None:
        return Workload.of(weights.mask, include=weights.include, exclude=weights.exclude)
    assert weights.shapes and weights.pattern and weights.density is not None
    return Workload.generated(
        weights.shapes,
        density=weights.density,
        pattern=weights.pattern,
        seed=weights.seed,
        include=weights.include,
        exclude=weights.exclude,
    )


def model_of(weights: Weights) -> MaskedModel:
    """The model with its masks, without their weights.

    Raises:
        InputError: as `read_model`, `masked`, `generated`.
    """
    with _lock:
        if (known := _known(weights)) is not None:
            assert isinstance(known, MaskedModel)
            return known
        found = _model(weights)
        entries = sum({id(mask): mask.size for mask in found.masks.values()}.values())
        if entries <= _MOST_KEPT:
            _keep(weights, entries, found)
        return found


def _model(weights: Weights) -> MaskedModel:
    if weights.shapes is not None:
        assert weights.pattern and weights.density is not None
        model = read_model(weights.shapes)
        return generated(model, weights.density, weights.pattern, weights.seed, None)
    model = read_model(weights.model or "")
    if weights.mask is None:
        return MaskedModel(model, {})
    workload = _workload(weights)
    return masked(model, _without_weights(workload.matrices()), weights.mask)


def _known(weights: Weights) -> Workload | MaskedModel | None:
    if weights not in _kept:
        return None
    _kept.move_to_end(weights)
    return _kept[weights][1]


def _keep(weights: Weights, entries: int, found: Workload | MaskedModel) -> None:
    """Keep what was found, and drop what has not been used for longest."""
    _kept[weights] = entries, found
    while sum(count for count, _ in _kept.values()) > _MOST_KEPT:
        _kept.popitem(last=False)


def _without_weights(matrices: Iterable[MaskedMatrix]) -> Iterable[MaskedMatrix]:
    """The masks alone; a matrix that is held as its entries stays as it is."""
    for matrix in matrices:
        is_whole = type(matrix) is MaskedMatrix
        yield replace(matrix, weight=None) if is_whole else matrix
