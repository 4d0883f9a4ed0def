"""§3: instructions of the vector unit, counted one by one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from accel_sim.dataflows.abstract.machine_sections import Vector


@dataclass(frozen=True)
class Spent:
    """Cycles, operations, and numbers that are read from and written to the activation buffer."""

    cycles: int = 0
    operations: int = 0
    read: int = 0
    written: int = 0


def total(parts: Iterable[Spent]) -> Spent:
    every = list(parts)
    return Spent(
        sum(each.cycles for each in every),
        sum(each.operations for each in every),
        sum(each.read for each in every),
        sum(each.written for each in every),
    )


def up(number: int, divisor: int) -> int:
    """The quotient, rounded up."""
    return -(-number // divisor)


def elementwise(unit: Vector, elements: int, operands: int = 1) -> Spent:
    cycles = up(elements, unit.elements_per_cycle) + unit.latency_cycles
    return Spent(cycles, elements, operands * elements, elements)


def exp(unit: Vector, elements: int) -> Spent:
    return _special(unit, elements, unit.exp_cycles, unit.exp_operations)


def divide(unit: Vector, elements: int) -> Spent:
    return _special(unit, elements, unit.divide_cycles, unit.divide_operations)


def root(unit: Vector, elements: int) -> Spent:
    return _special(unit, elements, unit.root_cycles, unit.root_operations)


def _special(unit: Vector, elements: int, cycles: int, operations: int) -> Spent:
    spent = up(elements, unit.elements_per_cycle) * cycles + unit.latency_cycles
    return Spent(spent, operations * elements, elements, elements)


def reduction(unit: Vector, rows: Sequence[int]) -> Spent:
    """rows: the elements of each."""
    levels = 0
    while 2**levels < unit.elements_per_cycle:
        levels += 1
    cycles = sum(up(row, unit.elements_per_cycle) for row in rows) + levels
    return Spent(cycles + unit.latency_cycles, sum(rows), sum(rows), len(rows))


def norm(unit: Vector, kind: str, rows: int, width: int) -> Spent:
    reductions = {"layer": 2, "rms": 1}[kind]
    return total(
        [
            *[reduction(unit, [width] * rows)] * reductions,
            root(unit, rows),
            *[elementwise(unit, rows * width)] * 2,
        ]
    )


def softmax(unit: Vector, rows: Sequence[int]) -> Spent:
    return total(
        [
            *[reduction(unit, rows)] * 2,
            exp(unit, sum(rows)),
            divide(unit, len(rows)),
            elementwise(unit, sum(rows)),
        ]
    )


def embedding(unit: Vector, elements: int, tables: int, *, is_vision: bool) -> Spent:
    first = [] if is_vision else [elementwise(unit, elements)]
    additions = tables - len(first)
    return total([*first, *[elementwise(unit, elements, 2)] * additions])


def rope(unit: Vector, elements: int) -> Spent:
    return total([elementwise(unit, elements)] * 3)


def activation(unit: Vector, kind: str, elements: int, *, is_gated: bool) -> Spent:
    steps = [elementwise(unit, elements)]
    if kind in ("gelu", "silu"):
        steps.insert(0, exp(unit, elements))
    if is_gated:
        steps.append(elementwise(unit, elements, 2))
    return total(steps)


def residual(unit: Vector, elements: int) -> Spent:
    return elementwise(unit, elements, 2)
