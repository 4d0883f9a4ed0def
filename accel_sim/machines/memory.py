"""Memories that come with the package: data sheets in seconds, machines in cycles.

A machine that names one (`[dram] memory = "ddr4_3200"`, `--memory ddr4_3200`) gets its values in
cycles of its own clock; what the machine states itself stays.
"""

import math
from typing import Any

from accel_sim.machines.builtin import builtin_memories
from sparse_formats.errors import InputError, nearest
from sparse_formats.files.toml import read_toml

DRAM_KEYS = (
    "bytes_per_cycle",
    "burst_bytes",
    "first_latency_cycles",
    "efficiency_run_bytes",
    "efficiency_permille",
    "row_bytes",
    "energy",
)
"""What a memory says of the keys of [dram]."""


def load_memory(name: str) -> dict[str, Any]:
    """The data sheet called `name`: a description, and { value, mark, source } for each key.

    Raises:
        InputError: no memory is called so.
    """
    known = builtin_memories()
    if name not in known:
        raise InputError(f"memory {name!r} is unknown{nearest(name, known)}")
    return read_toml(known[name])


def in_cycles(name: str, clock_hz: float, where: str) -> dict[str, dict[str, Any]]:
    """{ value, mark, source } for each of `DRAM_KEYS`, in cycles of `clock_hz`.

    Bytes per cycle are rounded to three digits after the point, latency up to whole cycles.

    Raises:
        InputError: no memory is called so, or it has less than 0.001 bytes for a cycle.
    """
    try:
        sheet = load_memory(name)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    peak, latency = sheet["peak_bytes_per_second"], sheet["first_latency_ns"]
    bytes_per_cycle = round(peak["value"] / clock_hz, 3)
    if not bytes_per_cycle:
        raise InputError(
            f"{where}: {name} has under 0.001 bytes/cycle at {clock_hz / 1e6:g} MHz; lower clock_hz"
        )
    return {
        "bytes_per_cycle": {
            "value": int(bytes_per_cycle) if bytes_per_cycle.is_integer() else bytes_per_cycle,
            "mark": "computed",
            "source": f"{name}: {peak['value'] / 1e9:g} GB/s; {peak['source']}",
        },
        "first_latency_cycles": {
            "value": math.ceil(latency["value"] * clock_hz / 1e9),
            "mark": latency["mark"],
            "source": f"{name}: {latency['value']:g} ns; {latency['source']}",
        },
    } | {
        key: {**sheet[key], "source": f"{name}: {sheet[key]['source']}"}
        for key in DRAM_KEYS
        if key in sheet
    }
