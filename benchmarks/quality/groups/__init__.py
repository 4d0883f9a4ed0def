"""What a cell of each group does, and what the page says of the group: one file a group."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.quality.cells import Cell
from benchmarks.quality.groups import (
    decoder,
    direction,
    encoder,
    kprune,
    llm,
    once_for_all,
    search,
    tuned_encoder,
)
from benchmarks.quality.tables import Cells

Measure = Callable[[Cell, Path, Path], dict[str, Any]]
"""(cell, folder of the data, empty folder) → what the cell's file holds besides the cell itself."""

GROUPS: Mapping[str, tuple[Measure, Callable[[Cells], list[str]]]] = {
    "search": (search.measure, search.section),
    "decoder": (decoder.measure, decoder.section),
    "tuned": (tuned_encoder.measure, tuned_encoder.section),
    "encoder": (encoder.measure, encoder.section),
    "llm": (llm.measure, llm.section),
    "direction": (direction.measure, direction.section),
    "kprune": (kprune.measure, kprune.section),
    "once": (once_for_all.measure, once_for_all.section),
}
"""In the order of the page."""
