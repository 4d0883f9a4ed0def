"""EIE stepped with one small object a PE, plain Python, written from docs/rivals.md §3."""

from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class Pe:
    """A queue of columns, each a list of what the entries are: True = a weight, False = padding."""

    queue: deque[list[bool]] = field(default_factory=deque)
    done: int = 0
    """Cycles already spent on the front column."""
    columns_left: int = 0
    spent: Counter[str] = field(default_factory=Counter)
    finished: int = 0

    @property
    def cycles_left(self) -> int:
        return max(len(self.queue[0]), 1) - self.done


def column_entries(local: NDArray[np.bool_], run_bits: int) -> list[bool]:
    """Entries of one column of one PE: a weight counts the dropped ones before it in k bits."""
    entries: list[bool] = []
    dropped = 0
    for kept in local.tolist():
        if not kept:
            dropped += 1
            continue
        while dropped >= 2**run_bits:
            entries.append(False)  # tells 2^k − 1 dropped weights and stands for one more
            dropped -= 2**run_bits
        entries.append(True)
        dropped = 0
    return entries


def run_pass(
    keep: NDArray[np.bool_],
    live: NDArray[np.bool_],
    pes: int,
    depth: int,
    run_bits: int,
    latency: int,
) -> dict[str, dict[str, int]]:
    """Causes, states of the PEs and of the broadcast of one token's pass over one tile."""
    columns = [
        [column_entries(keep[p::pes, c], run_bits) for p in range(pes)]
        for c in range(keep.shape[1])
        if live[c]
    ]
    units = [Pe(columns_left=len(columns)) for _ in range(pes)]
    broadcast: Counter[str] = Counter()
    sent = 0
    cycle = 0
    while any(unit.columns_left for unit in units):
        has_room = all(
            len(u.queue) < depth or (len(u.queue) == depth and u.cycles_left == 1) for u in units
        )
        is_sending = sent < len(columns) and has_room
        is_blocked = sent < len(columns) and not has_room
        for unit in units:
            if not unit.columns_left:
                continue
            if not unit.queue:
                unit.spent["queue_full" if is_blocked else "broadcast"] += 1
                continue
            front = unit.queue[0]
            if not front:
                unit.spent["empty_column"] += 1
            else:
                unit.spent["busy" if front[unit.done] else "padding"] += 1
            unit.done += 1
            if unit.done == max(len(front), 1):
                unit.queue.popleft()
                unit.done = 0
                unit.columns_left -= 1
                unit.finished = cycle + 1
        if is_sending:
            for unit, entries in zip(units, columns[sent], strict=True):
                unit.queue.append(entries)
            sent += 1
        broadcast["busy" if is_sending else "queue_full" if is_blocked else "idle"] += 1
        cycle += 1
    # max returns the first of several: the lowest PE.
    critical = max(units, key=lambda unit: unit.finished)
    pe: Counter[str] = Counter()
    for unit in units:
        pe.update(unit.spent)
        pe["idle"] += cycle - unit.finished
    pe["pipeline"] = pes * latency
    broadcast["idle"] += latency
    entries, kept = pe["busy"] + pe["padding"], pe["busy"]
    own = critical.spent["busy"] + critical.spent["padding"]
    balanced = min(own, -(-entries // pes))
    compute = min(balanced, -(-kept // pes))
    causes = {
        "compute": compute,
        "padding": balanced - compute,
        "imbalance": own - balanced,
        "empty_column": critical.spent["empty_column"],
        "queue_full": critical.spent["queue_full"],
        "broadcast": critical.spent["broadcast"],
        "pipeline": latency,
    }
    return {"causes": causes, "pe": dict(pe), "broadcast": dict(broadcast)}
