"""Files that claim much: how long they take and how much memory, each in a process of its own."""

import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_BANNER = "%%MatrixMarket matrix coordinate real general\n"
_MEASURED = (
    "import resource, sys\n"
    "from importlib import import_module\n"
    "from sparse_formats.errors import InputError\n"
    "from sparse_formats.terminal.command import call\n"
    "commands = import_module(f'{sys.argv[1]}.__main__').COMMANDS\n"
    "try:\n"
    "    call(commands, *sys.argv[2:])\n"
    "except InputError as error:\n"
    "    print('REFUSED', error)\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
)


@dataclass(frozen=True)
class Measured:
    """One command on one file. said: why it was refused, "" if it was not."""

    what: str
    command: str
    read_bytes: int
    seconds: float
    peak_bytes: int
    said: str


def overlapping_tensors(folder: Path) -> Path:
    """5,000 tensors of 16 MB each, all in the same bytes of the file."""
    path, size = folder / "tensors.safetensors", 16 * 10**6
    entry = {"dtype": "F32", "shape": [2000, 2000], "data_offsets": [0, size]}
    header = json.dumps({f"t{i}": entry for i in range(5000)}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    return path


def many_matrices(folder: Path) -> Path:
    """120 .mtx files of 70 bytes, each of 15,000 × 15,000 places."""
    made = folder / "many"
    made.mkdir()
    for i in range(120):
        (made / f"m{i}.mtx").write_text(f"{_BANNER}15000 15000 1\n7 9 1.0\n")
    return made


def empty_texts(folder: Path) -> Path:
    """An array of 10⁹ texts of no character."""
    head = b"{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000,), }\n"
    path = folder / "texts.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("m.npy", b"\x93NUMPY\x01\0" + len(head).to_bytes(2, "little") + head)
    return path


def large_and_sparse(folder: Path) -> Path:
    """50,000 × 50,000 places, 10 entries."""
    path, draw = folder / "large.mtx", np.random.default_rng(0)
    entries = "".join(f"{i} {j} 1.5\n" for i, j in draw.integers(1, 50_001, (10, 2)))
    path.write_text(f"{_BANNER}50000 50000 10\n{entries}")
    return path


FILES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "5,000 overlapping tensors": (overlapping_tensors, ("inspect", "run")),
    "10⁹ empty texts": (empty_texts, ("inspect", "run")),
    "50,000 × 50,000, 10 entries": (large_and_sparse, ("inspect", "run", "eie", "check")),
    "120 × 15,000 × 15,000, 1 entry": (many_matrices, ("check", "run")),
}

_COMMANDS = {
    "inspect": ("sparse_formats", "inspect"),
    "run": ("accel_sim", "run", "--tokens", "1"),
    "eie": ("accel_sim", "run", "--tokens", "1", "--accelerator", "eie"),
    "check": ("pruning", "check", "--pattern", "mvp"),
}


def measure(folder: Path) -> Iterator[Measured]:
    """Every file with its commands."""
    for what, (make, commands) in FILES.items():
        path = make(folder)
        read = [path] if path.is_file() else list(path.iterdir())
        for command in commands:
            words = [*_COMMANDS[command], "--mask", str(path)]
            started = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-c", _MEASURED, *words],
                capture_output=True,
                text=True,
                check=True,
            )
            *printed, peak = done.stdout.splitlines()
            refused = [line for line in printed if line.startswith("REFUSED")]
            unit = 1 if sys.platform == "darwin" else 1024
            yield Measured(
                what,
                command,
                sum(file.stat().st_size for file in read),
                time.monotonic() - started,
                int(peak) * unit,
                refused[0] if refused else "",
            )
