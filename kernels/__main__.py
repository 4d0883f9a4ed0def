"""Command line: ``python -m kernels bench``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparse_formats.errors import InputError
from sparse_formats.terminal.application import emit_json, new_app, run

if TYPE_CHECKING:
    from kernels.bench import Measured

app = new_app("Sparse products on this CPU.")


@app.callback()
def _commands() -> None:
    """Sparse products on this CPU."""


@app.command()
def bench(
    cells: Annotated[
        str, typer.Option(help="only cells whose name contains this, e.g. vertical")
    ] = "",
    seconds: Annotated[
        float, typer.Option(min=0.01, max=600, help="measuring time of a cell")
    ] = 2.0,
    json: Annotated[
        str | None, typer.Option(help="write JSON to this file, or - for standard output")
    ] = None,
) -> None:
    """Time our products beside MKL, torch and scipy, one thread, and print the ratios."""
    # Read when the libraries load.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    # Here, so that --help need not wait for numba.
    from rich.console import Console

    from kernels.bench import CELLS, as_json, available_peers, measure
    from sparse_formats.files.atomic import check_writable

    if json not in (None, "-"):
        check_writable(Path(json), [])
    chosen = [cell for cell in CELLS if cells in cell.name]
    if not chosen:
        names = "; ".join(cell.name for cell in CELLS)
        raise InputError(f"no cell's name contains {cells!r}; known: {names}")
    peers, missing = available_peers()
    measured: list[Measured] = []
    # Shown on a terminal only. The first cell of a kind waits for the compiler.
    with Console(stderr=True).status("") as status:
        for number, cell in enumerate(chosen, 1):
            status.update(f"{number} of {len(chosen)}: {cell.name}")
            measured.append(measure(cell, list(peers), seconds))
            if json != "-":
                _print(measured[-1], number == 1)
    if json != "-":
        _print_end(missing)
    if json is not None:
        emit_json(as_json(measured, missing), json)


def _print(found: Measured, is_first: bool) -> None:
    columns = list(found.gflops)
    width = 50
    if is_first:
        print(f"{'GFLOP/s of kept weights, medians':{width}}", end="")
        print("".join(f"{name:>13}" for name in columns), end="")
        print(f"{'× mkl':>8}{'asked':>7}{'aim':>5}{'× dense':>9}{'of bound':>10}{'pack ms':>9}")
    cell = found.cell
    print(f"{cell.name:{width}}", end="")
    print("".join(f"{gflops:13.1f}" for gflops in found.gflops.values()), end="")
    mkl, dense = (found.ratios.get(name) for name in ("mkl csr", "torch dense"))
    print(f"{_number(mkl):>8}{_number(cell.at_least):>7}{_number(cell.aim):>5}", end="")
    print(f"{_number(dense):>9}{found.of_bound:>10.0%}{found.prepare_seconds * 1e3:>9.0f}")


def _print_end(missing: tuple[str, ...]) -> None:
    from kernels.bench import machine_line

    print(machine_line())
    print(
        "×: how many times as fast ours is, median of rounds in which all take turns; "
        "dense: torch's product of all weights, kept or not\n"
        "of bound: our speed over the nearer limit: multiply-adds in registers (fma probe), "
        "or reading the packed weights (read probe)"
    )
    for name in missing:
        package = name.partition(" ")[0]
        print(f"not measured: {name}: {package} is not installed; pip install {package}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".removesuffix("0")


def main() -> None:
    run(app, "kernels")


if __name__ == "__main__":
    main()
