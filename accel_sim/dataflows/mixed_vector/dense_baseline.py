"""The same layer with nothing pruned: all-true, values without any index, in the faster mode."""

from accel_sim.dataflows.abstract.account import LayerRun, total_cycles
from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.cycle_loop import Stepper
from accel_sim.dataflows.mixed_vector.layer import run_steppers, steppers_of
from accel_sim.dataflows.mixed_vector.stream import Stored, dense
from accel_sim.inputs.activations import Inputs, Layer


class DenseBaseline:
    """Runs dense layers; encodes and schedules each shape once."""

    def __init__(self, machine: Configuration) -> None:
        self._machine = machine
        self._modes: dict[tuple[int, int], list[tuple[Stored, list[Stepper]]]] = {}

    def __call__(self, layer: Layer, inputs: Inputs) -> LayerRun:
        """The faster of row mode and column mode (ties: row mode)."""
        shape = layer.matrix.shape
        if shape not in self._modes:
            self._modes[shape] = [
                (stored, steppers_of(stored, self._machine, layer.matrix.name))
                for stored in (dense(shape, "horizontal"), dense(shape, "vertical"))
            ]
        runs = [
            run_steppers(layer, inputs, stored, steppers, self._machine)
            for stored, steppers in self._modes[shape]
        ]
        return min(runs, key=lambda run: total_cycles(run.tiles, len(run.group_sizes)))
