"""The same layer with nothing pruned: all-true, values without any index, in the faster mode."""

from collections.abc import Iterable

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
        runs = [
            run_steppers(layer, inputs, stored, steppers, self._machine)
            for stored, steppers in self._both_modes(layer, inputs)
        ]
        return min(runs, key=lambda run: total_cycles(run.tiles, len(run.group_sizes)))

    def _both_modes(
        self, layer: Layer, inputs: Inputs
    ) -> Iterable[tuple[Stored, Iterable[Stepper]]]:
        """The layer's shape as it is stored in either mode, and how its tiles are stepped."""
        shape, name = layer.matrix.shape, layer.matrix.name
        if inputs.nonzero is None:
            # Another layer of this shape is the same: nothing is kept for it.
            modes = (dense(shape, "horizontal"), dense(shape, "vertical"))
            return ((stored, steppers_of(stored, self._machine, name)) for stored in modes)
        if shape not in self._modes:
            self._modes[shape] = [
                (stored, list(steppers_of(stored, self._machine, name)))
                for stored in (dense(shape, "horizontal"), dense(shape, "vertical"))
            ]
        return self._modes[shape]
