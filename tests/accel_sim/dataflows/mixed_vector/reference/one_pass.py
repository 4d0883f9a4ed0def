"""§5: one pass, cycle by cycle.

A cycle has two halves. In the first each block reads what the last cycle left and proposes what
comes next; in the second all swap. So the order in which the blocks are asked cannot matter, and
`run_pass` can ask them backwards to show it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import Tile

Live = tuple[tuple[int, ...], ...]
"""For each token of the group, for each entry of the tile: its live weights; 0: dead."""


class Taker:
    """The front of a queue, its zero-skip controller and the PEs behind it.

    `columns`: the tokens of the group that it works for, all of them in lock-step.
    """

    def __init__(self, slot: "Slot", columns: range, is_dead: Sequence[bool]) -> None:
        self.slot, self.columns, self.is_dead = slot, columns, is_dead
        # State: how many entries of the slot have been taken. The queue holds those behind it
        # that were delivered.
        self.head = 0
        self._next_head = 0
        # Counters
        self.cycles: Counter[str] = Counter()
        self.cycles_dropping = 0
        self.dropped = 0
        self.issued: list[int] = []
        self.last_taken_in = -1

    @property
    def held(self) -> int:
        return self.slot.delivered - self.head

    def propose(self, state: "State") -> None:
        slot, head, loaded = self.slot, self.head, state.window.loaded
        drops = 0
        while (
            drops < state.most_drops
            and head < slot.delivered
            and slot.his[head] <= loaded
            and self.is_dead[head]
        ):
            head += 1
            drops += 1
        has_front = head < slot.delivered
        matches = has_front and slot.his[head] <= loaded
        if matches and not self.is_dead[head]:
            cause = "busy"
            self.issued.append(slot.numbers[head])
            head += 1
        elif drops or matches:
            cause = "zero_skip"
        elif has_front:
            cause = "window"
        elif not state.is_known or slot.has_entries_left:
            cause = "decompressor"
        else:
            cause = "idle"
        self.cycles[cause] += 1
        self.cycles_dropping += drops > 0
        self.dropped += drops
        if head > self.head:
            self.last_taken_in = state.now
        self._next_head = head

    def swap(self) -> None:
        self.head = self._next_head


class Slot:
    """The parser of a slot, with the bits that wait for it and the queues behind it."""

    def __init__(self, tile: Tile, number: int, live: Live, is_per_column: bool) -> None:
        self.number, self.row = number, number // tile.choice.n
        self.numbers = tile.entries_of_slot[number]
        self.bits = [tile.entry_bits[entry] for entry in self.numbers]
        self.los = [tile.entries[entry].lo for entry in self.numbers]
        self.his = [tile.entries[entry].hi for entry in self.numbers]
        tokens = range(len(live))
        groups = [range(t, t + 1) for t in tokens] if is_per_column else [tokens]
        self.takers = [
            Taker(self, group, [not any(live[t][e] for t in group) for e in self.numbers])
            for group in groups
        ]
        # State
        self.waiting = 0
        self.bytes_left = tile.stream_bytes[number]
        self.delivered = 0
        # Wires of this cycle
        self.arriving = 0
        self._is_delivering = False
        # Counters
        self.busy = self.weight_buffer = self.queue_full = 0

    @property
    def has_entries_left(self) -> bool:
        return self.delivered < len(self.numbers)

    @property
    def is_done(self) -> bool:
        return not self.has_entries_left and all(t.head == self.delivered for t in self.takers)

    def bound(self, state: "State") -> int:
        """Below which input the slot needs none."""
        first = min(taker.head for taker in self.takers)
        if first < self.delivered:
            return self.los[first]
        if state.is_known and not self.has_entries_left:
            return state.window.end
        return self.los[self.delivered - 1] if self.delivered else state.window.first

    def propose(self, state: "State") -> None:
        if not state.is_known:
            self.weight_buffer += 1
        elif self.has_entries_left:
            if self.bits[self.delivered] > self.waiting:
                self.weight_buffer += 1
            elif any(taker.held == state.depth for taker in self.takers):
                self.queue_full += 1
            else:
                self.busy += 1
                self._is_delivering = True

    def swap(self) -> None:
        self.waiting += self.arriving
        self.bytes_left -= self.arriving // 8
        self.arriving = 0
        if self._is_delivering:
            self.waiting -= self.bits[self.delivered]
            self.delivered += 1
            self._is_delivering = False


class Port:
    """The weight-buffer port of a PE row."""

    def __init__(self, slots: Sequence[Slot], machine: Machine, n: int) -> None:
        self.slots = slots
        self.word_bits = machine.word_bits
        self.capacity = machine.word_bits * (machine.decompressor.buffer_words // n)
        self.words_read = 0

    def propose(self, state: "State") -> None:
        if not state.is_known:
            self.words_read += 1  # Of records.
            return
        able = [
            slot
            for slot in self.slots
            if slot.bytes_left and slot.waiting + self.word_bits <= self.capacity
        ]
        if able:
            slot = min(able, key=lambda slot: (slot.waiting, slot.number))
            slot.arriving = min(self.word_bits, 8 * slot.bytes_left)
            self.words_read += 1


class Window:
    """The inputs [base, loaded)."""

    def __init__(self, tile: Tile, machine: Machine) -> None:
        self.first, self.end = tile.inputs.start, tile.inputs.stop
        self.width = machine.matching.window_inputs
        self.most_inputs = machine.matching.inputs_per_cycle
        self.base = self.loaded = self.first
        self._next = (self.first, self.first)
        self.busy = self.window_full = 0

    def propose(self, state: "State") -> None:
        # A slot that is done needs nothing any more.
        base = min((slot.bound(state) for slot in state.slots), default=self.end)
        loaded = min(self.loaded + self.most_inputs, self.base + self.width, self.end)
        self.busy += loaded > self.loaded
        self.window_full += loaded == self.loaded < self.end
        self._next = (base, loaded)

    def swap(self) -> None:
        self.base, self.loaded = self._next


@dataclass
class State:
    """What every block may read. slots: those that are not done, and all while none is known."""

    window: Window
    slots: Sequence[Slot]
    depth: int
    most_drops: int
    now: int = 0
    is_known: bool = False
    """Whether the records have been read."""


@dataclass(frozen=True)
class TakerCount:
    """What one taker did in a pass, in each of its columns alike."""

    slot: int
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
    """By slot, then column."""
    decompressor: Mapping[str, int]
    """Of all slots together."""
    matching: Mapping[str, int]
    inputs_loaded: int
    words_read: int
    """By all PE rows."""

    @property
    def critical(self) -> TakerCount | None:
        """The taker that takes its last entry last; None if nothing is taken."""
        last = max(taker.last_taken_in for taker in self.takers)
        if last < 0:
            return None
        return next(taker for taker in self.takers if taker.last_taken_in == last)


def run_pass(
    tile: Tile,
    live: Live,
    machine: Machine,
    *,
    is_backwards: bool = False,
    watch: Callable[[State], None] | None = None,
) -> PassCount:
    """Step one pass to its end.

    is_backwards: ask the blocks in the opposite order. watch: is shown the state that each cycle
    finds.
    """
    n = tile.choice.n
    slots = [
        Slot(tile, number, live, machine.queue.per_column)
        for number in range(tile.choice.slots(machine))
    ]
    rows = range(machine.array.pe_rows)
    ports = [Port(slots[row * n : (row + 1) * n], machine, n) for row in rows]
    window = Window(tile, machine)
    drops = machine.zero_skip.entries_per_cycle
    state = State(window, slots, machine.queue.depth_entries, drops)
    takers = [taker for slot in slots for taker in slot.takers]
    stepped = [*slots, *takers]
    while state.slots:
        if watch:
            watch(state)
        blocks = [*ports, window, *stepped]
        for block in reversed(blocks) if is_backwards else blocks:
            block.propose(state)
        window.swap()
        for block in stepped:
            block.swap()
        state.now += 1
        state.is_known = state.now >= tile.header_words
        if state.is_known and any(slot.is_done for slot in state.slots):
            state.slots = [slot for slot in state.slots if not slot.is_done]
            stepped = [*state.slots, *(taker for slot in state.slots for taker in slot.takers)]

    latency = machine.array.pe_latency_cycles
    for taker in takers:
        taker.cycles["idle"] += state.now - taker.cycles.total()
    return PassCount(
        cycles=state.now + latency,
        latency=latency,
        takers=tuple(
            TakerCount(
                taker.slot.number,
                taker.slot.row,
                taker.columns,
                taker.cycles,
                taker.cycles_dropping,
                tuple(taker.issued),
                taker.dropped,
                taker.last_taken_in,
            )
            for taker in takers
        ),
        decompressor={
            what: sum(getattr(slot, what) for slot in slots)
            for what in ("busy", "queue_full", "weight_buffer")
        },
        matching={"busy": window.busy, "window_full": window.window_full},
        inputs_loaded=window.loaded - window.first,
        words_read=sum(port.words_read for port in ports),
    )
