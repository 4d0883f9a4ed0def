"""The dense array beside SCALE-Sim 3.0.0."""

from collections.abc import Iterable, Iterator
from functools import partial

from accel_sim.dataflows.systolic import STATIONARY, Stationary, SystolicArray, last_cycle
from accel_sim.validation.agreement import Agreement, Finding
from accel_sim.validation.scale_sim import VERSION, Counts, frozen


def ours(counts: Counts) -> int:
    """Our cycles of the same product, numbered as SCALE-Sim does."""
    machine = SystolicArray(counts.array_rows, counts.array_cols, counts.stationary)
    return last_cycle(machine, counts.tokens, counts.outputs, counts.inputs)


def differing(stationary: Stationary) -> float:
    """How many of the frozen products take other cycles in SCALE-Sim than here."""
    return sum(ours(c) != c.cycles for c in frozen() if c.stationary == stationary)


def live_findings(counts: Iterable[Counts]) -> Iterator[Finding]:
    """What SCALE-Sim has just said of each product, beside ours."""
    for count in counts:
        agreement = Agreement(
            "systolic",
            f"{count.array_rows}×{count.array_cols} {count.stationary}-stationary, "
            f"{count.tokens} × {count.inputs} × {count.outputs}: last_cycle",
            count.cycles,
            "computed",
            f"SCALE-Sim {VERSION}, run now",
            partial(ours, count),
            tolerance=0,
            from_program=True,
        )
        yield Finding(agreement, float(ours(count)))


_SOURCE = f"SCALE-Sim {VERSION}, run by us: scale_sim_3_0_0.csv"

AGREEMENTS = (
    *(
        Agreement(
            "systolic",
            f"{stationary}-stationary: products, of {len(frozen()) // len(STATIONARY)}, that take "
            "other cycles",
            0,
            "computed",
            _SOURCE,
            partial(differing, stationary),
            tolerance=0,
            from_program=True,
        )
        for stationary in STATIONARY
    ),
    Agreement(
        "systolic",
        "64×64 weight-stationary, 128 tokens, 768×768: number of the last cycle",
        45_791,
        "computed",
        _SOURCE,
        lambda: last_cycle(SystolicArray(64, 64, "weight"), 128, 768, 768),
        tolerance=0,
        from_program=True,
    ),
)
