"""A model's steps on the time line: operators in order, each behind the one before.

docs/whole_models.md §5.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from accel_sim.dataflows.abstract.account import LayerRun, LayerTime
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.loads import Part, part_of, row_activations, transfer_cycles
from accel_sim.dataflows.abstract.timeline import (
    Schedule,
    Segment,
    lay_out,
    schedule_of,
    segment_of,
)
from accel_sim.models.attention import AttentionRun, AttentionUnit
from accel_sim.models.operators import Attention, VectorOperator, WeightProduct, operators
from accel_sim.models.transformer import Step, Transformer
from accel_sim.models.work import Waits, Work, of_attention, of_vector, of_weights, together

WeightRuns = Mapping[tuple[str, int], LayerRun]
"""The run of each matrix by its name, with so many tokens."""


@dataclass(frozen=True)
class OperatorTotal:
    """An operator in all steps of a phase."""

    work: Work
    waits: Waits
    cycles: int


@dataclass(frozen=True)
class Phase:
    """Prefill or decode. step_cycles: of each step; operators: of all of them together.

    attention: how it ran in the last step, by window.
    """

    name: str
    steps: tuple[Step, ...]
    step_cycles: tuple[int, ...]
    operators: tuple[OperatorTotal, ...]
    attention: Mapping[int | None, AttentionRun]

    @property
    def cycles(self) -> int:
        return sum(self.step_cycles)


class ModelRunner:
    """Runs steps of one model on one machine; what steps share is done once.

    dropped: names of matrices whose products take no time, to see what they cost.
    """

    def __init__(
        self,
        model: Transformer,
        machine: Machine,
        weights: WeightRuns,
        attention: AttentionUnit,
        dropped: frozenset[str] = frozenset(),
    ) -> None:
        self._model, self._machine, self._weights = model, machine, weights
        self._attention, self._dropped = attention, dropped
        self._windows = {model.window_of(layer) for layer in range(model.layers)}
        self._known: dict[tuple[int, int], list[_Known | Attention]] = {}

    def phase(self, name: str, steps: Sequence[Step]) -> Phase:
        """All `steps`, one behind the other, each from a standstill."""
        found: list[list[_Part]] = []
        attention: dict[int | None, AttentionRun] = {}
        cycles: list[int] = []
        for step in steps:
            attention = self._attend(step)
            todo = self._operators(step)
            times = lay_out(_segments(todo, attention), self._machine)
            cycles.append(_end(times))
            found.append(self._parts(todo, times, attention))
        return Phase(
            name=name,
            steps=tuple(steps),
            step_cycles=tuple(cycles),
            operators=tuple(_total(parts) for parts in zip(*found, strict=True)),
            attention=attention,
        )

    def in_time(self, step: Step) -> "StepInTime":
        """All loads and passes of a step, which begins at cycle 0."""
        segments = _segments(self._operators(step), self._attend(step))
        names = [
            each.matrix.name
            if isinstance(each, WeightProduct)
            else each.kind
            if each.layer is None
            else f"{each.kind} of layer {each.layer}"
            for each in operators(self._model, step, self._machine.vector)
            if not (isinstance(each, WeightProduct) and each.matrix.name in self._dropped)
        ]
        return StepInTime(names, segments, schedule_of(segments, self._machine))

    def cycles(self, steps: Sequence[Step]) -> list[int]:
        """Of each step, and nothing else."""
        found = []
        for step in steps:
            segments = _segments(self._operators(step), self._attend(step))
            found.append(_end(lay_out(segments, self._machine)))
        return found

    def _attend(self, step: Step) -> dict[int | None, AttentionRun]:
        return {window: self._attention.run(step, window) for window in self._windows}

    def _operators(self, step: Step) -> list["_Known | Attention"]:
        """Of a step; all but attention are the same whatever is cached."""
        key = step.batch, step.tokens
        if key not in self._known:
            todo = operators(self._model, step, self._machine.vector)
            self._known[key] = [
                each if isinstance(each, Attention) else self._of(each)
                for each in todo
                if not (isinstance(each, WeightProduct) and each.matrix.name in self._dropped)
            ]
        return self._known[key]

    def _of(self, operator: WeightProduct | VectorOperator) -> "_Known":
        machine = self._machine
        if isinstance(operator, VectorOperator):
            operator = self._behind(operator)
            segment = vector_segment(operator, machine)
            loaded = sum(part.bytes for part in _loaded(operator, machine))
            spilled = segment.read_bytes + segment.write_bytes - loaded
            moved = {"embedding": loaded, "activations": spilled}
            bits = 8 * machine.operand_bytes
            work = partial(of_vector, operator.kind, operator.layer, operator.work, bits, moved)
            return _Known(segment, work)
        run = self._weights[operator.matrix.name, operator.tokens]
        work = partial(of_weights, run, operator.layer, machine)
        return _Known(segment_of(run, machine), work)

    def _behind(self, operator: VectorOperator) -> VectorOperator:
        """The operator as it runs behind the product that it follows, where units overlap.

        It takes each output as it is written, so only what the product does not hide is left, and
        of its operands only those that the product does not make are read, and none is written.
        """
        before = operator.follows
        if before is None or before.name in self._dropped or not self._machine.vector.overlaps:
            return operator
        hidden = self._weights[before.name, operator.tokens].pass_cycles
        left = max(operator.work.cycles - hidden, self._machine.vector.latency_cycles)
        read = max(operator.numbers[0] - before.rows, 0)
        return replace(
            operator,
            work=replace(operator.work, cycles=left, read=operator.tokens * read, written=0),
            numbers=(read, 0),
        )

    def _parts(
        self,
        todo: Sequence["_Known | Attention"],
        times: Sequence[LayerTime],
        attention: Mapping[int | None, AttentionRun],
    ) -> list["_Part"]:
        width, machine = self._model.head_width, self._machine
        works = {w: of_attention(run, width, machine) for w, run in attention.items()}
        found: list[_Part] = []
        for each, time in zip(todo, times, strict=True):
            if isinstance(each, _Known):
                found.append(_Part(each.work, time.cycles, time))
                continue
            run = attention[each.window]
            values = run.array_cycles[1]
            # QKᵀ has all that attention waits for, and all its bytes.
            rest = time.cycles - run.exposed_cycles - values
            for work, cycles, waits in zip(
                works[each.window],
                (rest, run.exposed_cycles, values),
                (time, None, None),
                strict=True,
            ):
                found.append(_Part(replace(work, layer=each.layer), cycles, waits))
        return found


@dataclass(frozen=True, eq=False)
class StepInTime:
    """The operators of a step by name, and their moments."""

    names: Sequence[str]
    segments: Sequence[Segment]
    schedule: Schedule


@dataclass(frozen=True, eq=False)
class _Known:
    """An operator that is the same in each step. counted: its work, which a twin need not know."""

    segment: Segment
    counted: Callable[[], Work]

    @cached_property
    def work(self) -> Work:
        return self.counted()


@dataclass(frozen=True)
class _Part:
    """An operator in one step. waits: None for one that waits for nothing."""

    work: Work
    cycles: int
    waits: LayerTime | None


def _end(times: Sequence[LayerTime]) -> int:
    return times[-1].end if times else 0


def _segments(
    todo: Sequence[_Known | Attention], attention: Mapping[int | None, AttentionRun]
) -> list[Segment]:
    return [
        each.segment if isinstance(each, _Known) else attention[each.window].segment
        for each in todo
    ]


def _total(parts: Sequence[_Part]) -> OperatorTotal:
    """One operator in all steps."""
    return OperatorTotal(
        work=together([part.work for part in parts]),
        waits=Waits.of(part.waits for part in parts if part.waits is not None),
        cycles=sum(part.cycles for part in parts),
    )


def _loaded(operator: VectorOperator, machine: Machine) -> list[Part]:
    """What comes from the DRAM in any case."""
    size = machine.operand_bytes
    return [part_of(runs, size * count, machine) for runs, count in operator.loaded]


def vector_segment(operator: VectorOperator, machine: Machine) -> Segment:
    """An operator of the vector unit on the time line."""
    size = machine.operand_bytes
    read, written = operator.numbers
    room = machine.activation_buffer.bytes // (size * max(read + written, 1))
    off_chip = max(operator.tokens - room, 0)
    loads = _loaded(operator, machine)
    reads = part_of(1, size * off_chip * read, machine) if off_chip and read else Part(0, 0)
    writes = part_of(1, size * off_chip * written, machine) if off_chip and written else Part(0, 0)
    parts = [*loads, reads, writes]
    transfer = sum(transfer_cycles(part, machine) for part in parts)
    return Segment(
        room=np.zeros(1, np.int64),
        transfer=np.array([transfer], np.int64),
        lead=np.array([transfer], np.int64),
        is_bound=np.ones(1, np.bool_),
        is_awaited=np.ones(1, np.bool_),
        pass_cycles=np.array([[operator.work.cycles]], np.int64),
        write_cycles=np.zeros((1, 2), np.int64),
        groups=1,
        places=None,
        read_bytes=sum(part.bytes for part in (*loads, reads)),
        write_bytes=writes.bytes,
        activations=sum(row_activations(part, machine) for part in parts),
    )
