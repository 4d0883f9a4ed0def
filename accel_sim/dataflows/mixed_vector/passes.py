"""All passes over a tile, stepped cycle by cycle with all columns at once.

docs/microarchitecture.md §5. The columns of a slot are the bits of a word: each entry that waits in
a queue has a word of the columns that have not taken it yet. What this gives is what `cycle_loop`
gives, which steps a taker at a time and can record what it does; tests compare them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.liveness import first_bits, mark, needs_of
from accel_sim.dataflows.mixed_vector.stream import EncodedTile
from accel_sim.inputs.activations import Inputs
from sparse_formats.masks.bit_words import set_bits, trailing_zeros

CYCLES, PARSE_BUSY, PARSE_FULL, PARSE_STARVED = 0, 1, 2, 3
LOADED, LOAD_BUSY, LOAD_FULL, DROP_CYCLES = 4, 5, 6, 7
ISSUED, ZERO_SKIP, WINDOW, DECOMPRESSOR, IDLE = 8, 9, 10, 11, 12
BUSY_PATH, ZERO_SKIP_PATH, WINDOW_PATH, DECOMPRESSOR_PATH = 13, 14, 15, 16
PAIRS, MACS, TAKERS = 17, 18, 19
"""What is counted in a pass: a row of `Stepped.counted`.

Its cycles; what all parsers together and the window count; cycles in which a taker dropped, summed
over takers; what takers are counted as (busy ones issue), and what the critical one is; live pairs
(entry, token) and (weight, token); how many takers a slot has: 1 where one stands for all.
"""

COUNTED = 20

_WORDS_AT_ONCE = 8
"""Of the columns of groups whose liveness is found together: a line of the cache."""

_LOGGED = 64
"""Words whose bits are counted together, each bit by itself."""


@dataclass(frozen=True, eq=False)
class Stepped:
    """The passes over one tile.

    tokens, groups: of equal groups each: int64 (kinds,). counted: int64 (kinds, COUNTED), of one of
    the passes. pe_load: entries that each PE row issues in all passes, once for each token or
    column that issues it: int64 (P,).
    """

    tokens: NDArray[np.int64]
    groups: NDArray[np.int64]
    counted: NDArray[np.int64]
    pe_load: NDArray[np.int64]

    @property
    def cycles(self) -> NDArray[np.int64]:
        """Of each pass, or of one where all are alike."""
        cycles = self.counted[:, CYCLES]
        return cycles[:1] if (cycles == cycles[0]).all() else cycles


class Stepper:
    """Steps tiles; those that hold the same, and see the same zeros, once."""

    def __init__(self, inputs: Inputs, machine: Configuration, *, are_tiles_alike: bool) -> None:
        self._machine, self._are_tiles_alike = machine, are_tiles_alike
        self._known: dict[tuple[Any, ...], Stepped] = {}
        self._without_zeros: dict[tuple[int, int], NDArray[np.int64]] = {}
        columns = machine.array.token_columns
        full, rest = divmod(inputs.tokens, columns)
        self._bits = None
        if inputs.nonzero is not None and machine.skips_zeros:
            self._bits = inputs.token_bits(columns)
            sizes = [columns] * full + [rest] * (rest > 0)
            groups = [1] * len(sizes)
        else:
            kinds = [(size, count) for size, count in ((columns, full), (rest, 1)) if size * count]
            sizes, groups = zip(*kinds, strict=True)
        self._tokens, self._groups = np.array(sizes, np.int64), np.array(groups, np.int64)

    def step(self, tile: EncodedTile) -> Stepped:
        """All passes over the tile."""
        if not self._are_tiles_alike:
            return self._step(tile)
        key = tile.size if self._bits is None else (*tile.size, *tile.cols)
        if key not in self._known:
            self._known[key] = self._step(tile)
        return self._known[key]

    def _step(self, tile: EncodedTile) -> Stepped:
        machine, stream = self._machine, tile.stream
        entries, slots = stream.entries, stream.slots
        known = self._without_zeros.get(tile.size)
        plain = np.zeros(COUNTED, np.int64) if known is None else known
        counted = np.zeros((len(self._tokens), COUNTED), np.int64)
        pe_load = np.zeros(machine.array.pe_rows, np.int64)
        _step_groups(
            (entries.first, entries.lo, entries.hi, entries.bits),
            needs_of(entries),
            (stream.slot_bytes, stream.record_words, tile.cols[0], tile.cols[1]),
            (
                machine.word_bits,
                slots.buffer_bits,
                slots.groups,
                machine.queue.depth_entries,
                machine.zero_skip.entries_per_cycle,
                machine.matching.window_inputs,
                machine.matching.inputs_per_cycle,
                machine.array.pe_latency_cycles,
            ),
            _NO_ZEROS if self._bits is None else self._bits,
            (self._tokens, self._groups, machine.queue.per_column),
            plain,
            counted,
            pe_load,
        )
        if known is None and self._are_tiles_alike and plain[TAKERS]:
            self._without_zeros[tile.size] = plain
        return Stepped(self._tokens, self._groups, counted, pe_load)


_NO_ZEROS = np.zeros((0, 0, 0), np.uint64)


def pe_load_of(stepped: Sequence[Stepped], machine: Configuration) -> list[int]:
    """Of all tiles: what each PE row issues."""
    idle = np.zeros(machine.array.pe_rows, np.int64)
    return np.sum([idle, *(each.pe_load for each in stepped)], axis=0).tolist()


@njit(cache=True, nogil=True)
def _step_groups(
    entries: Any,
    needs: Any,
    tile: Any,
    limits: Any,
    token_bits: Any,
    sizes: Any,
    plain: Any,
    counted: Any,
    pe_load: Any,
) -> None:
    """Fill counted and pe_load.

    token_bits: of the layer; of no group where nothing is zero. plain: of a pass in which nothing
    is dead, where plain[TAKERS] > 0, else to be filled if there is such a pass.
    """
    first, weights = entries[0], needs[3]
    slot_bytes, record_words, input0, input1 = tile
    groups_of_row = limits[2]
    tokens, groups, per_column = sizes
    count, size = len(weights), (slot_bytes, record_words, input1 - input0)
    all_weights = 0
    for e in range(count):
        all_weights += weights[e]
    words = token_bits.shape[2]
    at_once = max(_WORDS_AT_ONCE // max(words, 1), 1)
    counts = np.zeros((3, at_once), np.int64)
    bits = np.zeros((0, 0), np.uint64)
    dead = before = np.zeros((0, 1), np.uint64)
    last = -1  # the last group in which something was dead: in block `before`, if not in this one
    for g in range(len(tokens)):
        pairs, macs, deads = count * tokens[g], all_weights * tokens[g], 0
        at = g % at_once
        if len(token_bits):
            if at == 0:
                block = token_bits[g : g + at_once]
                bits = _beside_each_other(block, input0, input1)
                before = dead
                dead = np.zeros((count if per_column else 0, bits.shape[1]), np.uint64)
                of_block = tokens[g : g + at_once]
                mark(needs, bits, of_block, per_column, counts, dead)
                if not per_column and counts[0, : len(of_block)].any():
                    dead = np.zeros((count, bits.shape[1]), np.uint64)
                    mark(needs, bits, of_block, per_column, counts, dead)
            deads, pairs, macs = counts[0, at], counts[1, at], counts[2, at]
        takers = tokens[g] if per_column and deads else 1
        row = counted[g]
        if deads == 0:
            if plain[TAKERS] == 0:
                _step(entries, size, limits, 1, dead, 0, 0, plain)
                plain[TAKERS] = 1
            row[:] = plain
        else:
            is_like_last = last == g - 1 and last >= 0 and counted[last, TAKERS] == takers
            if is_like_last:
                other = dead if at else before
                for w in range(words):
                    there = (last % at_once) * words + w
                    for k in range(count):
                        if dead[k, at * words + w] != other[k, there]:
                            is_like_last = False
                            break
            if is_like_last:
                row[:] = counted[last]
            else:
                _step(entries, size, limits, takers, dead, deads, at * words, row)
            last = g
        row[TAKERS], row[PAIRS], row[MACS] = takers, pairs, macs
        columns = groups[g] * (tokens[g] // takers)
        for r in range(len(pe_load)):
            begin, end = first[r * groups_of_row], first[(r + 1) * groups_of_row]
            issued = (end - begin) * takers
            if deads:
                for k in range(begin, end):
                    for w in range(at * words, (at + 1) * words):
                        issued -= set_bits(dead[k, w])
            pe_load[r] += issued * columns


@njit(cache=True, nogil=True)
def _beside_each_other(block: Any, input0: int, input1: int) -> Any:
    """uint64 (inputs, groups · words) of (groups, inputs, words)."""
    groups, _, words = block.shape
    bits = np.empty((input1 - input0, groups * words), np.uint64)
    for c in range(input0, input1):
        for g in range(groups):
            for w in range(words):
                bits[c - input0, g * words + w] = block[g, c, w]
    return bits


@njit(cache=True, nogil=True)
def _step(
    entries: Any,
    tile: Any,
    limits: Any,
    takers: int,
    dead: Any,
    deads: int,
    place: int,
    counted: Any,
) -> None:
    """Step one pass and fill `counted`, apart from what liveness says.

    takers: of each slot. dead: uint64 (entries, ·), a bit a taker, in the words from `place` on;
    not looked at if `deads` is 0. Between oldest[s] and parsed[s] lies what waits in the queues of
    slot s, and held[s, w, k mod size] are the takers that have not yet taken entry k.
    """
    first, lo, hi, bits = entries
    slot_bytes, record_words, inputs = tile
    word_bits, buffer_bits, groups, depth, most_drops, window, inputs_per_cycle, latency = limits
    slots, words = len(first) - 1, (takers + 63) // 64
    size = 1
    while size < depth:
        size *= 2
    ring = size - 1
    everyone = first_bits(takers, words)
    held = np.zeros((slots, words, size), np.uint64)
    # Who skipped [0] and who waited for the window [1], by slot and word: what is not counted yet,
    # how many words that are, and what each taker has come to.
    log = np.empty((2, slots, words, _LOGGED), np.uint64)
    logged = np.zeros((2, slots, words), np.int64)
    summed = np.zeros((2, slots, takers), np.int64)
    # of_drops[j]: takers that have dropped j entries in this cycle and look at the next one.
    of_drops = np.zeros(most_drops + 1, np.uint64)
    parsed, oldest, before = first[:-1].copy(), first[:-1].copy(), first[:-1].copy()
    waiting = np.zeros(slots, np.int64)  # bits in front of each parser
    unread = 8 * slot_bytes  # bits still in the weight buffer
    base = loaded = cycle = drop_cycles = skips = waits = idle = 0
    parse_busy = parse_full = parse_starved = load_busy = load_full = 0
    last_slot = last_taker = 0
    open_slots = 0
    for s in range(slots):
        open_slots += first[s + 1] > first[s]

    while open_slots > 0 or cycle < record_words:
        is_known = cycle >= record_words
        bound = inputs
        entering = min(inputs_per_cycle, min(base + window, inputs) - loaded)
        is_first_take = True
        for s in range(slots):
            end, arrived, front = first[s + 1], parsed[s], oldest[s]
            before[s] = front
            if front == arrived:
                if is_known and arrived == end:
                    idle += takers
                else:
                    bound = min(bound, lo[arrived - 1] if arrived > first[s] else 0)
                continue
            bound = min(bound, lo[front])
            is_done = is_known and arrived == end
            for w in range(words):
                newest = held[s, w, (arrived - 1) & ring]  # those with anything in their queue
                if is_done:
                    idle += set_bits(everyone[w] & ~newest)
                if newest == np.uint64(0):
                    continue
                ahead = takes = dropping = moved = np.uint64(0)
                skip = wait = np.uint64(0)
                for k in range(front, arrived):
                    here = held[s, w, k & ring]
                    if hi[k] > loaded:
                        wait = newest & ~ahead
                        break
                    gone = (here & ~ahead) | moved
                    if deads and most_drops == 1:
                        dies = dead[np.uint64(k), np.uint64(place + w)]
                        stays = moved & dies
                        skip |= stays
                        gone &= ~stays
                        moved = here & ~ahead & dies
                        dropping |= moved
                    elif deads:
                        dies = dead[np.uint64(k), np.uint64(place + w)]
                        of_drops[0] = here & ~ahead
                        stays = of_drops[most_drops] & dies
                        skip |= stays
                        gone &= ~stays
                        if most_drops:
                            dropping |= of_drops[0] & dies
                        moved = np.uint64(0)
                        for j in range(most_drops, 0, -1):
                            of_drops[j] = of_drops[j - 1] & dies
                            moved |= of_drops[j]
                    held[s, w, k & ring] = here & ~gone
                    takes |= gone
                    ahead = here
                    if here == newest and moved == np.uint64(0):
                        break
                if moved:
                    skip |= moved  # the next entry is not there, or does not match
                    of_drops[:] = 0
                if skip:
                    skips += set_bits(skip)
                    n = logged[0, s, w]
                    log[0, s, w, n] = skip
                    logged[0, s, w] = n + 1
                    if n + 1 == _LOGGED:
                        logged[0, s, w] = 0
                        _add_bits(log[0, s, w], summed[0, s, 64 * w :])
                if wait:
                    waits += set_bits(wait)
                    n = logged[1, s, w]
                    log[1, s, w, n] = wait
                    logged[1, s, w] = n + 1
                    if n + 1 == _LOGGED:
                        logged[1, s, w] = 0
                        _add_bits(log[1, s, w], summed[1, s, 64 * w :])
                if dropping:
                    drop_cycles += set_bits(dropping)
                if takes and is_first_take:
                    is_first_take = False
                    last_slot, last_taker = s, 64 * w + trailing_zeros(takes)
            while front < arrived:
                rest = np.uint64(0)
                for w in range(words):
                    rest |= held[s, w, front & ring]
                if rest:
                    break
                front += 1
            oldest[s] = front
            open_slots -= front == end

        if entering > 0:
            load_busy += 1
        elif loaded < inputs:
            load_full += 1

        if is_known:
            for r in range(slots // groups):
                # The port chooses by what waited before the parsers of this cycle.
                chosen = -1
                for s in range(r * groups, (r + 1) * groups):
                    has_room = unread[s] > 0 and waiting[s] + word_bits <= buffer_bits
                    if has_room and (chosen < 0 or waiting[s] < waiting[chosen]):
                        chosen = s
                for s in range(r * groups, (r + 1) * groups):
                    k = parsed[s]
                    if k < first[s + 1]:
                        if waiting[s] < bits[k]:
                            parse_starved += 1
                        elif k - before[s] >= depth:
                            parse_full += 1
                        else:
                            parse_busy += 1
                            waiting[s] -= bits[k]
                            parsed[s] = k + 1
                            for w in range(words):
                                held[s, w, k & ring] = everyone[w]
                if chosen >= 0:
                    word = min(word_bits, unread[chosen])
                    unread[chosen] -= word
                    waiting[chosen] += word
        else:
            parse_starved += slots

        base = max(base, bound)
        loaded += entering
        cycle += 1

    counted[CYCLES] = cycle + latency
    counted[PARSE_BUSY], counted[PARSE_FULL] = parse_busy, parse_full
    counted[PARSE_STARVED] = parse_starved
    counted[LOADED], counted[LOAD_BUSY], counted[LOAD_FULL] = loaded, load_busy, load_full
    counted[DROP_CYCLES] = drop_cycles
    issued = takers * len(lo)
    own = first[last_slot + 1] - first[last_slot]
    word, bit = last_taker // 64, np.uint64(last_taker % 64)
    if deads:
        for w in range(words):
            for k in range(len(lo)):
                issued -= set_bits(dead[k, place + w])
        for k in range(first[last_slot], first[last_slot + 1]):
            own -= np.int64(dead[k, place + word] >> bit & np.uint64(1))
    counted[ISSUED], counted[ZERO_SKIP], counted[WINDOW] = issued, skips, waits
    counted[DECOMPRESSOR] = takers * slots * cycle - issued - skips - waits - idle
    counted[IDLE] = idle
    for i in range(2):
        rest = log[i, last_slot, word, : logged[i, last_slot, word]]
        _add_bits(rest, summed[i, last_slot, 64 * word :])
    own_skips, own_waits = summed[0, last_slot, last_taker], summed[1, last_slot, last_taker]
    # The last one to take anything is never idle. With no entry at all the records take the time.
    counted[BUSY_PATH], counted[ZERO_SKIP_PATH], counted[WINDOW_PATH] = own, own_skips, own_waits
    counted[DECOMPRESSOR_PATH] = cycle - own - own_skips - own_waits


@njit(cache=True, nogil=True)
def _add_bits(words: Any, summed: Any) -> None:
    """Count the bits of the words, each by itself."""
    for bit in range(min(64, len(summed))):
        total = np.uint64(0)
        for word in words:
            total += word >> np.uint64(bit) & np.uint64(1)
        summed[bit] += np.int64(total)
