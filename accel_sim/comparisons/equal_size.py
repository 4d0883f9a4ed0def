"""Machines made as large as the first one: with as many MACs, or as much area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from sparse_formats.errors import SettingError

if TYPE_CHECKING:
    from accel_sim.dataflows.abstract.dataflow import Machine

Equal = Literal["as-is", "macs", "area"]


def made_equal(machines: Sequence[Machine], equal: Equal) -> list[Machine]:
    """The machines with as many MACs, or as much area, as the first one has.

    What is changed is the number of PEs (`Machine.resized`); buffers, DRAM and clock stay. Of the
    numbers whose MACs or area do not exceed the first machine's, the largest is taken.

    Raises:
        SettingError: naming the machine that exceeds them with the fewest PEs already.
    """
    first = machines[0]
    if equal == "as-is":
        return list(machines)
    return [first, *(_fitted(machine, first, equal) for machine in machines[1:])]


def _fitted(machine: Machine, first: Machine, equal: Equal) -> Machine:
    from accel_sim.costs.area import machine_area

    def size(candidate: Machine) -> float:
        if equal == "macs":
            return candidate.macs
        return sum(machine_area(candidate).values())

    limit, step = size(first) * (1 + 1e-12), machine.resize_step
    if size(machine.resized(step)) > limit:
        raise SettingError(
            "equal",
            f"is {equal}, but {machine.name} has more {equal} than {first.name} even with {step} "
            "PEs; name another machine first, or give an accelerator file of your own",
        )
    low, high = 1, 2
    while size(machine.resized(high * step)) <= limit:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if size(machine.resized(middle * step)) <= limit:
            low = middle
        else:
            high = middle
    return machine.resized(low * step)
