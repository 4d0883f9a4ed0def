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
from accel_sim.inputs.activations import Activations, Inputs, Layer
from accel_sim.machines.load import builtin_accelerators, load_machine
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import random_matrix, simulated

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


@pytest.mark.parametrize("is_recorded", [True, False])
def test_are_effectual_products_the_same_for_every_machine(is_recorded: bool) -> None:
    # Values so small that operands of 8 and 16 bits round them to zero are not zeros.
    matrix = random_matrix((70, 90), 0.3)
    x = np.where(np.random.default_rng(1).random((6, 90)) < 0.4, 1.0, 0.0)
    x[x != 0] = np.geomspace(1e-7, 1, np.count_nonzero(x))
    activations = Activations(6, recorded={"m": x}) if is_recorded else Activations(6, 0.4, 3)
    names = [*builtin_accelerators(), "tf_mvp:array.datatype=int8"]
    found = set()
    for name, *settings in (name.split(":") for name in names):
        (layer,) = simulated([matrix], load_machine(name, settings), activations, threads=1)
        found.add(layer.macs_effectual)
        assert layer.macs_executed + layer.macs_skipped == matrix.nnz * 6
        assert layer.ideal_compute_cycles <= layer.cycles
    by_hand = sum(int(matrix.keep[:, c].sum()) * int((x[:, c] != 0).sum()) for c in range(90))
    assert found == {by_hand} if is_recorded else len(found) == 1
