"""The schemas that come with the package."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from accel_sim.schemas import model_report, run_report

SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "report": run_report.schema,
    "model": model_report.schema,
}
"""What gives the schema of each file, by its name without `.json`."""


def path_of(name: str) -> Path:
    """Where the schema of a file stands."""
    return Path(__file__).with_name(f"{name}.schema.json")
