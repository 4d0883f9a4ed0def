"""§5: one pass, cycle by cycle.

A cycle has two halves. In the first each unit reads what the last cycle left and proposes what
comes next; in the second all swap. So the order in which the units are asked cannot matter, and
`run_pass` can ask them backwards to show it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from tests.accel_sim.dataflows.mixed_vector.reference.schedule import Plan
from tests.accel_sim.dataflows.mixed_vector.reference.stream import Entry, Tile

Live = tuple[tuple[int, ...], ...]
"""For each token of the group, for each entry of the tile: weights of live pieces; 0: dead."""


class Decompressor:
    """Weight-buffer port and decompressor: fetches bits, consumes them, fills the queues."""

    def __init__(self, tile: Tile, plan: Plan, machine: MixedVector) -> None:
        port = 8 * machine.decompressor.bytes_per_cycle
        self.port_bits = port
        self.capacity = 2 * port + max((entry.bits for entry in tile.entries), default=0)
        self.most_entries = machine.decompressor.entries_per_cycle
        self.entries = tile.entries
        self.plan = plan
        # State
        self.bits_to_fetch = tile.bits
        self.buffered = 0
        self.header_left = tile.header_bits
        self.delivered = 0
        # Counters
        self.busy = self.queue_full = self.weight_buffer = 0
        # Wires: the next state, and how many entries each queue is sent in this cycle.
        self._next = (0, 0, 0, 0)
        self.sent: Counter[int] = Counter()

    @property
    def next_entry(self) -> Entry | None:
        return self.entries[self.delivered] if self.delivered < len(self.entries) else None

    @property
    def is_done(self) -> bool:
        return self.header_left == 0 and self.next_entry is None

    def propose(self, state: "State") -> None:
        fetched = min(self.port_bits, self.bits_to_fetch, self.capacity - self.buffered)
        consumed, header_left, delivered = 0, 0, self.delivered
        queues = state.queues
        if self.header_left > 0:
            consumed = min(self.header_left, self.buffered)
            header_left = self.header_left - consumed
            self.weight_buffer += consumed == 0
        else:
            while delivered < len(self.entries):
                bits, to = self.entries[delivered].bits, self.plan.queue_of[delivered]
                if delivered - self.delivered == self.most_entries:
                    break
                if bits > self.buffered - consumed:
                    self.weight_buffer += consumed == 0
                    break
                held = max(queue.held for queue in queues[to])
                if held + self.sent[to] == self.plan.depth:
                    self.queue_full += consumed == 0
                    break
                self.sent[to] += 1
                consumed += bits
                delivered += 1
        self.busy += consumed > 0
        buffered = self.buffered + fetched - consumed
        self._next = (self.bits_to_fetch - fetched, buffered, header_left, delivered)

    def swap(self, state: "State") -> None:
        self.bits_to_fetch, self.buffered, self.header_left, self.delivered = self._next
        for to, count in self.sent.items():
            for queue in state.queues[to]:
                queue.tail += count
        self.sent.clear()


class Matching:
    """The window of inputs [base, loaded)."""

    def __init__(self, tile: Tile, machine: MixedVector) -> None:
        self.end = tile.inputs.stop
        self.window = machine.matching.window_inputs
        self.most_inputs = machine.matching.inputs_per_cycle
        self.base = self.loaded = tile.inputs.start
        self.busy = self.window_full = 0
        self._next = (self.base, self.loaded)

    def propose(self, state: "State") -> None:
        next_entry = state.decompressor.next_entry
        base = self.end if next_entry is None else next_entry.lo
        for queue in state.open_queues:
            if queue.head < queue.tail:
                base = min(base, queue.entries[queue.head].lo)
        loaded = min(self.loaded + self.most_inputs, self.base + self.window, self.end)
        self.busy += loaded > self.loaded
        self.window_full += loaded == self.loaded < self.end
        self._next = (base, loaded)

    def swap(self, _: "State") -> None:
        self.base, self.loaded = self._next


class Taker:
    """A zero-skip controller and the PEs behind it: a row's in lock-step, or a single one."""

    def __init__(self, row: int, columns: range, most_drops: int) -> None:
        self.row, self.columns = row, columns
        self.most_drops = most_drops
        self.cycles: Counter[str] = Counter()
        self.cycles_dropping = 0
        self.dropped = 0
        self.issued: list[int] = []
        self.last_taken_in = -1

    def take(self, queue: "Queue", head: int, now: int, loaded: int) -> int:
        """Act on what stands at `head`; return where the front is then."""
        drops = 0
        while drops < self.most_drops and head < queue.tail and queue.is_skippable[head]:
            head += 1
            drops += 1
        is_empty = head == queue.tail
        is_skippable = not is_empty and queue.is_skippable[head]
        is_issued = not is_empty and not is_skippable and queue.entries[head].hi <= loaded
        if is_issued:
            cause = "busy"
            self.issued.append(queue.numbers[head])
            head += 1
        elif drops or is_skippable:
            cause = "zero_skip"
        elif not is_empty:
            cause = "window"
        elif queue.tail < len(queue.entries):
            cause = "decompressor"
        else:
            cause = "idle"
        self.cycles[cause] += 1
        self.cycles_dropping += drops > 0
        self.dropped += drops
        if drops or is_issued:
            self.last_taken_in = now
        return head


class Queue:
    """The entries that come this way, of which [head, tail) wait; and their takers."""

    def __init__(
        self,
        numbers: Sequence[int],
        entries: Sequence[Entry],
        is_skippable: Sequence[bool],
        takers: Sequence[Taker],
    ) -> None:
        self.numbers, self.entries, self.is_skippable = numbers, entries, is_skippable
        self.takers = takers
        # State
        self.head = self.tail = 0
        self._next_head = 0

    @property
    def held(self) -> int:
        return self.tail - self.head

    @property
    def is_done(self) -> bool:
        return self.head == len(self.entries)

    def propose(self, state: "State") -> None:
        head = self.head
        for taker in self.takers:
            head = taker.take(self, head, state.now, state.matching.loaded)
        self._next_head = head

    def swap(self, _: "State") -> None:
        self.head = self._next_head


@dataclass
class State:
    """What every unit may read."""

    decompressor: Decompressor
    matching: Matching
    queues: Sequence[Sequence[Queue]]
    """In as many copies as there are columns that run on their own."""
    open_queues: Sequence[Queue]
    """Those with anything still to take; a queue that is done stays so, its takers idle."""
    now: int = 0


@dataclass(frozen=True)
class TakerCount:
    """What one taker did in a pass, in each of its columns alike."""

    row: int
    columns: range
    """Tokens of the group that it works for."""
    cycles: Mapping[str, int]
    cycles_dropping: int
    issued: tuple[int, ...]
    """Numbers of entries in issue order."""
    dropped: int
    last_taken_in: int


@dataclass(frozen=True)
class PassCount:
    """What one pass counts."""

    cycles: int
    latency: int
    takers: tuple[TakerCount, ...]
    """By PE row, then column."""
    decompressor: Mapping[str, int]
    matching: Mapping[str, int]
    inputs_loaded: int

    @property
    def critical(self) -> TakerCount | None:
        """The taker that takes its last entry last; None if nothing is taken."""
        last = max(taker.last_taken_in for taker in self.takers)
        if last < 0:
            return None
        return next(taker for taker in self.takers if taker.last_taken_in == last)


def queues_of(tile: Tile, plan: Plan, live: Live, machine: MixedVector) -> list[list[Queue]]:
    """Each queue of the plan, in as many copies as there are columns that run on their own."""
    if machine.queue.per_column:
        copies = [(range(t, t + 1), [not weights for weights in live[t]]) for t in range(len(live))]
    else:
        together = [not any(of_tokens) for of_tokens in zip(*live, strict=True)]
        copies = [(range(len(live)), together)]
    numbers: list[list[int]] = [[] for _ in plan.rows_of]
    for number, to in enumerate(plan.queue_of):
        numbers[to].append(number)
    most_drops = machine.zero_skip.entries_per_cycle
    return [
        [
            Queue(
                mine,
                [tile.entries[number] for number in mine],
                [is_skippable[number] for number in mine],
                [Taker(row, columns, most_drops) for row in rows],
            )
            for columns, is_skippable in copies
        ]
        for mine, rows in zip(numbers, plan.rows_of, strict=True)
    ]


def run_pass(
    tile: Tile, plan: Plan, live: Live, machine: MixedVector, *, is_backwards: bool = False
) -> PassCount:
    """Step one pass to its end; `is_backwards` asks the units in the opposite order."""
    queues = queues_of(tile, plan, live, machine)
    decompressor = Decompressor(tile, plan, machine)
    matching = Matching(tile, machine)
    every_queue = [queue for copies in queues for queue in copies]
    open_queues = [queue for queue in every_queue if not queue.is_done]
    state = State(decompressor, matching, queues, open_queues)
    while state.open_queues or not decompressor.is_done:
        units = [decompressor, matching, *state.open_queues]
        for unit in reversed(units) if is_backwards else units:
            unit.propose(state)
        for unit in units:
            unit.swap(state)
        state.open_queues = [queue for queue in state.open_queues if not queue.is_done]
        state.now += 1

    takers: list[TakerCount] = []
    for taker in (taker for queue in every_queue for taker in queue.takers):
        taker.cycles["idle"] += state.now - taker.cycles.total()
        takers.append(
            TakerCount(
                taker.row,
                taker.columns,
                taker.cycles,
                taker.cycles_dropping,
                tuple(taker.issued),
                taker.dropped,
                taker.last_taken_in,
            )
        )
    takers.sort(key=lambda taker: (taker.row, taker.columns.start))
    latency = machine.array.pe_latency_cycles
    return PassCount(
        cycles=state.now + latency,
        latency=latency,
        takers=tuple(takers),
        decompressor={
            "busy": decompressor.busy,
            "queue_full": decompressor.queue_full,
            "weight_buffer": decompressor.weight_buffer,
        },
        matching={"busy": matching.busy, "window_full": matching.window_full},
        inputs_loaded=matching.loaded - tile.inputs.start,
    )
