"""The command `diff`: two reports side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_formats.terminal.application import emit_json
from sparse_formats.terminal.options import JsonOption, MemoryOption
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from accel_sim.comparisons.diff import Diff


@dataclass(frozen=True, kw_only=True)
class Settings(JsonOption, MemoryOption):
    """Show what differs between two reports: first the inputs, then cycles and energy by cause.

    The reports are two of run, or two of model.
    """

    before: Path = option(
        "The report.json of a run, or the model.json of a model.", is_argument=True
    )
    after: Path = option("The report of another run.", is_argument=True)
    other_matrices: bool = option(
        "Subtract reports of other matrices too, part by part of the same name.", default=False
    )


def run(settings: Settings) -> Diff:
    """Read both reports and compare them."""
    from accel_sim.comparisons.diff import diff

    return diff(settings.before, settings.after, is_other_allowed=settings.other_matrices)


def show(settings: Settings, result: Diff) -> None:
    """Print what differs."""
    from accel_sim.comparisons.diff_terminal import print_diff
    from sparse_formats.terminal.tables import new_console

    if settings.json is not None:
        emit_json(result.as_data(), settings.json)
    print_diff(result, new_console(is_stderr=settings.is_json_printed))
