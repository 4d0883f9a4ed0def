"""Is every dataflow a member of one family, with nothing left unsaid?"""

import ast
from pathlib import Path

import numpy as np
import pytest

import accel_sim
from accel_sim.costs.area import machine_area
from accel_sim.costs.energy import CHARGES, COMPONENTS, prices_pj
from accel_sim.dataflows.abstract.account import ACTIONS
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.registry import DATAFLOWS
from accel_sim.inputs.activations import Inputs, Layer
from accel_sim.machines.load import builtin_accelerators, load_machine
from sparse_formats.masks.matrix import MaskedMatrix

SOURCES = Path(accel_sim.__file__).parent
MACHINES = {name: load_machine(name) for name in builtin_accelerators()}


def test_is_every_dataflow_listed_under_its_own_name_and_used_by_a_machine() -> None:
    assert {name: kind.dataflow for name, kind in DATAFLOWS.items()} == {n: n for n in DATAFLOWS}
    assert {type(machine) for machine in MACHINES.values()} == set(DATAFLOWS.values())


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_does_every_machine_count_and_price_only_what_the_tables_know(machine: Machine) -> None:
    matrix = MaskedMatrix("m", np.random.default_rng(0).random((40, 48)) < 0.4)
    run = machine.run(Layer(0, matrix), Inputs(3, None, None))
    for tile in run.tiles:
        assert tuple(tile.causes) == tuple(machine.causes)
        assert set(tile.actions) <= set(ACTIONS) <= set(CHARGES)
    prices = prices_pj(machine)
    assert all(charge.price in prices for charge in CHARGES.values())
    assert {charge.component for charge in CHARGES.values()} == set(COMPONENTS)
    assert min(machine_area(machine).values()) > 0


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_is_a_machine_of_twice_the_pes_twice_as_large(machine: Machine) -> None:
    larger = [machine.resized(n * machine.resize_step).macs for n in (1, 2, 4)]
    assert larger[0] * 2 == larger[1] and larger[1] * 2 == larger[2]


def test_asks_nobody_outside_the_dataflows_which_one_it_is() -> None:
    kinds = {kind.__name__ for kind in DATAFLOWS.values()} | {"Configuration", "MaskMachine"}
    found = [
        f"{path.relative_to(SOURCES)}: {kind}"
        for path in sorted(SOURCES.rglob("*.py"))
        if path.relative_to(SOURCES).parts[0] != "dataflows"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for kind in asked(node)
        if kind in kinds
    ]
    assert not found


def asked(node: ast.AST) -> list[str]:
    """Names of the classes that `node`, an isinstance or a case, asks for."""
    match node:
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, kinds]):
            return [name.id for name in ast.walk(kinds) if isinstance(name, ast.Name)]
        case ast.MatchClass(cls=ast.Name(id=kind)):
            return [kind]
        case _:
            return []


def test_a_planted_question_is_caught() -> None:
    source = "isinstance(machine, (Eie, int))\nmatch machine:\n    case Rcsc(): pass"
    nodes = ast.walk(ast.parse(source))
    assert sorted(kind for node in nodes for kind in asked(node)) == ["Eie", "Rcsc", "int"]
