"""What would help a whole model: each change simulated anew, with what repeats it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.machines.recipe import as_flags, settings_between
from accel_sim.models.simulate import ModelRun, Request, simulate_model
from accel_sim.models.weights import MaskedModel, with_head


@dataclass(frozen=True)
class ModelAdvice:
    """A change; the run with it, and the run without it. recipe: flags that repeat it."""

    key: str
    change: str
    recipe: str
    changed: ModelRun
    before: ModelRun

    @property
    def difference(self) -> dict[str, float | None]:
        """Of the prompt and of an output token of a request, as shares; negative is faster.

        Of a larger batch, the time of a token is divided by the requests that share it.
        """
        pairs = {
            "prefill": [each.cycles.prompt for each in (self.changed, self.before)],
            "output_token": [_mean(each) for each in (self.changed, self.before)],
        }
        batches = self.changed.request.batch, self.before.request.batch
        return {
            key: None
            if after is None or not before
            else after / batches[0] * batches[1] / before - 1
            for key, (after, before) in pairs.items()
        }

    def as_data(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "key": self.key,
            "change": self.change,
            "recipe": self.recipe,
            "difference": self.difference,
            "prefill_cycles": self.changed.cycles.prompt,
            "mean_output_token_cycles": _mean(self.changed),
        }


def advise(run: ModelRun, head: tuple[str, int] | None, threads: int | None) -> list[ModelAdvice]:
    """The changes that can be made, those first that shorten the whole request most.

    head: pattern and seed of a mask for a head that has none.
    """
    found = []
    for key, words, changed in _changes(run, head):
        recipe, masked, request, machine = changed()
        after = simulate_model(masked, request, machine, threads=threads)
        found.append(ModelAdvice(key, words, recipe, after, run))
    return sorted(found, key=lambda each: each.changed.cycles.all / each.changed.request.batch)


_Changed = tuple[str, MaskedModel, Request, Machine]


def _changes(
    run: ModelRun, head: tuple[str, int] | None
) -> list[tuple[str, str, Callable[[], _Changed]]]:
    masked, request, machine = run.masked, run.request, run.machine

    def of_machine(**sections: Any) -> Callable[[], _Changed]:
        changed = replace(machine, **sections)
        flags = as_flags(settings_between(machine, changed))
        return lambda: (flags, masked, request, changed)

    def of_request(flags: str, **values: Any) -> Callable[[], _Changed]:
        return lambda: (flags, masked, replace(request, **values), machine)

    lanes, bandwidth = 2 * machine.vector.elements_per_cycle, 2 * machine.dram.bytes_per_cycle
    found = [
        (
            "vector_lanes",
            "twice the lanes of the vector unit",
            of_machine(vector=replace(machine.vector, elements_per_cycle=lanes)),
        ),
        (
            "bandwidth",
            "twice the DRAM bandwidth",
            of_machine(dram=replace(machine.dram, bytes_per_cycle=bandwidth, memory=None))
            if machine.dram.memory is None
            else of_machine(dram=replace(machine.dram, bytes_per_cycle=bandwidth)),
        ),
    ]
    bits = request.cache_bits or 8 * machine.operand_bytes
    if run.model.is_causal and bits > 8:
        found.append(
            ("cache", "the KV cache in 8 bits", of_request("--cache-bits 8", cache_bits=8))
        )
    if request.decode:
        batch = 2 * request.batch
        found.append(
            (
                "batch",
                "twice the requests at once, each time divided by them",
                of_request(f"--batch {batch}", batch=batch),
            )
        )
    dense_head = [m for m in run.model.matrices if m.kind == "head" and m.name in masked.dense]
    if head is not None and dense_head and masked.masks:
        density = round(_density(masked), 3)
        pattern, seed = head
        found.append(
            (
                "head",
                f"a head pruned like the layers, {density:g} of it kept",
                lambda: (
                    f"--head-density {density:g}",
                    with_head(masked, density, pattern, seed),
                    request,
                    machine,
                ),
            )
        )
    return found


def _density(masked: MaskedModel) -> float:
    kept = sum(mask.nnz for mask in masked.masks.values())
    return kept / sum(mask.size for mask in masked.masks.values())


def _mean(run: ModelRun) -> float | None:
    steps = run.cycles.decode
    return sum(steps) / len(steps) if steps else None
