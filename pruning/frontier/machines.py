"""A model with its masks on a machine: latency, energy, and the report behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_sim.comparisons.variants import Variant
from pruning.frontier.plan import Point
from pruning.frontier.study import Study
from sparse_formats.files.atomic import json_text, write_text
from sparse_formats.masks.matrix import MaskSet

if TYPE_CHECKING:
    from accel_sim.dataflows.abstract.dataflow import Machine
    from accel_sim.inputs.workload import Workload
    from accel_sim.models.transformer import Transformer
    from accel_sim.models.weights import MaskedModel


@dataclass(frozen=True)
class MachineFigures:
    """Of all that goes through the model. time_to_first_token_s and time_per_token_s: of a request;
    None where single matrices run."""

    latency_s: float
    energy_j: float
    cycles: int
    time_to_first_token_s: float | None = None
    time_per_token_s: float | None = None


@lru_cache(maxsize=256)
def machine_of(variant: Variant) -> "Machine":
    """The accelerator, read once.

    Raises:
        InputError: there is none, or its file is wrong.
    """
    return variant.machine()


def check_drawn(study: Study, point: Point) -> None:
    """Refuse what cannot be drawn for the study's shapes, before it is simulated anywhere.

    Raises:
        InputError: the pattern does not go with these shapes or this density.
    """
    if study.load.request is None:
        _workload(study, point, None)
    else:
        _masked(study, point, None)


def simulated(
    study: Study, point: Point, masks: MaskSet | None, name: str, command: str, folder: Path
) -> MachineFigures:
    """Simulate, and write the report into `folder`.

    masks: None for the dense model, and where masks are drawn. command: that gives the report.

    Raises:
        InputError: a matrix or a request does not fit the machine or the model.
    """
    machine = machine_of(study.variants[name])
    if study.load.request is not None:
        return _whole_model(study, point, masks, machine, command, folder)
    return _matrices(study, point, masks, machine, command, folder)


def _matrices(
    study: Study,
    point: Point,
    masks: MaskSet | None,
    machine: "Machine",
    command: str,
    folder: Path,
) -> MachineFigures:
    """Matrix by matrix, as `accel_sim run` does."""
    from accel_sim.pipeline import simulate, simulate_dense
    from accel_sim.reports.csv_table import as_csv
    from accel_sim.reports.report import as_json
    from accel_sim.reports.run_page import run_page

    workload = _workload(study, point, masks)
    if point.kind == "dense":
        report = simulate_dense(workload, machine, threads=1)
    else:
        report = simulate(workload, machine, is_checked=False, is_drawn=True, threads=1)
    data = as_json(replace(report, command=command))
    write_text(folder / "report.json", json_text(data))
    write_text(folder / "layers.csv", as_csv(report.layers))
    write_text(folder / "report.html", run_page(data, report.pictures, {}))
    total = report.total
    return MachineFigures(total.latency_s, total.energy_j, total.cycles)


def _workload(study: Study, point: Point, masks: MaskSet | None) -> "Workload":
    from accel_sim.inputs.activations import Activations
    from accel_sim.inputs.workload import Workload

    activations = Activations(study.load.tokens)
    if study.shapes is not None:
        recipe = point.recipe
        pattern = {} if recipe is None else {"pattern": recipe.pattern, "seed": recipe.seed}
        density = round(1 - point.sparsity, 9)
        return Workload.generated(study.shapes, activations, density=density, **pattern)
    return Workload.of(_dense_masks(study) if masks is None else masks, activations)


def _dense_masks(study: Study) -> MaskSet:
    """All that is pruned elsewhere, kept."""
    import numpy as np

    from pruning.frontier.masks import source_of
    from sparse_formats.masks.matrix import MaskedMatrix
    from sparse_formats.masks.matrix_names import kind_of

    source = source_of(study)
    return MaskSet(
        tuple(
            MaskedMatrix(
                name, np.broadcast_to(np.True_, source.model[name].shape), None, kind_of(name)
            )
            for name in source.names
        ),
        source.header,
    )


def _whole_model(
    study: Study,
    point: Point,
    masks: MaskSet | None,
    machine: "Machine",
    command: str,
    folder: Path,
) -> MachineFigures:
    """The prompt and each token that is generated, as `accel_sim model` does."""
    from datetime import UTC, datetime

    from accel_sim.models.page import model_page
    from accel_sim.models.report import ModelReport, as_csv, as_json
    from accel_sim.models.simulate import simulate_model

    assert study.load.request is not None
    run = simulate_model(_masked(study, point, masks), study.load.request, machine, threads=1)
    origin: Mapping[str, Any] = {"source": point.name, "sha256": None}
    report = ModelReport(run, mask=origin, command=command)
    data = as_json(report, datetime.now(UTC).isoformat(timespec="seconds"))
    write_text(folder / "model.json", json_text(data))
    write_text(folder / "operators.csv", as_csv(report))
    write_text(folder / "model.html", model_page(data))
    clock = machine.clock.clock_hz
    answer = data["answer"]
    token = answer["time_per_output_token_s"]
    return MachineFigures(
        run.cycles.all / clock,
        sum(phase["energy_j"] for phase in data["phases"].values()),
        run.cycles.all,
        answer["time_to_first_token_s"],
        None if token is None else token["mean"],
    )


def _masked(study: Study, point: Point, masks: MaskSet | None) -> "MaskedModel":
    from accel_sim.models.weights import MaskedModel, generated, masked

    model = _transformer(study.described, study.fingerprint)
    if study.shapes is not None and point.recipe is not None:
        density = round(1 - point.sparsity, 9)
        return generated(model, density, point.pattern, point.seed, None)
    if masks is None:
        return MaskedModel(model, {})
    return masked(model, masks.matrices, "the masks")


@lru_cache(maxsize=2)
def _transformer(name: str, fingerprint: str) -> "Transformer":
    from accel_sim.models.config import read_model

    return read_model(name)
