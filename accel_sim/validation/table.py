"""All agreements, machine by machine."""

from collections.abc import Iterator
from dataclasses import dataclass

from accel_sim.validation import cambricon_x, eie, optimus, systolic, tensor_core
from accel_sim.validation.agreement import Agreement

AGREEMENTS: dict[str, tuple[Agreement, ...]] = {
    "systolic": systolic.AGREEMENTS,
    "optimus": optimus.AGREEMENTS,
    "eie": eie.AGREEMENTS,
    "cambricon_x": cambricon_x.AGREEMENTS,
    "tensor_core": tensor_core.AGREEMENTS,
}


@dataclass(frozen=True)
class Finding:
    """An agreement and what we got."""

    agreement: Agreement
    ours: float

    @property
    def holds(self) -> bool:
        return self.agreement.holds(self.ours)

    @property
    def error(self) -> float:
        """Ours − published."""
        return self.ours - self.agreement.published


def findings() -> Iterator[Finding]:
    """Every agreement, recomputed in order."""
    for agreements in AGREEMENTS.values():
        for agreement in agreements:
            yield Finding(agreement, float(agreement.ours()))
