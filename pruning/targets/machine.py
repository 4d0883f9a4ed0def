"""What the matrices cost on an accelerator: each of them at the margin, and all of them together.

The cost of a matrix is *marginal*: what three copies of it take one after the other, less what two
take. Weights are loaded ahead while others are multiplied, so matrices simulated alone add up to
more than the model takes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from accel_sim.costs.energy import energy_of
from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.loads import resident_bytes
from accel_sim.dataflows.abstract.timeline import Segment, alone, lay_out, segment_of
from accel_sim.inputs.activations import Activations, Inputs, Layer
from accel_sim.inputs.workload import Workload
from accel_sim.pipeline import simulate
from pruning.targets.settings import Measure
from sparse_formats.masks.execution import Execution, tokens_of
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet


@dataclass(frozen=True, eq=False)
class Placed:
    """One product on one machine: its place on the time line, and its energy without leakage.

    needed_bytes: that its weights take if they stay on the chip.
    """

    run: LayerRun
    segment: Segment
    joules: float
    needed_bytes: int


@dataclass(frozen=True, eq=False)
class Product:
    """A masked matrix, run for some tokens.

    loaded: as it runs where the weights do not stay on the chip; the same where they never do.
    """

    tokens: int
    given: Placed
    loaded: Placed

    @property
    def lane_groups(self) -> int:
        """Into how many groups the lanes are divided for it."""
        return self.given.run.lane_groups


class System(ABC):
    """A machine with what it runs. measure: what costs are of, seconds or joules.

    names: of the matrices that are pruned, in the order in which they run.
    """

    def __init__(self, machine: Machine, measure: Measure) -> None:
        self.machine = machine
        self.measure: Measure = measure
        self._loading = replace(machine, dram=replace(machine.dram, resident=False))

    @abstractmethod
    def products(self, matrix: MaskedMatrix) -> list[tuple[Product, float]]:
        """The products of a matrix, and how often each is run.

        Raises:
            InputError: the matrix does not fit the machine.
        """

    @abstractmethod
    def whole(self, products: Sequence[Sequence[tuple[Product, float]]]) -> float:
        """What all matrices take together; `products` of each, in order."""

    @cached_property
    @abstractmethod
    def dense(self) -> float:
        """What the unpruned model takes, in seconds."""

    @abstractmethod
    def simulated(self, masks: MaskSet) -> float:
        """What the simulator's own command says of these masks."""

    def marginal(self, products: Sequence[tuple[Product, float]]) -> float:
        """What one more copy of the matrix takes among others: three copies less two."""
        total = 0.0
        for product, times in products:
            placed = product.given
            two, three = (lay_out([placed.segment] * n, self.machine)[-1].end for n in (2, 3))
            total += times * self._amount(three - two, placed.joules)
        return total

    def _amount(self, cycles: float, joules: float) -> float:
        """Seconds, or joules with the leakage of so many cycles."""
        if self.measure == "latency":
            return cycles / self.machine.clock.clock_hz
        return joules + self._leakage * cycles

    def _product(self, matrix: MaskedMatrix, tokens: int) -> Product:
        given = self._placed(matrix, tokens, self.machine)
        is_resident = self.machine.dram.resident
        loaded = self._placed(matrix, tokens, self._loading) if is_resident else given
        return Product(tokens, given, loaded)

    def _placed(self, matrix: MaskedMatrix, tokens: int, machine: Machine) -> Placed:
        run = machine.run(Layer(0, matrix, tokens), Inputs(tokens, None, None))
        joules = 0.0
        if self.measure == "energy":
            actions = machine.account(run, alone(run, machine)).actions
            joules = sum(energy_of({**actions, "leaking_cycles": 0}, machine).values())
        needed = resident_bytes(run) if machine.dram.resident else 0
        return Placed(run, segment_of(run, machine), joules, needed)

    @cached_property
    def _leakage(self) -> float:
        """Joules that a cycle leaks."""
        return sum(energy_of({"leaking_cycles": 1}, self.machine).values())

    def _stay(self, products: Sequence[Product]) -> bool:
        """Whether the weights of all of them stay on the chip."""
        needed = sum(product.given.needed_bytes for product in products)
        return self.machine.dram.resident and needed <= self.machine.weight_buffer.bytes


class Matrices(System):
    """The pruned matrices alone, one after the other, as `accel_sim run` has them."""

    def __init__(
        self,
        machine: Machine,
        measure: Measure,
        shapes: Mapping[str, tuple[int, int]],
        tokens: int,
        execution: Execution,
    ) -> None:
        super().__init__(machine, measure)
        self._shapes, self._tokens, self._execution = shapes, tokens, execution
        self._of_each = tokens_of(shapes, tokens, execution)
        workload = Workload(
            names=tuple(shapes), weights=0, matrices=lambda: iter(()), execution=execution
        )
        self._ran = [name for name in shapes if self._of_each[name]]
        self._order = workload.order(self._ran)

    def products(self, matrix: MaskedMatrix) -> list[tuple[Product, float]]:
        tokens = self._of_each[matrix.name]
        if not tokens:
            return []
        return [(self._product(matrix, tokens), self._execution.runs_of(matrix.name))]

    def whole(self, products: Sequence[Sequence[tuple[Product, float]]]) -> float:
        every = [product for some in products for product, _ in some]
        stay = self._stay(every)
        machine = self.machine if stay else self._loading
        placed = [each.given if stay else each.loaded for each in every]
        ordered = [placed[i] for i in self._order]
        times = lay_out([each.segment for each in ordered], machine)
        return self._amount(times[-1].end if times else 0, sum(each.joules for each in ordered))

    @cached_property
    def dense(self) -> float:
        whole = tuple(
            MaskedMatrix(name, np.ones(shape, np.bool_)) for name, shape in self._shapes.items()
        )
        header = {"execution": self._execution.as_data()}
        workload = Workload.of(MaskSet(whole, header), Activations(self._tokens))
        report = simulate(workload, self.machine, is_checked=False)
        return report.total.dense_cycles / self.machine.clock.clock_hz

    def simulated(self, masks: MaskSet) -> float:
        workload = Workload.of(masks, Activations(self._tokens))
        total = simulate(workload, self.machine, is_checked=False).total
        return total.latency_s if self.measure == "latency" else total.energy_j
