"""Counts of SCALE-Sim 3.0.0 for dense products: frozen in a file, and how to make them anew.

SCALE-Sim stays in an environment of its own, because it needs an older numpy:

    python3 -m venv scale-sim
    scale-sim/bin/pip install scalesim==3.0.0 "numpy<2.3"
    python -m accel_sim.validation.scale_sim scale-sim/bin/python counts.csv

"Total Cycles" of its COMPUTE_REPORT.csv is the number, counted from 0, of the cycle in which the
last output word is written; its SRAM is given no bandwidth limit (InterfaceBandwidth = CALC), so
no cycle is a stall.
"""

import csv
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import groupby
from pathlib import Path

from accel_sim.dataflows.systolic import STATIONARY, Stationary
from sparse_formats.errors import InputError
from sparse_formats.files.atomic import write_text

VERSION = "3.0.0"
FROZEN = Path(__file__).with_name("scale_sim_3_0_0.csv")

ARRAYS: dict[tuple[int, int], tuple[tuple[int, int, int], ...]] = {
    # Rows and columns of the array: tokens, outputs and inputs of the products.
    (64, 64): ((128, 768, 768), (1, 768, 768), (7, 65, 130), (200, 63, 1)),
    (16, 16): ((128, 96, 64), (1, 1, 1), (16, 16, 16), (17, 33, 65), (15, 31, 49)),
    (8, 32): ((24, 96, 80), (1, 384, 48), (9, 100, 27), (33, 31, 8)),
    (32, 8): ((24, 96, 80), (1, 48, 384), (9, 100, 27), (31, 9, 33)),
    (7, 5): ((3, 11, 13), (14, 10, 21), (8, 6, 8), (1, 5, 7)),
    (128, 128): ((4, 130, 257), (128, 128, 128), (1, 256, 40)),
    (4, 64): ((10, 70, 30), (128, 64, 4), (5, 3, 90)),
    (2, 3): ((1, 1, 9), (5, 7, 4), (12, 2, 3)),
    (1, 16): ((6, 40, 5), (1, 16, 33)),
    (16, 1): ((6, 5, 40), (33, 1, 16)),
}


@dataclass(frozen=True)
class Counts:
    """One product on one array: tokens × inputs by inputs × outputs.

    cycles: SCALE-Sim's "Total Cycles"; reads and writes in words of its SRAMs.
    """

    array_rows: int
    array_cols: int
    stationary: Stationary
    tokens: int
    outputs: int
    inputs: int
    cycles: int
    input_reads: int
    weight_reads: int
    output_writes: int


def frozen() -> tuple[Counts, ...]:
    """The counts that SCALE-Sim gave when the file was made."""
    with FROZEN.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return tuple(_counts(row) for row in rows)


def live(python: Path, cases: Sequence[Counts]) -> list[Counts]:
    """What SCALE-Sim says now to the products of `cases`, in their order.

    python: the interpreter of an environment that holds SCALE-Sim.

    Raises:
        InputError: it cannot be run, or is of another version.
    """
    found = _run(python, ["-c", _PRINT_VERSION], Path.cwd()).strip()
    if found != VERSION:
        raise InputError(f"{python} holds SCALE-Sim {found}; the counts are those of {VERSION}")
    counts: list[Counts] = []
    for (rows, cols, stationary), group in groupby(
        cases, lambda case: (case.array_rows, case.array_cols, case.stationary)
    ):
        with tempfile.TemporaryDirectory() as folder:
            counts += _run_array(python, rows, cols, stationary, list(group), Path(folder))
    return counts


def cases() -> Iterator[Counts]:
    """Every product of `ARRAYS` in every dataflow, not yet counted."""
    for (rows, cols), products in ARRAYS.items():
        for stationary in STATIONARY:
            for tokens, outputs, inputs in products:
                yield Counts(rows, cols, stationary, tokens, outputs, inputs, 0, 0, 0, 0)


def write(counts: Sequence[Counts], path: Path) -> None:
    """The file that `frozen` reads."""
    text = io.StringIO()
    text.write(f"# SCALE-Sim {VERSION} with numpy<2.3, by\n")
    text.write("# python -m accel_sim.validation.scale_sim scale-sim/bin/python counts.csv\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Counts)])
    writer.writerows(astuple(item) for item in counts)
    write_text(path, text.getvalue())


def _counts(row: dict[str, str]) -> Counts:
    stationary = STATIONARY[STATIONARY.index(row["stationary"])]  # type: ignore[arg-type]
    numbers = {key: int(value) for key, value in row.items() if key != "stationary"}
    return Counts(stationary=stationary, **numbers)


_PRINT_VERSION = "from importlib.metadata import version; print(version('scalesim'))"

_RUN_GEMMS = """
from scalesim.scale_sim import scalesim
scalesim(save_disk_space=True, verbose=False, config="array.cfg", topology="products.csv",
         layout="layout.csv", input_type_gemm=True).run_scale(top_path="out")
"""

# Its three dataflows by the operand that stays, and the other keys that it insists on.
_CODE: dict[Stationary, str] = {"weight": "ws", "output": "os", "input": "is"}
_CONFIGURATION = """[general]
run_name = count
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {cols}
IfmapSramSzkB = 4096
FilterSramSzkB = 4096
OfmapSramSzkB = 4096
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = {code}
ReadRequestBuffer = 512
WriteRequestBuffer = 512
[layout]
IfmapCustomLayout = False
FilterCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""


def _run_array(
    python: Path,
    rows: int,
    cols: int,
    stationary: Stationary,
    group: Sequence[Counts],
    folder: Path,
) -> list[Counts]:
    configuration = _CONFIGURATION.format(rows=rows, cols=cols, code=_CODE[stationary])
    (folder / "array.cfg").write_text(configuration, "utf-8")
    (folder / "layout.csv").write_text("Layer,\n", "utf-8")
    (folder / "out").mkdir()
    lines = [f"{i}, {c.tokens}, {c.outputs}, {c.inputs},\n" for i, c in enumerate(group)]
    (folder / "products.csv").write_text("Layer, M, N, K,\n" + "".join(lines), "utf-8")
    _run(python, ["-c", _RUN_GEMMS], folder)
    compute = _report(folder / "out" / "count" / "COMPUTE_REPORT.csv")
    access = _report(folder / "out" / "count" / "DETAILED_ACCESS_REPORT.csv")
    return [
        Counts(
            rows,
            cols,
            stationary,
            case.tokens,
            case.outputs,
            case.inputs,
            cycles=cycles["Total Cycles"],
            input_reads=accesses["SRAM IFMAP Reads"],
            weight_reads=accesses["SRAM Filter Reads"],
            output_writes=accesses["SRAM OFMAP Writes"],
        )
        for case, cycles, accesses in zip(group, compute, access, strict=True)
    ]


def _report(path: Path) -> list[dict[str, int]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    return [{key: int(float(value)) for key, value in row.items() if value} for row in rows]


def _run(python: Path, arguments: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            [python.absolute(), *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": ""},
        )
    except OSError as error:
        raise InputError(f"{python} cannot be run: {error.strerror}") from error
    if done.returncode:
        last = (done.stderr.strip() or "nothing on stderr").splitlines()[-1]
        raise InputError(f"{python} does not run SCALE-Sim {VERSION}: {last}")
    return done.stdout


if __name__ == "__main__":
    write(live(Path(sys.argv[1]), list(cases())), Path(sys.argv[2]))
