"""What decides which weights stay while a model learns. One file per method, listed here.

Two kinds. A *hard* method has a mask of 0 and 1 at every step, made by the recipe's pattern from
its importance: hard movement, gradual magnitude, regrowth, group lasso, LoRAPrune, recovery. A
*relaxed* method multiplies weights by gates that are thresholded or drawn, steered to the asked
density: soft movement, L0, head gates; its mask is made from its importance once the ramp is over.
"""

from collections.abc import Mapping

from pruning.training.methods.gradual_magnitude import GradualMagnitude
from pruning.training.methods.group_lasso import GroupLasso
from pruning.training.methods.head_gates import HeadGates
from pruning.training.methods.l0 import L0
from pruning.training.methods.lora_prune import LoRAPrune
from pruning.training.methods.method import Method
from pruning.training.methods.movement import Movement
from pruning.training.methods.recovery import Recovery
from pruning.training.methods.regrowth import Regrowth
from pruning.training.methods.soft_movement import SoftMovement

METHODS: Mapping[str, type[Method]] = {
    "movement": Movement,
    "soft_movement": SoftMovement,
    "l0": L0,
    "gradual_magnitude": GradualMagnitude,
    "regrowth": Regrowth,
    "group_lasso": GroupLasso,
    "head_gates": HeadGates,
    "lora_prune": LoRAPrune,
    "recovery": Recovery,
}
