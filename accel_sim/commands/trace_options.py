"""Settings of `run` that write the run in time: a timeline, waveforms, a trace of the DRAM."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_formats.errors import SettingError
from sparse_formats.terminal.settings import option

DRAM_FORMATS = ("dramsim3", "ramulator2")

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from accel_sim.dataflows.abstract.dataflow import Machine
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
    vcd: Path | None = option(
        "File for waveforms under the names of the RTL, which GTKWave and Surfer open (.vcd).",
        default=None,
        writes="file",
        suffix=".vcd",
        is_replayed=False,
    )
    trace_layer: str | None = option(
        "Show the units of the layers whose names this regular expression matches.",
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
    dram_trace: Path | None = option(
        "File for the reads and writes of the DRAM, as DRAMsim3 (.dramsim3) or Ramulator 2.1 "
        "(.ramulator2) replays them.",
        default=None,
        writes="file",
        is_replayed=False,
    )
    dram_trace_format: str | None = option(
        "What the trace of the DRAM is written for.",
        default=None,
        choices=DRAM_FORMATS,
        otherwise="what the name of the file ends in",
        is_replayed=False,
    )


def wish_of(settings: TraceOptions) -> Wish | None:
    """What is wanted in detail; None where nothing is written in time.

    Raises:
        SettingError: cycles that are none; a setting of a timeline that is not written.
    """
    from accel_sim.traces.record import Wish

    if settings.trace is None and settings.vcd is None:
        for name in ("trace_layer", "trace_cycles"):
            if getattr(settings, name) is not None:
                raise SettingError(name, "belongs to --trace or --vcd; add one")
        return None
    if settings.trace_layer is not None:
        from sparse_formats.masks.selection import compiled

        compiled(settings.trace_layer, "trace_layer")
    return Wish(settings.trace_layer, _cycles(settings.trace_cycles))


def check_traces(settings: TraceOptions, machine: Machine) -> None:
    """Refuse what cannot be written before anything is computed.

    Raises:
        SettingError: as `wish_of`, `dram_format_of` and `check_waves`.
    """
    wish_of(settings)
    dram_format_of(settings)
    if settings.vcd is not None:
        from accel_sim.traces.waves import check_waves

        check_waves(machine)


def dram_format_of(settings: TraceOptions) -> str | None:
    """What the trace of the DRAM is written for; None where there is none.

    Raises:
        SettingError: nothing says it.
    """
    if settings.dram_trace is None:
        if settings.dram_trace_format is not None:
            raise SettingError("dram_trace_format", "belongs to --dram-trace FILE; add it")
        return None
    suffix = settings.dram_trace.suffix.removeprefix(".")
    if settings.dram_trace_format is not None:
        return settings.dram_trace_format
    if suffix not in DRAM_FORMATS:
        raise SettingError(
            "dram_trace",
            f"is {settings.dram_trace}; end its name in .dramsim3 or .ramulator2, or say which "
            "it is with --dram-trace-format",
        )
    return suffix


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
    # All is recorded, and refused for its size, before anything is written.
    pieces: list[tuple[Path, Iterable[bytes]]] = []
    said: list[str] = []
    if settings.trace is not None and wish is not None:
        from accel_sim.traces import perfetto
        from accel_sim.traces.record import record

        trace = record(runs, workload, wish)
        pieces.append((settings.trace, perfetto.encode(trace)))
        said += [f"trace    {settings.trace}: open it in ui.perfetto.dev; 1 ns is 1 cycle"]
        said += [f"         {each}" for each in trace.said]
    if settings.vcd is not None and wish is not None:
        from accel_sim.traces import vcd
        from accel_sim.traces.waves import record_waves

        pieces.append((settings.vcd, vcd.encode(record_waves(runs, workload, wish))))
        said += [f"waves    {settings.vcd}: open it in GTKWave with rtl/machine.gtkw, or in Surfer"]
    format_ = dram_format_of(settings)
    if settings.dram_trace is not None and format_ is not None:
        from accel_sim.traces import dramsim3, ramulator2
        from accel_sim.traces.dram import dram_trace

        encode = {"dramsim3": dramsim3.encode, "ramulator2": ramulator2.encode}[format_]
        asked = dram_trace(runs)
        pieces.append((settings.dram_trace, encode(asked)))
        said += [
            f"dram     {settings.dram_trace}: {asked.bursts:,} bursts of {asked.burst_bytes} bytes "
            f"for {format_}; weights from 0x0, activations from 0x{asked.activations:x}"
        ]
    for path, encoded in pieces:
        _write(path, encoded)
    return said


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    from sparse_formats.files.atomic import replace_file

    with replace_file(path) as file:
        for piece in pieces:
            file.write(piece)
