"""Is the simulator slower than the frozen figures of this kind of processor? `make bench-check`.

A row fails where its speed over the probe's lies 15 % under the frozen one in each of three visits,
so that another program's noise does not count as ours. A slow-down of 20 % that is planted on
purpose must be found.
"""

import time
from collections.abc import Callable

import pytest

from benchmarks.accel_sim import frozen

VISITS, LIMIT, PLANTED = 3, 0.85, 0.2


@pytest.fixture(scope="module")
def old() -> dict[str, float]:
    if not frozen.path().exists():
        pytest.skip(f"nothing is frozen of {frozen.kind()}; python -m benchmarks.accel_sim.frozen")
    return frozen.read(frozen.path())


@pytest.mark.parametrize("name", frozen.ROWS)
def test_is_a_row_as_fast_as_it_was(old: dict[str, float], name: str) -> None:
    highest = visits(frozen.ROWS[name](), old[name])
    assert highest >= LIMIT, f"at most {highest:.2f} of the frozen speed in {VISITS} visits"


def test_is_a_planted_slow_down_found() -> None:
    work = frozen.ROWS["128×768×768, dense"]()
    before = frozen.probes_in(work)
    highest = visits(slowed(work), before)
    assert highest < LIMIT, f"{PLANTED:.0%} slower, but {highest:.2f} of the speed before"


def visits(work: Callable[[], object], before: float) -> float:
    """New / old speed, in the best of up to three visits."""
    highest = 0.0
    for _ in range(VISITS):
        highest = max(highest, before / frozen.probes_in(work))
        if highest >= LIMIT:
            break
    return highest


def slowed(work: Callable[[], object]) -> Callable[[], None]:
    """`work` at 1 − `PLANTED` of its speed."""

    def slow() -> None:
        start = time.process_time()
        work()
        end = start + (time.process_time() - start) / (1 - PLANTED)
        while time.process_time() < end:
            pass

    return slow
