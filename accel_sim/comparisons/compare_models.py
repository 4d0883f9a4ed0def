"""Whole models on machines: time to first token and per output token, energy, memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accel_sim.comparisons.compare import Notes
from accel_sim.costs.area import machine_area
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.machines.plausibility import implausible
from accel_sim.models.report import ModelReport
from accel_sim.models.simulate import Request, simulate_model
from accel_sim.models.transformer import Transformer
from accel_sim.models.weights import MaskedModel


@dataclass(frozen=True, kw_only=True)
class ModelPair:
    """One model with its masks on one accelerator, with so many requests behind so many tokens.

    dense: the name of the model without masks. density: of the weights of its layers. bound_by: the
    cause with most cycles in the prompt, and in decode where there is any.
    """

    mask: str
    accelerator: str
    dense: str
    batch: int
    context: int
    density: float
    macs: int
    bound_by: str
    time_to_first_token_s: float
    time_per_output_token_s: float | None
    tokens_per_second: float | None
    end_to_end_s: float
    energy_per_output_token_j: float | None
    prefill_energy_j: float
    memory_bytes: int
    area_mm2: float
    notes: Notes = field(default_factory=Notes)

    @property
    def load(self) -> tuple[int, ...]:
        """What besides mask and accelerator may differ."""
        return self.batch, self.context


def compare_models(
    models: Mapping[str, MaskedModel],
    machines: Mapping[str, Machine],
    requests: Sequence[Request],
    threads: int | None = None,
) -> Iterator[ModelPair]:
    """Every model on every machine: model by model, requests and machines in their order.

    Behind them, each machine's own run of the model without masks, under the name "dense".
    models, machines: by the name that they have in the table.

    Raises:
        InputError: what `simulate_model` refuses.
    """
    dense: dict[Transformer, str] = {}
    for name, masked in models.items():
        plain = _without_masks(masked)
        dense.setdefault(plain.model, f"dense {name}" if dense else "dense")
    unmasked = {name: MaskedModel(model, {}) for model, name in dense.items()}
    for name, masked in {**models, **unmasked}.items():
        of_dense = dense[_without_masks(masked).model]
        if name != of_dense and not masked.masks:
            continue  # given without masks: it is the dense run itself
        for request in requests:
            for accelerator, machine in machines.items():
                run = simulate_model(masked, request, machine, threads=threads)
                yield _pair(name, accelerator, of_dense, ModelReport(run))


def _without_masks(masked: MaskedModel) -> MaskedModel:
    return MaskedModel(masked.model, {})


def _pair(mask: str, accelerator: str, dense: str, report: ModelReport) -> ModelPair:
    answer, run = report.answer, report.run
    times: Mapping[str, Any] = answer["time_per_output_token_s"] or {}
    machine = run.machine
    own = {machine.note, *implausible(machine)}
    of_mask = set(run.masked.notes) if mask != dense else set()
    bound = [
        max(causes, key=lambda cause: causes[cause])
        for phase in report.phases.values()
        if (causes := phase["cycles_by_cause"])
    ]
    return ModelPair(
        mask=mask,
        accelerator=accelerator,
        dense=dense,
        batch=run.request.batch,
        context=run.request.context,
        density=_density(run.masked),
        macs=machine.macs,
        bound_by=", ".join(dict.fromkeys(bound)),
        time_to_first_token_s=answer["time_to_first_token_s"],
        time_per_output_token_s=times.get("mean"),
        tokens_per_second=answer["tokens_per_second"],
        end_to_end_s=answer["end_to_end_s"],
        energy_per_output_token_j=answer["energy_per_output_token_j"],
        prefill_energy_j=answer["prefill_energy_j"],
        memory_bytes=answer["memory_bytes"]["total"],
        area_mm2=sum(machine_area(machine).values()),
        notes=Notes(
            masks=tuple(note for note in report.all_notes if note in of_mask),
            accelerators=tuple(note for note in report.all_notes if note in own),
            pairs=tuple(note for note in report.all_notes if note not in own | of_mask),
        ),
    )


def _density(masked: MaskedModel) -> float:
    """Kept share of the weights of the layers' matrices."""
    layers = [m for m in masked.model.matrices if m.layer is not None]
    kept = sum(
        masked.masks[m.name].nnz if m.name in masked.masks else m.rows * m.cols for m in layers
    )
    return kept / sum(m.rows * m.cols for m in layers)
