"""Kill the commands that write, at random moments, and look at what they leave.

After each kill either somebody reads the output or the command runs again. Then the output must be
the old one or the new one, whole, and nothing may be left over.
"""

import random
import time
from dataclasses import dataclass

from benchmarks.reliability.commands import Writer
from benchmarks.reliability.processes import finish, start


@dataclass(frozen=True)
class Killed:
    """Kills of a command, reads that came next, and how many of these found the old output."""

    kills: int
    reads: int
    old: int
    seconds: float


def kill(writer: Writer, count: int, draw: random.Random) -> Killed:
    """Kill a command `count` times.

    Raises:
        AssertionError: what was left is neither the old nor the new output, or there is more.
    """
    begun = time.monotonic()
    seconds, operations = _measured(writer, 10)
    kills = reads = old = 0
    n = 10
    while kills < count:
        n = n + 1 if n < 49 else 10
        before = writer.state
        # By turns before some operation on files and after some time; more often late than early.
        if kills % 2:
            process = start(writer.words(n))
            process.kill(after=seconds * draw.uniform(0.4, 1.05))
            is_killed = process.wait()[0] < 0
        else:
            late = int(operations * draw.random() ** 2)
            is_killed = finish(writer.words(n), writer.folder, operations - 1 - late) is None
        is_read = is_killed and draw.random() < 0.5
        if not is_read:
            seconds, _ = _measured(writer, n)  # the machine may have other work at times
        writer.check()
        kills += is_killed
        reads += is_read
        old += is_read and writer.state == before
    return Killed(kills, reads, old, time.monotonic() - begun)


def _measured(writer: Writer, n: int) -> tuple[float, int]:
    """How many seconds and operations on files a run takes."""
    begun = time.monotonic()
    operations = finish(writer.words(n), writer.folder)
    assert operations
    return time.monotonic() - begun, operations
