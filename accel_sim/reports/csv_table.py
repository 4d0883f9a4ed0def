"""Results as rows of a CSV file."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from accel_sim.reports.results import LayerResult
from sparse_formats.untrusted import csv_cell


def csv_rows(layers: Sequence[LayerResult]) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of layers.csv: the plain fields, then cycles and energy by cause."""
    nested = ("storage_bits", "cycles_by_cause", "energy_by_component_j")
    left_out = (*nested, "limited_by", "energy_band_j", "units", "pe_load", "product")
    plain = [field.name for field in fields(LayerResult) if field.name not in left_out]
    parts = [(key, part) for key in nested for part in getattr(layers[0], key)]
    header = plain + [f"{key}.{part}" for key, part in parts]
    rows = [
        [getattr(layer, key) for key in plain] + [getattr(layer, key)[part] for key, part in parts]
        for layer in layers
    ]
    return header, rows


def as_csv(layers: Sequence[LayerResult]) -> str:
    """layers.csv: one row a layer; see `csv_cell` for names that look like formulas."""
    return csv_text(*csv_rows(layers))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows under a header, as a CSV file has them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    return text.getvalue()
