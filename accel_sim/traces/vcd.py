"""Value change dump (.vcd), as GTKWave and Surfer open it: IEEE 1800-2017, §21.7.

A cycle is two units of time, so that a clock shows: as in the RTL's test bench.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from accel_sim.traces.events import Counter, Path, Trace

TICKS = 2
"""Units of time in a cycle."""


def encode(trace: Trace) -> Iterator[bytes]:
    """The file, piece by piece. A counter is a signal; its unit is its number of bits."""
    signals = [track for track in trace.tracks if isinstance(track, Counter)]
    first = min((int(each.time[0]) for each in signals if len(each.time)), default=0)
    last = max((int(each.time[-1]) for each in signals if len(each.time)), default=0)
    clock, now = _code(len(signals)), _code(len(signals) + 1)
    title = trace.name.replace("$", "")
    yield f"$comment {title}; 2 ns are 1 cycle $end\n$timescale 1ns $end\n".encode()
    declared: list[tuple[Path, int, str]] = [
        (("bench", "clk"), 1, clock),
        (("bench", "now"), 32, now),
    ]
    declared += [(each.path, int(each.unit), _code(i)) for i, each in enumerate(signals)]
    yield "".join(_scopes(sorted(declared), ())).encode()
    yield b"$enddefinitions $end\n"
    times = np.concatenate([each.time for each in signals])
    where = np.repeat(np.arange(len(signals)), [len(each.time) for each in signals])
    values = np.concatenate([each.value for each in signals]).tolist()
    order = np.argsort(times, kind="stable")
    widths = [int(each.unit) for each in signals]
    codes = [_code(i) for i in range(len(signals))]
    shown: list[int | None] = [None] * len(signals)
    at, ordered, sorted_times = 0, order.tolist(), times[order]
    ends = np.searchsorted(sorted_times, np.arange(first, last + 1), side="right").tolist()
    for cycle, end in zip(range(first, last + 1), ends, strict=True):
        lines = [f"#{TICKS * cycle}", f"1{clock}", f"b{cycle:b} {now}"]
        for i in ordered[at:end]:
            signal, value = int(where[i]), values[i]
            if shown[signal] != value:
                shown[signal] = value
                lines.append(_change(value, widths[signal], codes[signal]))
        at = end
        lines += [f"#{TICKS * cycle + 1}", f"0{clock}", ""]
        yield "\n".join(lines).encode()


def _change(value: int, bits: int, code: str) -> str:
    return f"{value}{code}" if bits == 1 else f"b{value:b} {code}"


def _code(number: int) -> str:
    """A short name of printable characters, which a VCD uses for a signal."""
    found = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 94)
        found += chr(33 + digit)
    return found


def _scopes(signals: Sequence[tuple[Path, int, str]], above: Path) -> Iterator[str]:
    """Declarations of signals that are below `above`, sorted by path."""
    depth = len(above)
    for name, group in groupby(signals, key=lambda signal: signal[0][depth]):
        inside = list(group)
        if len(inside[0][0]) == depth + 1:
            ((_, bits, code),) = inside
            span = "" if bits == 1 else f" [{bits - 1}:0]"
            yield f"$var wire {bits} {code} {name}{span} $end\n"
            continue
        kind = "begin" if name.endswith("]") else "module"
        yield f"$scope {kind} {name} $end\n"
        yield from _scopes(inside, (*above, name))
        yield "$upscope $end\n"
