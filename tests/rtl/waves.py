"""A value change dump as the values of its signals."""

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Signal:
    """times and values, as text of binary digits, of each change; bits: how many it has."""

    bits: int
    times: list[int]
    values: list[str]

    def at(self, time: int) -> str:
        """The value at a time: without leading zeros; "x" where a bit is not known."""
        value = self.values[bisect_right(self.times, time) - 1]
        return "x" if set(value) & set("xz") else value.lstrip("0") or "0"


def read(path: Path) -> dict[str, Signal]:
    """Every signal by its full name with its range: bench.machine.window.loaded[15:0]."""
    found: dict[str, Signal] = {}
    of_code: dict[str, Signal] = {}
    scopes: list[str] = []
    time, header, rest = 0, *path.read_text().split("$enddefinitions $end", 1)
    for command in header.split("$end"):
        match command.split():
            case ["$scope", _, name]:
                scopes.append(name)
            case ["$upscope"]:
                scopes.pop()
            case ["$var", _, bits, code, *name]:
                signal = of_code.setdefault(code, Signal(int(bits), [], []))
                found[".".join([*scopes, "".join(name)])] = signal
    for line in rest.splitlines():
        if line.startswith("#"):
            time = int(line[1:])
        elif line[:1] in "01xz" and line:
            _change(of_code[line[1:]], time, line[0])
        elif line.startswith("b"):
            value, code = line[1:].split()
            _change(of_code[code], time, value)
    return found


def _change(signal: Signal, time: int, value: str) -> None:
    signal.times.append(time)
    signal.values.append(value)
