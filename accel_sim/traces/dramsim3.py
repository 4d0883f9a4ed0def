"""A trace for DRAMsim3: address in hex, READ or WRITE, cycle; a line for each burst.

Source: umd-memsys/DRAMsim3 at 2981759, its trace-based CPU.
"""

from collections.abc import Iterable, Iterator

from accel_sim.traces.dram import Bursts


def encode(trace: Iterable[Bursts]) -> Iterator[bytes]:
    """The lines, those of one load at a time."""
    for load in trace:
        word = "WRITE" if load.is_write else "READ"
        pairs = zip(load.address.tolist(), load.cycle.tolist(), strict=True)
        yield "".join(f"0x{address:X} {word} {cycle}\n" for address, cycle in pairs).encode()
