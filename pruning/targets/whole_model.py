"""A whole transformer on a machine, of which some matrices are pruned: prompt to last token."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.loads import resident_bytes
from accel_sim.models.attention import AttentionUnit
from accel_sim.models.config import transformer
from accel_sim.models.phases import ModelRunner, Phase
from accel_sim.models.report import ModelReport
from accel_sim.models.simulate import Request, encodings_of, jobs_of, simulate_model
from accel_sim.models.weights import MaskedModel, WeightProducts, masked
from accel_sim.models.work import energy
from pruning.targets.machine import Product, System
from pruning.targets.settings import Measure
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet


class WholeModel(System):
    """The transformer of `config`, as `accel_sim model` has it.

    config: what its config.json says. shapes: of the matrices that are pruned, by name.

    Raises:
        InputError: a family that the simulator does not know; a matrix that it does not have.
    """

    def __init__(
        self,
        machine: Machine,
        measure: Measure,
        shapes: Mapping[str, tuple[int, int]],
        config: Mapping[str, Any],
        request: Request,
        where: str,
    ) -> None:
        super().__init__(machine, measure)
        self._shapes, self._request, self._where = shapes, request, where
        self._bare = transformer(config, where)
        whole = [
            MaskedMatrix.from_array(n, np.broadcast_to(np.True_, s)) for n, s in shapes.items()
        ]
        found = masked(self._bare, whole, where)
        self._model = found.model
        self._names = {mask.name: name for name, mask in found.masks.items()}
        steps = [request.prompt, *request.decode]
        self._jobs = jobs_of(self._model, [request.prompt, *request.decode[:1]])
        self._times = Counter(
            (matrix.name, tokens)
            for step in steps
            for matrix, tokens in jobs_of(self._model, [step])
        )
        own = set(self._names.values())
        rest = [job for job in self._jobs if job[0].name not in own]
        self._rest = WeightProducts(machine).run(rest, {}, None)
        self._loaded_rest = WeightProducts(self._loading).run(rest, {}, None)

    def products(self, matrix: MaskedMatrix) -> list[tuple[Product, float]]:
        own = self._names.get(matrix.name)
        return [
            (self._product(matrix, tokens), times)
            for (name, tokens), times in self._times.items()
            if name == own
        ]

    def whole(self, products: Sequence[Sequence[tuple[Product, float]]]) -> float:
        of_each = {
            self._names[name]: some
            for name, some in zip(self._shapes, products, strict=True)
            if name in self._names
        }
        machine, runs = self.machine, {**self._rest}
        runs |= {(n, p.tokens): p.given.run for n, some in of_each.items() for p, _ in some}
        if machine.dram.resident and not self._fit(runs):
            machine, runs = self._loading, {**self._loaded_rest}
            runs |= {(n, p.tokens): p.loaded.run for n, some in of_each.items() for p, _ in some}
        bits = 8 * machine.operand_bytes
        attention = AttentionUnit(self._model, machine, self._request.scores, bits)
        runner = ModelRunner(self._model, machine, runs, attention)
        request = self._request
        if self.measure == "latency":
            cycles = sum(runner.cycles([request.prompt, *request.decode]))
            return cycles / machine.clock.clock_hz
        phases = [runner.phase("prefill", [request.prompt])]
        phases += [runner.phase("decode", request.decode)] if request.decode else []
        return sum(_joules(phase, machine) for phase in phases)

    @cached_property
    def dense(self) -> float:
        found = simulate_model(MaskedModel(self._model, {}), self._request, self.machine)
        return found.dense.all / self.machine.clock.clock_hz

    def simulated(self, masks: MaskSet) -> float:
        found = masked(self._bare, masks.matrices, self._where)
        run = simulate_model(found, self._request, self.machine)
        if self.measure == "latency":
            return run.cycles.all / self.machine.clock.clock_hz
        return sum(phase["energy_j"] for phase in ModelReport(run).phases.values())

    def _fit(self, runs: Mapping[tuple[str, int], LayerRun]) -> bool:
        """Whether the weights of all matrices stay on the chip together."""
        every = (run for some in encodings_of(dict(runs)).values() for run in some)
        return sum(map(resident_bytes, every)) <= self.machine.weight_buffer.bytes


def _joules(phase: Phase, machine: Machine) -> float:
    """The energy of a phase."""
    return sum(
        sum(energy(each.work.actions, each.work.clocked, each.cycles, each.waits, machine).values())
        for each in phase.operators
    )
