"""From what pruning promises to what a run gets, as factors whose product is the speed-up.

    speed-up = kept weights · skipped zeros · dense run · (cause after cause of cycles_by_cause)

Each factor is a ratio of numbers that the report states, so their product is exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

KEPT_WEIGHTS, SKIPPED_ZEROS, DENSE_RUN = "kept_weights", "skipped_zeros", "dense_run"


@dataclass(frozen=True)
class Step:
    """key: one of the names above, or a cause. speedup: over the dense run, with this step."""

    key: str
    factor: Fraction
    speedup: Fraction

    def as_data(self) -> dict[str, Any]:
        """As it stands in report.json."""
        return {"step": self.key, "factor": float(self.factor), "speedup": float(self.speedup)}


def waterfall(result: Mapping[str, Any]) -> list[Step] | None:
    """The steps of a layer or of the total; None without a dense run or without multiplications.

    result: `macs_dense`, `macs_executed`, `macs_skipped`, `dense_cycles`, `cycles` and
    `cycles_by_cause` of a report.
    """
    executed, causes = result["macs_executed"], result["cycles_by_cause"]
    spent = causes.get("compute", 0)
    if not (executed and spent and result["dense_cycles"] and result["cycles"]):
        return None
    kept = executed + result["macs_skipped"]
    factors = {KEPT_WEIGHTS: Fraction(result["macs_dense"], kept)}
    if kept != executed:
        factors[SKIPPED_ZEROS] = Fraction(kept, executed)
    # What is left of dense cycles over cycles of multiplication when fewer MACs explain the rest.
    factors[DENSE_RUN] = Fraction(
        result["dense_cycles"] * executed, spent * max(result["macs_dense"], 1)
    )
    for cause, cycles in causes.items():
        if cause != "compute" and cycles:
            factors[cause] = Fraction(spent, spent + cycles)
            spent += cycles
    steps, speedup = [], Fraction(1)
    for key, factor in factors.items():
        speedup *= factor
        steps.append(Step(key, factor, speedup))
    return steps
