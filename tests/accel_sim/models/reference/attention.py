"""§4: score blocks, where their scores stay, and how array and vector unit share the work."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from accel_sim.dataflows.abstract.dataflow import Machine
from tests.accel_sim.models.reference import vector_unit
from tests.accel_sim.models.reference.architecture import Architecture
from tests.accel_sim.models.reference.products import (
    Product,
    added,
    alone,
    dense,
    made_resident,
)
from tests.accel_sim.models.reference.timeline import Part, Timeline, up
from tests.accel_sim.models.reference.vector_unit import Spent


@dataclass(frozen=True)
class Step:
    """B requests with T new tokens each, behind P cached ones."""

    batch: int
    new: int
    cached: int

    @property
    def tokens(self) -> int:
        return self.batch * self.new


@dataclass(frozen=True)
class Block:
    """Queries first … end − 1 of one request and key-value head; keys low … high − 1 are seen.

    rows: of each query of the group, the keys that its token sees, as a range.
    """

    low: int
    high: int
    queries: int
    rows: Sequence[range]


def blocks(model: Architecture, step: Step, window: int | None, q: int) -> list[Block]:
    """The score blocks of one request and head."""
    found: list[Block] = []
    for first in range(0, step.new, q):
        end = min(first + q, step.new)
        seen = [keys(model, step, window, token) for token in range(first, end)]
        rows = [each for each in seen for _ in range(model.group)]
        low = min(each.start for each in seen)
        high = max(each.stop for each in seen)
        found.append(Block(low, high, (end - first) * model.group, rows))
    return found


def keys(model: Architecture, step: Step, window: int | None, token: int) -> range:
    """The keys that a new token sees."""
    place = step.cached + token
    if not model.is_causal:
        return range(step.cached + step.new)
    low = 0 if window is None else max(0, place - (window - 1))
    return range(low, place + 1)


@dataclass(frozen=True)
class Turn:
    """A QKᵀ, the work of the vector unit behind it, and an AV. is_first: of its score block."""

    scores: Product
    softmax: Spent
    values: Product
    is_first: bool


@dataclass(frozen=True)
class Plan:
    """Attention of one layer: in blocks of q queries, scores in `place`."""

    model: Architecture
    step: Step
    window: int | None
    machine: Machine
    place: str
    q: int
    dense_product: Callable[[int, int, int], Product]
    cycles_of: Callable[[Product], int]
    cache_bytes: float

    @cached_property
    def of_head(self) -> list[Block]:
        return blocks(self.model, self.step, self.window, self.q)

    @property
    def heads(self) -> int:
        """Times that the blocks of one request and head run."""
        return self.step.batch * self.model.kv_heads

    @property
    def overlaps(self) -> bool:
        return self.machine.vector.overlaps

    @property
    def score_bytes(self) -> int:
        """That stay on the chip."""
        b = self.machine.operand_bytes
        copies = 2 if self.overlaps else 1
        if self.place == "dram":
            return 0
        widths = [block.high - block.low for block in self.of_head]
        if self.place == "tiles":
            widths = [min(width, self.tile_keys) for width in widths]
        pairs = zip(self.of_head, widths, strict=True)
        return copies * b * max(block.queries * width for block, width in pairs)

    @property
    def tile_keys(self) -> int:
        return max(self.q, 64)

    @property
    def operand_bytes(self) -> int:
        """Queries, keys, values and outputs."""
        model = self.model
        numbers = 2 * (model.heads + model.kv_heads) * model.head_width
        return self.step.tokens * numbers * self.machine.operand_bytes

    @property
    def fits(self) -> bool:
        return self.score_bytes <= self.machine.activation_buffer.bytes

    @property
    def is_on_chip(self) -> bool:
        return self.score_bytes + self.operand_bytes <= self.machine.activation_buffer.bytes

    @cached_property
    def turns(self) -> list[Turn]:
        """Of one request and head."""
        return [turn for block in self.of_head for turn in self._turns(block)]

    def _turns(self, block: Block) -> Iterator[Turn]:
        e, unit = self.model.head_width, self.machine.vector
        width = self.tile_keys if self.place == "tiles" else block.high - block.low
        for low in range(block.low, block.high, width):
            high = min(low + width, block.high)
            rows = [len(range(max(low, r.start), min(high, r.stop))) for r in block.rows]
            if self.place == "tiles":
                rows = [row for row in rows if row]
                steps = [vector_unit.reduction(unit, rows)] * 2
                steps.append(vector_unit.exp(unit, sum(rows)))
                if low > block.low:
                    steps.append(vector_unit.exp(unit, len(rows)))
                    steps += [vector_unit.elementwise(unit, len(rows) * e)] * 2
                if high == block.high:
                    steps.append(vector_unit.divide(unit, block.queries))
                    steps.append(vector_unit.elementwise(unit, block.queries * e))
                softmax = vector_unit.total(steps)
            else:
                softmax = vector_unit.softmax(unit, rows)
            yield Turn(
                self.dense_product(high - low, e, block.queries),
                softmax,
                self.dense_product(e, high - low, block.queries),
                low == block.low,
            )

    @cached_property
    def schedule(self) -> "Schedule":
        turns = self.turns * self.heads
        q = [self.cycles_of(turn.scores) for turn in turns]
        v = [turn.softmax.cycles for turn in turns]
        a = [self.cycles_of(turn.values) for turn in turns]
        starts = [0] * len(turns)
        if not self.overlaps:
            now = 0
            for i in range(len(turns)):
                starts[i] = now
                now += q[i] + v[i] + a[i]
            return Schedule(starts, sum(q), sum(a), now)
        array, unit = 0, 0
        v_end = [0] * len(turns)

        def score(i: int) -> None:
            nonlocal array, unit
            starts[i] = array
            array += q[i]
            unit = max(unit, array) + v[i]
            v_end[i] = unit

        def value(i: int) -> None:
            nonlocal array
            array = max(array, v_end[i]) + a[i]

        score(0)
        for i in range(1, len(turns)):
            score(i)
            value(i - 1)
        value(len(turns) - 1)
        return Schedule(starts, sum(q), sum(a), array)

    @property
    def kv_numbers(self) -> int:
        """Of keys or of values, for one token, request and head."""
        return self.model.head_width

    def _kv_bytes(self, tokens: int) -> int:
        return up(int(8 * self.cache_bytes * tokens * self.kv_numbers), 8)

    @property
    def ahead(self) -> list[list[Part]]:
        """Cached keys and values of each block, where they are all that is loaded."""
        of_head: list[list[Part]] = []
        for block in self.of_head:
            cached = max(0, min(block.high, self.step.cached) - block.low)
            of_head.append([Part("cache", 2, self._kv_bytes(cached))])
        return of_head * self.heads

    @property
    def is_ahead(self) -> bool:
        return self.is_on_chip and self.place != "dram"

    @property
    def with_start(self) -> list[Part]:
        """What is loaded and written with attention, where that is more."""
        parts: list[Part] = []
        model, b = self.model, self.machine.operand_bytes
        if not self.is_on_chip:
            numbers = self.step.tokens * model.heads * model.head_width
            parts += [Part("activations", 1, numbers * b)] * 2
        for block in self.of_head * self.heads:
            kind = self.step.cached if self.is_on_chip else block.high
            seen = max(0, min(block.high, kind) - block.low)
            parts.append(Part("cache", 2, self._kv_bytes(seen)))
        if self.place == "dram":
            for block in self.of_head:
                scores = block.queries * (block.high - block.low) * b
                parts.append(Part("activations", 4 * self.heads, scores))
        return parts

    @property
    def written(self) -> list[Part]:
        if not self.model.is_causal:
            return []
        return [Part("cache", 2 * self.heads, self._kv_bytes(self.step.new))]

    def lead(self) -> int:
        """Of a load ahead."""
        starts = [
            start
            for start, turn in zip(self.schedule.starts, self.turns * self.heads, strict=True)
            if turn.is_first
        ]
        arrived, worst = 0, 0
        for start, parts in zip(starts, self.ahead, strict=True):
            arrived += sum(part.cycles(self.machine.dram) for part in parts)
            worst = max(worst, arrived - start)
        return worst

    def lay(self, line: Timeline) -> int:
        """Run behind the operator before; the cycles that are waited for the DRAM."""
        dram, begin = self.machine.dram, line.now
        parts = self.with_start
        if self.is_ahead:
            parts = [part for each in self.ahead for part in each]
        read = sum(part.bytes(dram) for part in parts if part.kind == "cache")
        room = min(read, self.machine.weight_buffer.bytes // 4)
        earliest = 0 if self.is_ahead and dram.prefetch_across_layers else begin
        load = line.load(parts, earliest, room)
        ready = load.first_byte + self.lead() if self.is_ahead else load.end
        start = max(begin, ready)
        line.now = start + self.schedule.cycles
        load.released = load.place_free = line.now
        line.load(self.written, begin)
        return start - begin


@dataclass(frozen=True)
class Schedule:
    """starts: of each QKᵀ. scores, values: cycles of QKᵀ and of AV; cycles: of all attention."""

    starts: list[int]
    scores: int
    values: int
    cycles: int


class Dense:
    """Dense products with resident weights, each made once."""

    def __init__(self, machine: Machine) -> None:
        self.machine = made_resident(machine)
        self._products: dict[tuple[int, int, int], Product] = {}
        self._cycles: dict[int, int] = {}

    def product(self, rows: int, cols: int, tokens: int) -> Product:
        key = (rows, cols, tokens)
        if key not in self._products:
            self._products[key] = dense(rows, cols, tokens, self.machine)
        return self._products[key]

    def cycles(self, product: Product) -> int:
        if id(product) not in self._cycles:
            self._cycles[id(product)] = alone(product, self.machine)[0]
        return self._cycles[id(product)]

    def causes(self, product: Product) -> dict[str, int]:
        waits = alone(product, self.machine)[1]
        return added(product.counts("causes"), {"writeback": waits.writeback, "dram": waits.dram})


def sizes(new: int) -> list[int]:
    """Query blocks to choose from: 64, 128, … and all tokens."""
    found, q = [], 64
    while q < new:
        found.append(q)
        q *= 2
    return [*found, new]


def choose(
    model: Architecture,
    step: Step,
    window: int | None,
    machine: Machine,
    products: Dense,
    scores: str | None,
    cache_bits: int | None,
) -> Plan:
    """The plan with the fewest cycles where scores stay as asked, or where they fit."""
    bits = cache_bits or 8 * machine.operand_bytes
    plan = Plan(
        model,
        step,
        window,
        machine,
        "rows",
        1,
        products.product,
        products.cycles,
        bits / 8,
    )
    for place in [scores] if scores else ["rows", "tiles"]:
        fitting = [
            each
            for q in sizes(step.new)
            if (each := replace(plan, place=place, q=q)).fits or place == "dram"
        ]
        if fitting:
            return min(fitting, key=lambda each: (_cost(each), -each.q))
    raise ValueError("no scores fit")


def _cost(plan: Plan) -> int:
    """Cycles of the pass, and of a load that starts with attention."""
    dram, parts = plan.machine.dram, plan.with_start
    if plan.is_ahead:
        parts = [] if dram.prefetch_across_layers else [p for some in plan.ahead for p in some]
    return plan.schedule.cycles + sum(part.cycles(dram) for part in parts)
