"""Settings of `run` that write the run in time: a timeline, waveforms, a trace of the DRAM."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_formats.errors import SettingError
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accel_sim.inputs.workload import Workload
    from accel_sim.pipeline import Runs
    from accel_sim.traces.record import Wish


@dataclass(frozen=True, kw_only=True)
class TraceOptions:
    """What is written of a run in time, and which part of it in detail."""

    trace: Path | None = option(
        "File for a timeline that ui.perfetto.dev opens (.pftrace).",
        default=None,
        writes="file",
        suffix=".pftrace",
        is_replayed=False,
    )
    trace_layer: str | None = option(
        "Show the units of the layers whose names this pattern matches.",
        default=None,
        metavar="REGEX",
        otherwise="the layer that takes the most cycles",
        is_replayed=False,
    )
    trace_cycles: str | None = option(
        "Trace only these cycles of the run, from A up to B, B left out.",
        default=None,
        metavar="A:B",
        otherwise="all",
        is_replayed=False,
    )


def wish_of(settings: TraceOptions) -> Wish | None:
    """What is wanted in detail; None where no timeline is written.

    Raises:
        SettingError: cycles that are none; a setting of a timeline that is not written.
    """
    from accel_sim.traces.record import Wish

    if settings.trace is None:
        for name in ("trace_layer", "trace_cycles"):
            if getattr(settings, name) is not None:
                raise SettingError(name, "belongs to --trace FILE; add it")
        return None
    if settings.trace_layer is not None:
        try:
            re.compile(settings.trace_layer)
        except re.error as error:
            raise SettingError(
                "trace_layer", f"is {settings.trace_layer!r}, which is no pattern: {error}"
            ) from error
    return Wish(settings.trace_layer, _cycles(settings.trace_cycles))


def _cycles(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,18}):(\d{1,18})", text)
    if found is None or int(found[1]) >= int(found[2]):
        raise SettingError(
            "trace_cycles", f"is {text!r}; give two whole numbers A:B with A below B, e.g. 0:5000"
        )
    return int(found[1]), int(found[2])


def write_traces(
    settings: TraceOptions, runs: Runs, workload: Workload, wish: Wish | None
) -> Sequence[str]:
    """Write what is asked for; what to tell about it, a line each."""
    from accel_sim.traces import perfetto
    from accel_sim.traces.record import record
    from sparse_formats.files.atomic import replace_file

    said: list[str] = []
    if settings.trace is not None and wish is not None:
        trace = record(runs, workload, wish)
        with replace_file(settings.trace) as file:
            for piece in perfetto.encode(trace):
                file.write(piece)
        said += [f"trace    {settings.trace}: open it in ui.perfetto.dev; 1 ns is 1 cycle"]
        said += [f"         {each}" for each in trace.said]
    return said
