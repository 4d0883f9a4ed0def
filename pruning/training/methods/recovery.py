"""Recovery: a given mask, whose kept weights learn."""

from pruning.training.methods.gradual_magnitude import GradualMagnitude


class Recovery(GradualMagnitude):
    """No choice at all: the mask is given and locked from the first step."""
