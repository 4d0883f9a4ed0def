"""Which machine needs less energy, within which band of the tables that holds, and where it flips.

Two bands: all rows of the cost tables low or high together, because machines share the tables; and
the cost of wires alone, because it is the least certain row and differs most between machines.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from accel_sim.comparisons.compare import Pair


@dataclass(frozen=True)
class Flip:
    """`dearer` needs less energy than `cheaper` where the tables are otherwise.

    case: "low" or "high" where every row is; or wires cost `wires` times as much, and is_above
    tells whether the order flips above that or below.
    """

    cheaper: str
    dearer: str
    case: str | None = None
    wires: float | None = None
    is_above: bool = False


@dataclass(frozen=True)
class EnergyOrder:
    """accelerators: from least to most energy on `mask`, which names the tokens where they differ.

    wires_from, wires_to: how many times as much wires may cost for the order to hold; None: any.
    """

    mask: str
    accelerators: tuple[str, ...]
    wires_from: float
    wires_to: float | None
    flips: tuple[Flip, ...]

    def as_data(self) -> dict[str, Any]:
        """As it stands in compare.json."""
        return asdict(self)


def energy_orders(pairs: Sequence[Pair]) -> list[EnergyOrder]:
    """The order on each mask with each number of tokens, as they come, without the dense runs.

    None where there is one machine.
    """
    groups: dict[tuple[str, int], list[Pair]] = {}
    for pair in pairs:
        if pair.mask != pair.dense:
            groups.setdefault((pair.mask, pair.tokens), []).append(pair)
    is_one = len({tokens for _, tokens in groups}) == 1
    return [
        _order(mask if is_one else f"{mask} with {tokens} tokens", group)
        for (mask, tokens), group in groups.items()
        if len(group) > 1
    ]


def _order(mask: str, pairs: Iterable[Pair]) -> EnergyOrder:
    ordered = sorted(pairs, key=lambda pair: pair.energy_j)
    flips: list[Flip] = []
    lowest, highest = 0.0, None
    for cheaper, dearer in combinations(ordered, 2):
        names = (cheaper.accelerator, dearer.accelerator)
        for case in ("low", "high"):
            if cheaper.energy_band_j[case] > dearer.energy_band_j[case]:
                flips.append(Flip(*names, case=case))
        crossing = _crossing(cheaper, dearer)
        if crossing is None:
            continue
        is_above = crossing >= 1
        flips.append(Flip(*names, wires=crossing, is_above=is_above))
        if is_above:
            highest = crossing if highest is None else min(highest, crossing)
        else:
            lowest = max(lowest, crossing)
    names_ = tuple(pair.accelerator for pair in ordered)
    return EnergyOrder(mask, names_, lowest, highest, tuple(flips))


def _crossing(cheaper: Pair, dearer: Pair) -> float | None:
    """How many times as much wires cost where both need as much energy; None: nowhere."""
    more_wires = cheaper.energy_wires_j - dearer.energy_wires_j
    if more_wires == 0:
        return None
    times = 1 + (dearer.energy_j - cheaper.energy_j) / more_wires
    return times if times >= 0 else None
