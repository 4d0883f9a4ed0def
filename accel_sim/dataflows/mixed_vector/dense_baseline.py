"""The same layer with nothing pruned: all-true, values without any index, in the best choice."""

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.mixed_vector.choice import Chosen, Encodings, choose
from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.lines import dense_lines
from accel_sim.inputs.activations import Inputs, Layer


class DenseBaseline:
    """Runs dense layers; encodes each shape once."""

    def __init__(self, machine: Configuration) -> None:
        self._machine = machine
        self._encodings: dict[tuple[int, int], Encodings] = {}

    def __call__(self, layer: Layer, inputs: Inputs) -> LayerRun:
        return self.chosen(layer, inputs).run

    def chosen(self, layer: Layer, inputs: Inputs) -> Chosen:
        """The layer in the way that takes the fewest cycles."""
        shape, name = layer.matrix.shape, layer.matrix.name
        if shape not in self._encodings:
            self._encodings[shape] = Encodings(
                self._machine, name, lambda mode: dense_lines(shape, mode), {}
            )
        return choose(layer, inputs, self._encodings[shape], self._machine)
