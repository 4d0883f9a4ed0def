"""Dense products whose second operand is no weight: what one takes alone on the array.

docs/whole_models.md §4: it has values and no index, the decompressor is passed by, and it is there
when the product starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from accel_sim.dataflows.abstract.account import Account
from accel_sim.dataflows.abstract.dataflow import Machine, Multiplication
from accel_sim.dataflows.abstract.timeline import alone
from accel_sim.inputs.activations import Inputs, Layer
from sparse_formats.masks.matrix import MaskedMatrix

_ROOMY = 2**40


@dataclass(frozen=True, eq=False)
class Product:
    """cycles, and their causes; multiplications, and what lanes did besides; actions."""

    cycles: int
    causes: Mapping[str, int]
    executed: int
    padding: int
    clocked: int
    actions: Mapping[str, int]


class DenseProducts:
    """Each shape is run once."""

    def __init__(self, machine: Machine) -> None:
        self._machine = replace(
            machine,
            dram=replace(machine.dram, resident=True),
            activation_buffer=replace(machine.activation_buffer, bytes=_ROOMY),
        )
        self._run = self._machine.dense_baseline()
        self._found: dict[tuple[int, int, int], Product] = {}
        self._multiplications: dict[tuple[int, int, int], Multiplication] = {}

    def of(self, outputs: int, inputs: int, tokens: int) -> Product:
        """`outputs` × `inputs` by `tokens`."""
        shape = (outputs, inputs, tokens)
        if shape not in self._found:
            matrix = MaskedMatrix("QKᵀ or AV", np.ones((outputs, inputs), np.bool_))
            run = self._run(Layer(0, matrix, tokens), Inputs(tokens, None, None))
            time = alone(run, self._machine)
            self._found[shape] = _product(self._machine.account(run, time), time.cycles)
        return self._found[shape]

    def multiplication(self, outputs: int, inputs: int, tokens: int) -> Multiplication:
        """How the same product is computed, on a machine that computes products."""
        shape = (outputs, inputs, tokens)
        if shape not in self._multiplications:
            matrix = MaskedMatrix("QKᵀ or AV", np.ones((outputs, inputs), np.bool_))
            self._multiplications[shape] = self._machine.multiplication(
                matrix, tokens, is_dense=True
            )
        return self._multiplications[shape]


def _product(account: Account, cycles: int) -> Product:
    by_time = ("dram_bytes", "dram_activations", "leaking_cycles", "clocked_cycles")
    actions = {key: n for key, n in account.actions.items() if key not in by_time}
    return Product(
        cycles=cycles,
        causes={cause: n for cause, n in account.causes.items() if n},
        executed=account.executed,
        padding=account.padding,
        clocked=account.actions["clocked_cycles"],
        actions={**actions, "decoded_bits": 0},
    )
