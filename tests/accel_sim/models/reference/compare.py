"""A drawn model on both sides: the simulator's report beside the reference."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from accel_sim.models.config import transformer
from accel_sim.models.report import ModelReport, OperatorResult
from accel_sim.models.simulate import Request, simulate_model
from accel_sim.models.weights import MaskedModel
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.models.reference.architecture import architecture
from tests.accel_sim.models.reference.draw import Drawn, keep_of
from tests.accel_sim.models.reference.model import Operator, Reference


@dataclass(frozen=True)
class Sides:
    reference: Reference
    report: ModelReport


def both(drawn: Drawn) -> Sides:
    """Most matrices have a mask.

    Raises:
        InputError: the simulator refuses it.
    """
    model, rng = architecture(drawn.values), random.Random(drawn.seed)
    masks: dict[tuple[str, int | None], Any] = {}
    for weights in model.matrices:
        for layer in [None] if weights.is_once else range(model.layers):
            if rng.random() < (0.3 if weights.is_once else 0.8):
                seed = rng.randint(0, 9999)
                keep = keep_of(seed, weights.rows, weights.cols, drawn.density)
                masks[weights.kind, layer] = keep
    simulated = transformer(drawn.values, "a test")
    named = {
        matrix.name: MaskedMatrix(matrix.name, masks[matrix.kind, matrix.layer], kind=matrix.kind)
        for matrix in simulated.matrices
        if (matrix.kind, matrix.layer) in masks
    }
    assert len(named) == len(masks)
    machine, asked = drawn.machine, drawn.asked
    request: Any = Request(**asdict(asked))
    run = simulate_model(MaskedModel(simulated, named), request, machine, threads=1)
    return Sides(Reference(model, machine, asked, masks), ModelReport(run))


def differences(sides: Sides) -> list[tuple[Any, ...]]:
    """Everything that is not equal: where, what, the reference's value, the simulator's."""
    return [
        (*where, mine, theirs)
        for *where, mine, theirs in _pairs(sides)
        if not _is_equal(mine, theirs)
    ]


def _is_equal(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, float):
        return abs(mine - theirs) <= 1e-9 * abs(mine) + 1e-30
    return mine == theirs


def _pairs(sides: Sides) -> Iterable[tuple[Any, ...]]:
    reference, report = sides.reference, sides.report
    first, *others = reference.steps()
    for phase, steps in {"prefill": [first], "decode": others}.items():
        if steps:
            runs = [reference.step(step) for step in steps]
            yield from _of_phase(phase, runs, report, reference)
    run = report.run
    dense = replace(reference, masks={}, products={})
    bound = replace(reference, leaves_out=True, products={})
    for name, twin, theirs in (("dense", dense, run.dense), ("bound", bound, run.without_pruned)):
        prompt, *decode = [_cycles(twin.step(step)) for step in twin.steps()]
        yield name, "prefill", "cycles", prompt, theirs.prompt
        yield name, "decode", "cycles", tuple(decode), theirs.decode
    memory = dict(report.answer["memory_bytes"])
    del memory["total"]
    yield "memory", reference.memory(), memory


def _cycles(operators: Sequence[Operator]) -> int:
    return sum(operator.cycles for operator in operators)


def _of_phase(
    phase: str, runs: Sequence[Sequence[Operator]], report: ModelReport, reference: Reference
) -> Iterable[tuple[Any, ...]]:
    found = _by_attention(report.operators[phase])
    names = [(some[0].kind if len(some) == 1 else "attention", some[0].layer) for some in found]
    mine = [(operator.kind, operator.layer) for operator in runs[0]]
    yield phase, "operators", mine, names
    if mine != names:
        return
    for theirs, *ours in zip(found, *runs, strict=True):
        where = phase, ours[0].kind, ours[0].layer
        yield *where, "cycles", _cycles(ours), sum(each.cycles for each in theirs)
        if len(theirs) == 3:
            yield *where, "QKᵀ", sum(each.scores for each in ours), theirs[0].cycles
            yield *where, "AV", sum(each.values for each in ours), theirs[2].cycles
        for what, mine_of, theirs_of in (
            ("causes", "causes", "cycles_by_cause"),
            ("bytes", "bytes", "dram_bytes"),
        ):
            counts = _summed(getattr(each, mine_of) for each in ours)
            yield *where, what, counts, _summed(getattr(each, theirs_of) for each in theirs)
        for what, of in (
            ("executed", "macs_executed"),
            ("padding", "macs_padding"),
            ("elements", "elements"),
        ):
            count = sum(getattr(each, what) for each in ours)
            if what == "elements":
                yield *where, what, count, max(getattr(each, of) for each in theirs)
            else:
                yield *where, what, count, sum(getattr(each, of) for each in theirs)
        spent = _summed(each.energy(reference.machine) for each in ours)
        energy = _summed(each.energy_by_component_j for each in theirs)
        for component in {*spent, *energy}:
            joule = float(spent.get(component, 0)), float(energy.get(component, 0))
            yield *where, f"energy of {component}", *joule


def _summed(counts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in counts:
        for key, count in each.items():
            found[key] = found.get(key, 0) + count
    return {key: count for key, count in found.items() if count}


def _by_attention(results: Sequence[OperatorResult]) -> list[list[OperatorResult]]:
    """QKᵀ, softmax and AV of a layer together, others alone."""
    found: list[list[OperatorResult]] = []
    for each in results:
        if each.kind in ("softmax", "AV"):
            found[-1].append(each)
        else:
            found.append([each])
    return found
