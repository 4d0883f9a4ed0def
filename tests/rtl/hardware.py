"""The RTL, compiled for a machine by Icarus or Verilator, and what it prints."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.rtl.encoding import SmallMachine, Tile

SOURCES = Path(__file__).parents[2] / "rtl"
PLACES = 8
TAKER: tuple[str, ...] = (
    "busy",
    "zero_skip",
    "window",
    "decompressor",
    "last",
    "dropped",
    "drop_cycles",
    "live",
)


@dataclass(frozen=True)
class Pass:
    """Counters of a pass.

    slots: offered, blocked, starved; takers: those of TAKER, by slot and column.
    cause: of the wait before it, 1 the tile, 2 the accumulators.
    """

    cause: int
    start: int
    steps: int
    end: int
    executed: int
    fills: int
    inputs: int
    full: int
    words: int
    slots: dict[int, tuple[int, int, int]]
    takers: dict[tuple[int, int], dict[str, int]]


@dataclass(frozen=True)
class Run:
    """What the machine did with a layer; outputs: int32 (tokens, outputs)."""

    cycles: int
    first_latency: int
    dram_busy: int
    write_busy: int
    faults: int
    passes: list[Pass]
    outputs: NDArray[np.int64]


@dataclass(frozen=True)
class Job:
    """A layer for the machine; activations: int8 (tokens, inputs)."""

    tiles: Sequence[Tile]
    activations: NDArray[np.int8]
    outputs: int
    is_resident: bool = False


def parameters(machine: SmallMachine) -> dict[str, int]:
    """Of the RTL; everything else is told to it with each layer."""
    return {
        "P": machine.rows,
        "T": machine.columns,
        "G": machine.lanes,
        "M": min(machine.lanes, 8),
        "A": machine.accumulators,
        "Q": machine.queue,
        "Z": machine.zero_skip,
        "W": machine.window,
        "IPC": machine.inputs_per_cycle,
        "LATENCY": machine.latency,
        "B": machine.word_bytes,
        "BW": machine.buffer_words,
        "WORDS": machine.weight_bytes // (machine.rows * machine.word_bytes),
        "PORT": machine.write_words,
        "PER_COLUMN": int(machine.per_column),
        "SELECT": machine.lane_select,
        "PLACES": PLACES,
    }


def icarus(machine: SmallMachine, folder: Path, sources: Path = SOURCES) -> Path:
    """The program of the machine."""
    program = folder / "machine.vvp"
    options = [f"-Pbench.{name}={value}" for name, value in parameters(machine).items()]
    files = sorted(map(str, sources.glob("*.sv")))
    done = subprocess.run(
        ["iverilog", "-g2012", "-s", "bench", *options, "-o", str(program), *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return program


def verilator(machine: SmallMachine, folder: Path, sources: Path = SOURCES) -> Path:
    """As `icarus`; takes about a minute."""
    options = [f"-G{name}={value}" for name, value in parameters(machine).items()]
    files = sorted(map(str, sources.glob("*.sv")))
    done = subprocess.run(
        [
            "verilator",
            "--binary",
            "-O3",
            "-Wno-fatal",
            "-Wno-lint",
            "--top-module",
            "bench",
            *options,
            "--Mdir",
            str(folder / "built"),
            "-o",
            "machine",
            *files,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "built" / "machine"


class Stuck(Exception):
    """A layer did not end in time."""


def run(
    program: Path,
    machine: SmallMachine,
    jobs: Sequence[Job],
    most_cycles: int = 1_000_000,
    waves: Path | None = None,
) -> list[Run]:
    """What the machine does with each layer; waves: a file for the values of its signals (VCD).

    Raises:
        Stuck: a layer takes more than `most_cycles`.
    """
    listed = program.parent / "jobs.txt"
    with listed.open("w") as file:
        for job in jobs:
            tokens, inputs = job.activations.shape
            is_snake = machine.policy in ("snake", "set_associative")
            places = PLACES if job.is_resident else 4
            rate = round(machine.dram_bytes * 1000)
            print(
                machine.share, int(is_snake), len(job.tiles), tokens, places,
                machine.first_latency, rate, int(job.is_resident), inputs, job.outputs, file=file,
            )  # fmt: skip
            address = 0
            for tile in job.tiles:
                print(address, tile.row_words, tile.lead, file=file)
                for k in range(3):
                    print(*(tile.parts[k] if k < len(tile.parts) else (0, 1)), file=file)
                address += len(tile.data)
            print(address, file=file)
            for tile in job.tiles:
                file.writelines(f"{byte:x}\n" for byte in tile.data)
            file.writelines(f"{x}\n" for x in job.activations.ravel())
    command = [str(program), f"+jobs={listed}", f"+most_cycles={most_cycles}"]
    if waves is not None:
        command.append(f"+vcd={waves}")
    if program.suffix == ".vvp":
        command = [shutil.which("vvp") or "vvp", "-n", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    if "stuck" in done.stdout:
        raise Stuck(f"a layer took more than {most_cycles} cycles")
    return _parsed(done.stdout, jobs)


def _parsed(text: str, jobs: Sequence[Job]) -> list[Run]:
    runs: list[Run] = []
    passes: list[Pass] = []
    layer: list[int] = []
    faults = 0
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word == "fault":
            faults += 1
        elif word == "pass":
            passes.append(Pass(*map(int, rest), slots={}, takers={}))
        elif word == "slot":
            slot, *numbers = map(int, rest)
            passes[-1].slots[slot] = (numbers[0], numbers[1], numbers[2])
            for column, at in enumerate(range(3, len(numbers), len(TAKER))):
                taker = dict(zip(TAKER, numbers[at : at + len(TAKER)], strict=True))
                passes[-1].takers[slot, column] = taker
        elif word == "layer":
            layer = list(map(int, rest))
        elif word == "outputs":
            job = jobs[len(runs)]
            values = np.array([0 if "x" in x else int(x) for x in rest], np.int64)
            outputs = values.reshape(-1, job.outputs)
            runs.append(Run(*layer[1:], faults=faults, passes=passes, outputs=outputs))
            passes, faults = [], 0
    assert len(runs) == len(jobs), f"{len(runs)} of {len(jobs)} layers were run"
    return runs
