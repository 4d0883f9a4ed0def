"""Has a cell become slower than the frozen figures of this kind of processor? `make bench-check`.

A cell fails where our speed over the probes' lies 15 % under the frozen one in each of three
visits, so that another program's noise does not count as ours. A slow-down of 20 % that is planted
on purpose must be found.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest

from benchmarks.kernels import frozen
from kernels.benchmark import timing
from kernels.benchmark.cells import CELLS, Cell
from kernels.benchmark.contenders import Call
from kernels.benchmark.timing import measure

SECONDS, VISITS = 0.3, 3
LIMIT, PLANTED = 0.85, 0.2


@pytest.fixture(scope="module")
def old() -> dict[str, float]:
    if not frozen.path().exists():
        pytest.skip(
            f"no figures of {frozen.kind()} are frozen; python -m benchmarks.kernels.frozen"
        )
    return frozen.read(frozen.path())


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_is_a_cell_as_fast_as_it_was(benchmark: Any, old: dict[str, float], cell: Cell) -> None:
    highest = benchmark.pedantic(lambda: visits(cell, old[cell.name]), rounds=1)
    benchmark.extra_info["new / old, at most"] = highest
    assert highest >= LIMIT, f"at most {highest:.2f} of the frozen speed in {VISITS} visits"


@pytest.mark.parametrize("tokens", [128, 16, 1])
def test_is_a_planted_slow_down_found(
    benchmark: Any, old: dict[str, float], tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = next(c for c in CELLS if c.pattern == "horizontal" and c.tokens == tokens)
    make: Callable[..., Call] = timing.ours
    monkeypatch.setattr(timing, "ours", lambda *arguments: slowed(make(*arguments)))
    highest = benchmark.pedantic(lambda: visits(cell, old[cell.name]), rounds=1)
    assert highest < LIMIT, f"{PLANTED:.0%} slower, but {highest:.2f} of the frozen speed"


def visits(cell: Cell, before: float) -> float:
    """New / old, in the best of up to three visits."""
    highest = 0.0
    for _ in range(VISITS):
        highest = max(highest, measure(cell, [], SECONDS).to_probes_at_best / before)
        if highest >= LIMIT:
            break
    return highest


def slowed(call: Call) -> Call:
    """`call` at 1 − `PLANTED` of its speed."""

    def slow() -> None:
        start = perf_counter()
        call()
        end = start + (perf_counter() - start) / (1 - PLANTED)
        while perf_counter() < end:
            pass

    return slow
