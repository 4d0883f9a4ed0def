"""What holds for every test, and for every process that a test starts."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

# Read when the libraries load, which is after this file: one thread of torch and of the BLAS
# is the fastest on few cores, no window is ever opened, and no model is looked for on a hub.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["HF_HUB_OFFLINE"] = "1"

# No deadline: the first example of a kernel pays for its compilation.
settings.register_profile("mvpsim", deadline=None, derandomize="CI" in os.environ)
# For `make check`: the same examples each time, and fewer of them.
settings.register_profile("quick", deadline=None, derandomize=True, max_examples=6)
settings.load_profile("mvpsim")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers of Dask on this machine."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as found:
        yield found
