"""Passes of the mixed-vector machine cycle by cycle, for timelines."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.choice import Chosen
from accel_sim.dataflows.mixed_vector.configuration import Configuration, Slots
from accel_sim.dataflows.mixed_vector.cycle_loop import Cause, Log, Stepper
from accel_sim.dataflows.mixed_vector.entries import Entries, select_of
from accel_sim.dataflows.mixed_vector.liveness import all_live, liveness
from accel_sim.inputs.activations import Inputs, group_tokens
from sparse_formats.masks.bit_words import trailing_zeros


@dataclass(frozen=True, eq=False)
class PassRecord:
    """What happened in a pass.

    inputs: of its tile; macs: int16 (tokens of its group, entries), the weights that are live.
    """

    tokens: int
    inputs: int
    slots: Slots
    log: Log
    macs: NDArray[np.int16]

    @property
    def cycles(self) -> int:
        """Those that were stepped: without the latency of the PEs."""
        return len(self.log.takers)

    @cached_property
    def issued(self) -> NDArray[np.int64]:
        """The entry that each taker issues in each cycle, −1 where it issues none.

        int64 (cycles, rows, slots).
        """
        return np.where(self.log.takers == Cause.BUSY, self.log.taken[1:] - 1, -1)

    @cached_property
    def dropped(self) -> NDArray[np.int64]:
        """Entries that each taker drops in each cycle: int64 (cycles, rows, slots)."""
        return np.diff(self.log.taken, axis=0) - (self.issued >= 0)

    @property
    def waiting_entries(self) -> NDArray[np.int32]:
        """In each queue when a cycle begins: int32 (cycles, rows, slots)."""
        return self.log.parsed[:, None, :] - self.log.taken[:-1]

    def executed(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """MACs, and columns of slots that execute, in each cycle: int64 (cycles,)."""
        rows = self.log.takers.shape[1]
        live = self.macs > 0
        if rows == 1:
            of_entry = self.macs.sum(axis=0, dtype=np.int64)[None], live.sum(axis=0)[None]
        else:
            of_entry = self.macs, live
        sums = []
        for each in of_entry:
            # The last column stands for "no entry".
            padded = np.concatenate([each, np.zeros((rows, 1), each.dtype)], axis=1)
            found = padded[np.arange(rows)[None, :, None], self.issued]
            sums.append(found.sum(axis=(1, 2), dtype=np.int64))
        return sums[0], sums[1]

    @property
    def critical(self) -> tuple[int, int]:
        """Row and slot of the taker that takes its last entry last."""
        takes = np.diff(self.log.taken, axis=0) > 0
        count = len(takes)
        last = np.where(takes.any(axis=0), count - takes[::-1].argmax(axis=0), 0)
        slot, row = divmod(int(np.argmax(last.T)), len(last))
        return row, slot


class PassRecorder:
    """Steps the passes of a layer, as it was chosen to be stored, for their records.

    machine: it steps them.
    """

    def __init__(self, chosen: Chosen, inputs: Inputs, machine: Configuration) -> None:
        self._chosen, self._inputs, self.machine = chosen, inputs, machine
        self._sizes = group_tokens(inputs.tokens, machine.array.token_columns)
        self._last: tuple[tuple[int, int], PassRecord] | None = None

    @property
    def lane_groups(self) -> int:
        return self._chosen.way.groups

    def record(self, tile: int, group: int) -> PassRecord:
        """The pass of a group of tokens over a tile; both are numbered from 0."""
        tokens, inputs, machine = int(self._sizes[group]), self._inputs, self.machine
        is_alike = inputs.nonzero is None or not machine.skips_zeros
        key = (tile, tokens if is_alike else -group - 1)
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        of = self._chosen.tiles[tile]
        entries = of.stream.entries
        if is_alike:
            live = all_live(entries, tokens)
            nonzero = np.ones((tokens, of.size[1]), np.bool_)
        else:
            assert inputs.nonzero is not None
            bits = inputs.token_bits(machine.array.token_columns)[group, of.cols[0] : of.cols[1]]
            live = liveness(entries, bits, tokens, machine.queue.per_column)
            first = group * machine.array.token_columns
            nonzero = inputs.nonzero[first : first + tokens, of.cols[0] : of.cols[1]]
        found = PassRecord(
            tokens=tokens,
            inputs=of.size[1],
            slots=of.stream.slots,
            log=Stepper(of, machine, {}).record(live),
            macs=_macs(entries, np.ascontiguousarray(nonzero)),
        )
        self._last = key, found
        return found


def _macs(entries: Entries, nonzero: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Live weights of each entry for each token: int16 (tokens, entries)."""
    found = np.zeros((len(nonzero), len(entries)), np.int16)
    chosen = entries.lanes, entries.selects, entries.select_step, entries.lane_step
    _count_macs(entries.lo, chosen, nonzero, found)
    return found


@njit(cache=True, nogil=True)
def _count_macs(lo: Any, chosen: Any, nonzero: Any, found: Any) -> None:
    lanes, selects, select_step, lane_step = chosen
    for e in range(len(lo)):
        rest = lanes[e]
        while rest:
            lane = trailing_zeros(rest)
            rest &= rest - np.uint64(1)
            c = lo[e] + lane * lane_step
            if len(selects):
                c += select_of(selects, e, lane) * select_step
            for t in range(len(nonzero)):
                found[t, e] += nonzero[t, c]
