"""A callback with which `transformers.Trainer` does what our own loop does."""

from typing import Any

from pruning.training.pruner import Pruner
from sparse_formats.errors import InputError


def trainer_callback(pruner: Pruner) -> Any:
    """A `TrainerCallback` for `Trainer(callbacks=[…])` on the model `pruner` was prepared on.

    Training.steps must be the Trainer's max_steps; its loss and learning rate are the Trainer's.
    After `train()` the model is pruned, and `callback.masks` holds the masks.

    Raises:
        InputError: the settings ask for what only our own loop does.
    """
    if pruner.training.distill or pruner.training.quantize != "none":
        raise InputError("Trainer neither distils nor rounds; use pruning.training.loop")
    from transformers import TrainerCallback

    class PruningCallback(TrainerCallback):
        """Masked weights in forward and evaluation, dense ones under the optimiser."""

        masks: Any = None

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            pruner.gradients()

        def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            pruner.step()

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.masks = pruner.finalize()

    return PruningCallback()
