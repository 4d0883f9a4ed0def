"""The command `bench`: our products beside those of other libraries, on this CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from sparse_formats.errors import SettingError
from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from kernels.benchmark.timing import Measured

Seconds = Annotated[float, msgspec.Meta(ge=0.01, le=600)]


@dataclass(frozen=True, kw_only=True)
class Settings(JsonOption):
    """Time our sparse products beside MKL, torch and scipy on one thread, and show the ratios."""

    cells: str = option(
        "Time only the cells whose name contains this text, e.g. vertical.", default=""
    )
    seconds: Seconds = option("Seconds of measuring for each cell.", default=2.0)


@dataclass(frozen=True)
class Result:
    """measured: a cell is timed when it is asked for. missing: contenders not installed here."""

    measured: Iterator[Measured]
    missing: tuple[str, ...]


def run(settings: Settings) -> Result:
    """Choose the cells; each is timed as `measured` comes to it."""
    # Read when the libraries load.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    from kernels.benchmark.cells import CELLS, Cell
    from kernels.benchmark.contenders import available_peers
    from kernels.benchmark.timing import measure

    chosen = [cell for cell in CELLS if settings.cells in cell.name]
    if not chosen:
        names = "; ".join(cell.name for cell in CELLS)
        raise SettingError(
            "cells", f"is {settings.cells!r}, which no name contains; known: {names}"
        )
    peers, missing = available_peers()

    def timed(cell: Cell, number: int) -> Measured:
        from rich.console import Console

        # Shown on a terminal only. The first cell of a kind waits for the compiler.
        with Console(stderr=True).status(f"{number} of {len(chosen)}: {cell.name}"):
            return measure(cell, list(peers), settings.seconds)

    return Result((timed(cell, number) for number, cell in enumerate(chosen, 1)), missing)


def show(settings: Settings, result: Result) -> None:
    """Print a line of each cell as soon as it is measured; write the JSON."""
    from kernels.benchmark.timing import as_json

    measured: list[Measured] = []
    for found in result.measured:
        measured.append(found)
        if not settings.is_json_printed:
            _print(found, len(measured) == 1)
    if not settings.is_json_printed:
        _print_end(result.missing)
    if settings.json is not None:
        emit_json(as_json(measured, result.missing), settings.json)


def _print(found: Measured, is_first: bool) -> None:
    columns = list(found.gflops)
    width = 50
    if is_first:
        print(f"{'GFLOP/s of kept weights, medians':{width}}", end="")
        print("".join(f"{name:>13}" for name in columns), end="")
        print(f"{'× mkl':>8}{'required':>9}{'aim':>5}{'× dense':>9}{'of bound':>10}{'pack ms':>9}")
    cell = found.cell
    print(f"{cell.name:{width}}", end="")
    print("".join(f"{gflops:13.1f}" for gflops in found.gflops.values()), end="")
    mkl, dense = (found.ratios.get(name) for name in ("mkl csr", "torch dense"))
    print(f"{_number(mkl):>8}{_number(cell.at_least):>9}{_number(cell.aim):>5}", end="")
    print(f"{_number(dense):>9}{found.of_bound:>10.0%}{found.prepare_seconds * 1e3:>9.0f}")


def _print_end(missing: tuple[str, ...]) -> None:
    from kernels.benchmark.timing import machine_line

    print(machine_line())
    print(
        "× is how many times as fast our product is: the median of rounds in which all take turns. "
        "Dense is torch's product of all weights, kept or not.\n"
        "Of bound is our speed ÷ that of the nearer limit: multiply-adds in registers (fma probe) "
        "or reading the packed weights (read probe)."
    )
    for name in missing:
        package = name.partition(" ")[0]
        print(f"{name} was not measured; pip install {package}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".removesuffix("0")
