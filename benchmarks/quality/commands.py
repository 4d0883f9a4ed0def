"""The product's own commands, run in this process: torch loads once."""

import contextlib
import importlib.util
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparse_formats.errors import InputError

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "out" / "quality"
"""Models that several cells begin from; made when first asked for, not kept in the repository."""


def pruning(command: str, *options: object) -> dict[str, Any]:
    """What `python -m pruning <command> … --json -` prints."""
    from pruning.__main__ import COMMANDS
    from sparse_formats.terminal.command import call

    with _unprinted() as printed:
        call(COMMANDS, command, *options, "--json", "-")
    return json.loads(printed.getvalue())


def quietly(command: str, *options: object) -> None:
    """Run a command of `pruning` for what it writes."""
    from pruning.__main__ import COMMANDS
    from sparse_formats.terminal.command import call

    with _unprinted():
        call(COMMANDS, command, *options)


def evaluated(*options: object) -> dict[str, Any]:
    """The figures of `eval`, by variant."""
    return pruning("eval", *options)["figures"]


def simulated(mask: Path, *options: object) -> dict[str, float]:
    """Cycles and energy of 128 tokens on tf_mvp, by the simulator's own command."""
    from accel_sim.__main__ import COMMANDS
    from sparse_formats.terminal.command import call

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        report = Path(folder) / "report.json"
        words = ("--mask", mask, *options, "--json", report, "--no-check", "--no-advice")
        call(COMMANDS, "run", *words)
        total = json.loads(report.read_text())["total"]
    return {
        "cycles": total["cycles"],
        "dense_cycles": total["dense_cycles"],
        "energy_uj": total["energy_j"] * 1e6,
    }


def at_equal_area(mask: Path, machine: str) -> dict[str, float]:
    """Cycles and energy of 128 tokens on `machine`, with as many PEs as make tf_mvp's area."""
    from accel_sim.__main__ import COMMANDS
    from sparse_formats.terminal.command import call

    words = ("--mask", mask, "--accelerator", "tf_mvp", "--accelerator", machine)
    with _unprinted() as printed:
        call(COMMANDS, "compare", *words, "--equal", "area", "--json", "-")
    pair = json.loads(printed.getvalue())["pairs"][1]
    return {
        "cycles": pair["cycles"],
        "time_us": pair["latency_s"] * 1e6,
        "energy_uj": pair["energy_j"] * 1e6,
    }


def directions(mask: Path) -> list[dict[str, Any]]:
    """D and coherence of each matrix."""
    return [
        {key: m.get(key) for key in ("name", "kind", "strength", "verdict")}
        for m in _flat(pruning("analyze", "--mask", mask)["matrices"])
    ]


def _flat(matrices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each matrix with the entries of its "direction" beside its name."""
    return [{**m, **(m.get("direction") or {})} for m in matrices]


def density(account: dict[str, Any]) -> dict[str, float]:
    """The kept share of all matrices together."""
    whole = sum(m["rows"] * m["cols"] for m in account["matrices"])
    kept = sum(m["density"] * m["rows"] * m["cols"] for m in account["matrices"])
    return {"density": kept / whole}


def installed(package: str) -> Path:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"it needs the package {package}: make quality")
    return Path(spec.submodule_search_locations[0])


@contextlib.contextmanager
def _unprinted() -> Iterator[io.StringIO]:
    """What is printed in the block, instead of printing it; progress and warnings are dropped."""
    printed, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
        yield printed
