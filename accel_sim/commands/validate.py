"""The command `validate`: numbers of others beside ours, by what they prove."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_formats.errors import InputError
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from accel_sim.validation.agreement import Finding


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Recompute every number that can be checked; the exit status is 1 where one differs.

    The tables are divided by who a number is from: somebody else's program or table, a paper, or
    ourselves. Only numbers that are asserted to agree count for the exit status. Others are shown.
    """

    live: bool = option(
        "Run SCALE-Sim anew and compare its counts, instead of the stored ones.", default=False
    )
    python: Path | None = option(
        "Python of an environment with scalesim==3.0.0; it goes with --live.", default=None
    )


def run(settings: Settings) -> tuple[Finding, ...]:
    """Compute our side of every agreement."""
    from accel_sim.validation.registry import findings
    from accel_sim.validation.scale_sim import frozen
    from accel_sim.validation.scale_sim import live as run_scale_sim
    from accel_sim.validation.systolic import live_findings

    if settings.live != (settings.python is not None):
        raise InputError(
            "validate: give --live and --python PATH together; PATH is the interpreter of an "
            'environment with scalesim==3.0.0 "numpy<2.3"'
        )
    if settings.python is None:
        return tuple(findings())
    return tuple(live_findings(run_scale_sim(settings.python, frozen())))


def show(settings: Settings, result: tuple[Finding, ...]) -> int:
    """Print the table; 1 if an asserted agreement does not hold."""
    from accel_sim.comparisons.terminal import print_findings
    from sparse_formats.terminal.tables import new_console

    return int(not print_findings(result, new_console()))
