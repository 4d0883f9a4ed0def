"""The frozen energy and area tables of 28 nm, what other nodes are of it, and how they are read.

Every row carries low, nominal, high, a mark and a source. SRAM figures were computed with CACTI 7
(28 nm, itrs-lstp, one bank): log-log interpolation between the sizes, the ends' values beyond them.
Their high case is 1.6 times nominal: CACTI is that much below Horowitz's 8 KB figure.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

SRAM_HIGH_FACTOR = 1.6

_FOLDER = Path(__file__).parent
_TABLES = {
    "energy": ("energy_28nm.csv", "action"),
    "area": ("area_28nm.csv", "part"),
    "sram": ("sram_28nm.csv", "kilobytes"),
    "nodes": ("nodes.csv", "factor"),
}
"""File and first column of each table."""


@dataclass(frozen=True)
class SramPoint:
    """One bank of `bytes`: pJ per byte read and written, area in mm²."""

    bytes: float
    read_pj_per_byte: float
    write_pj_per_byte: float
    mm2: float


def energy_pj(action: str, case: str) -> float:
    """pJ per `action` in the low, nominal or high case."""
    return float(_rows("energy")[action][case])


def area(part: str, case: str) -> float:
    """µm² or gates per `part` in the low, nominal or high case."""
    return float(_rows("area")[part][case])


def node_factor(quantity: str, node: str, case: str) -> float:
    """What `quantity` ("energy", "area" or "wire") is at `node`, "45nm" say, over 28 nm."""
    return float(_rows("nodes")[f"{quantity}_{node}"][case])


def sram_bank(bytes_: float, case: str) -> SramPoint:
    """Energy and area of one SRAM bank of `bytes_`."""
    points = _sram_points()
    factor = SRAM_HIGH_FACTOR if case == "high" else 1.0
    sizes = [p.bytes for p in points]
    return SramPoint(
        bytes_,
        factor * _log_log(bytes_, sizes, [p.read_pj_per_byte for p in points]),
        factor * _log_log(bytes_, sizes, [p.write_pj_per_byte for p in points]),
        # Area goes on in proportion beyond the table's ends: a bank of 4 MB is four of 1 MB.
        _log_log(bytes_, sizes, [p.mm2 for p in points])
        * max(bytes_ / sizes[-1], 1.0)
        * min(bytes_ / sizes[0], 1.0),
    )


def table_rows() -> dict[str, list[dict[str, str]]]:
    """Every row of every table as it stands in the files, with mark and source."""
    return {name: list(_rows(name).values()) for name in _TABLES}


@cache
def _rows(table: str) -> dict[str, dict[str, str]]:
    name, key = _TABLES[table]
    with (_FOLDER / name).open(encoding="utf-8", newline="") as file:
        return {row[key]: row for row in csv.DictReader(file)}


@cache
def _sram_points() -> tuple[SramPoint, ...]:
    return tuple(
        SramPoint(
            1024 * float(row["kilobytes"]),
            float(row["read_pj"]) / (int(row["width_bits"]) / 8),
            float(row["write_pj"]) / (int(row["width_bits"]) / 8),
            float(row["mm2"]),
        )
        for row in _rows("sram").values()
    )


def _log_log(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Piecewise power law through the points, constant beyond them."""
    return float(np.exp(np.interp(np.log(x), np.log(xs), np.log(ys))))
