"""Which functions run, account and measure a machine: by mixed-length vectors, or a rival."""

from dataclasses import replace

import numpy as np

from accel_sim.costs.timeline import LayerTime
from accel_sim.dataflows.account import Account, Passes
from accel_sim.dataflows.mixed_vector.account import mixed_vector_account
from accel_sim.dataflows.mixed_vector.layer import LayerRun, run_layer
from accel_sim.dataflows.rival_run import RivalRun, rival_account, run_rival
from accel_sim.machines.description import Accelerator, Machine, Rival
from accel_sim.workload import Inputs, Layer


def run_on(layer: Layer, inputs: Inputs, machine: Machine, is_checked: bool) -> Passes:
    """The passes of one layer; its product too, where the machine's dataflow can show it.

    Raises:
        InputError: the matrix does not fit the machine.
    """
    if isinstance(machine, Rival):
        return run_rival(layer, inputs, machine)
    assert isinstance(machine, Accelerator)
    return run_layer(layer, inputs, machine, is_checked)


def run_dense_rival(layer: Layer, inputs: Inputs, machine: Rival) -> RivalRun:
    """The same layer with nothing pruned."""
    matrix = layer.matrix
    whole = replace(matrix, keep=np.ones(matrix.shape, np.bool_), weight=None, vectors=None)
    return run_rival(replace(layer, matrix=whole), inputs, machine)


def account_of(run: Passes, time: LayerTime, machine: Machine) -> Account:
    """What the passes came to."""
    if isinstance(run, LayerRun) and isinstance(machine, Accelerator):
        return mixed_vector_account(run, time, machine)
    assert isinstance(run, RivalRun)
    return rival_account(run, time, machine)
