"""Read many odd inputs; whatever is no InputError, too slow or too large is a finding."""

import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.reliability.fuzz.readers import READERS, Reader
from sparse_formats.errors import InputError

SECONDS = 10
"""Longest an input may take."""

BYTES = 2 * 10**9
"""Most memory that the process may ever have taken: the inputs are small."""


class TooSlow(BaseException):
    """An input took longer than `SECONDS`; no boundary around readers catches it."""


@dataclass
class Found:
    """inputs: how many were read; refused: of these; bad: what went wrong with which input."""

    inputs: int = 0
    refused: int = 0
    longest_s: float = 0.0
    bad: list[str] = field(default_factory=list)

    @property
    def peak_bytes(self) -> int:
        """Most memory that the process has taken."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024)


def fuzz(count: int, seed: int, folder: Path, readers: Mapping[str, Reader] = READERS) -> Found:
    """Read `count` inputs, the readers in turn; inputs that went wrong stay in `folder`."""
    found = Found()
    before = signal.signal(signal.SIGALRM, _too_slow)
    try:
        for name, number in _turns(count, readers):
            _try(readers[name], name, Random(f"{seed} {number}"), folder / "input", found)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return found


def _turns(count: int, readers: Mapping[str, Reader]) -> Iterator[tuple[str, int]]:
    names = list(readers)
    for number in range(count):
        yield names[number % len(names)], number


def _try(reader: Reader, name: str, draw: Random, folder: Path, found: Found) -> None:
    folder.mkdir(parents=True)
    path = reader.make(folder, draw)
    small, started, wrong = found.peak_bytes < BYTES, time.monotonic(), ""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        reader.read(path)
    except InputError as error:
        found.refused += 1
        if len(str(error)) == 0:
            wrong = "an error that says nothing"
    except TooSlow:
        wrong = f"more than {SECONDS} s"
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        wrong = f"{type(error).__name__}: {error} at {frame.filename}:{frame.lineno}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    found.inputs += 1
    found.longest_s = max(found.longest_s, time.monotonic() - started)
    if small and found.peak_bytes >= BYTES:
        wrong = f"{found.peak_bytes} bytes"
    if wrong:
        kept = folder.parent / f"bad-{len(found.bad)}"
        found.bad.append(f"{name}: {wrong[:300]} ({kept})")
        shutil.move(folder, kept)
    else:
        shutil.rmtree(folder)


def _too_slow(signal_number: int, frame: object) -> None:
    raise TooSlow
