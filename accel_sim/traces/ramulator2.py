"""A trace for Ramulator 2.1's LoadStoreTrace: LD or ST and the address; a line for each burst.

It has no cycles: Ramulator replays it as fast as the memory accepts it. Source:
CMU-SAFARI/ramulator2 at c5b1c3a, the frontend LoadStoreTrace.
"""

from collections.abc import Iterable, Iterator

from accel_sim.traces.dram import Bursts


def encode(trace: Iterable[Bursts]) -> Iterator[bytes]:
    """The lines, those of one load at a time."""
    for load in trace:
        word = "ST" if load.is_write else "LD"
        yield "".join(f"{word} 0x{address:x}\n" for address in load.address.tolist()).encode()
