"""What holds for every benchmark: one thread, and a record of what was measured on what."""

import os
from importlib.metadata import version
from typing import Any

# Read when the libraries load, which is after this file.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    """Keep the versions of what is compared beside the machine's own description."""
    machine_info["versions"] = {name: version(name) for name in ("numpy", "scipy", "numba")}
