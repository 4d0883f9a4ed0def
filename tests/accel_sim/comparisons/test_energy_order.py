"""Does compare tell within which band its energy order holds, as one recomputes it by hand?"""

import pytest

from accel_sim.comparisons.compare import Pair, compare
from accel_sim.comparisons.compare_terminal import order_sentences
from accel_sim.comparisons.energy_order import energy_orders
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from tests.accel_sim.workloads import random_matrix


def pair(accelerator: str, energy: float, wires: float, low: float, high: float) -> Pair:
    return Pair(
        mask="m",
        accelerator=accelerator,
        macs=1,
        stored="",
        dense="dense",
        tokens=1,
        density=None,
        needed_share=None,
        bound_by=None,
        cycles=1,
        latency_s=1.0,
        energy_j=energy,
        energy_wires_j=wires,
        energy_band_j={"low": low, "high": high},
        area_mm2=1.0,
    )


def test_where_does_the_order_flip() -> None:
    # Without wires a needs 4 and b 9; each time the wires' cost is added, 6 and 3. They meet at
    # 9 − 4 = 5 of a difference of 3: at 5/3.
    a, b = pair("a", 10, 6, 5, 30), pair("b", 12, 3, 6, 20)
    (order,) = energy_orders([b, a])
    assert order.accelerators == ("a", "b")
    assert (order.wires_from, order.wires_to) == (0, pytest.approx(5 / 3))
    assert [flip.case for flip in order.flips] == ["high", None]
    assert order_sentences(order.as_data()) == [
        "Energy on m, from least to most: a, b.",
        "This order holds where wires cost from 0.00 to 1.67 times what the tables say.",
        "b needs less than a with every row of the cost tables high.",
        "b needs less than a where wires cost more than 1.67 times.",
    ]


def test_where_does_the_order_flip_without_wires() -> None:
    # Without wires a needs 9 and c 4; with them 10 and 12. They meet at 5/7.
    (order,) = energy_orders([pair("a", 10, 1, 5, 30), pair("c", 12, 8, 6, 40)])
    assert (order.wires_from, order.wires_to) == (pytest.approx(5 / 7), None)
    assert order_sentences(order.as_data())[1:] == [
        "This order holds where wires cost at least 0.71 times what the tables say.",
        "It also holds with every row of the cost tables low, and with all high.",
        "c needs less than a where wires cost less than 0.71 times.",
    ]


def test_has_one_machine_no_order() -> None:
    assert energy_orders([pair("a", 10, 6, 5, 30)]) == []


def test_is_the_energy_of_wires_that_of_the_report() -> None:
    work = Workload.of([random_matrix((40, 48), 0.4)], Activations(3))
    found, _ = compare({"m": work}, [load_machine("systolic_ws")])
    assert 0 < found.energy_wires_j < found.energy_j
    assert found.energy_band_j["low"] < found.energy_j < found.energy_band_j["high"]
