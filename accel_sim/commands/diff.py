"""The command `diff`: two reports side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_formats.terminal.options import MemoryOption
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from accel_sim.comparisons.diff import Diff


@dataclass(frozen=True, kw_only=True)
class Settings(MemoryOption):
    """Show what changed between two reports: the machine, and the cycles and energy by cause."""

    before: Path = option("The report.json of a run.", is_argument=True)
    after: Path = option("The report.json of another run.", is_argument=True)


def run(settings: Settings) -> Diff:
    """Read both reports and compare them."""
    from accel_sim.comparisons.diff import diff

    return diff(settings.before, settings.after)


def show(settings: Settings, result: Diff) -> None:
    """Print what differs."""
    from accel_sim.comparisons.diff_terminal import print_diff
    from sparse_formats.terminal.tables import new_console

    print_diff(result, new_console())
