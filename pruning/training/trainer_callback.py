"""A callback with which `transformers.Trainer` does what our own loop does."""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pruning.data.examples import IGNORED
from pruning.models.opening import OpenModel
from pruning.quantization.qat import fake_quantized
from pruning.quantization.ranges import Ranges
from pruning.training.distillation import answers, distilled
from pruning.training.objective import guide_of
from pruning.training.pruner import Pruner
from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

OURS = {"accumulate": 1, "precision": "fp32", "gradient_checkpointing": False}
"""Settings that the Trainer has its own of, as they must be."""


def trainer_callback(pruner: Pruner, teacher: OpenModel | None = None) -> Any:
    """A `TrainerCallback` for `Trainer(callbacks=[…])` on the model `pruner` was prepared on.

    teacher: whom distilling learns from; the dense model itself if none is given.

    Training.steps must be the Trainer's max_steps; batch, learning rate, precision, accumulation
    and gradient checkpointing are the Trainer's. With distilling the loss of a batch that has
    labels is mixed while the model trains. After `train()` the model is pruned, `callback.masks`
    holds the masks, and `callback.ranges` what training with rounding learned.

    Raises:
        InputError: a setting that the Trainer has of its own; a teacher of another kind.
    """
    for name, value in OURS.items():
        if (found := getattr(pruner.training, name)) != value:
            raise InputError(
                f"{name} is {found!r}, but with a Trainer it is set in TrainingArguments; leave it "
                "out of the settings of the pruner"
            )
    guide = guide_of(pruner, teacher, 0)
    from transformers import TrainerCallback

    class PruningCallback(TrainerCallback):
        """Masked weights in forward and evaluation, dense ones under the optimiser."""

        masks: Any = None
        ranges: Mapping[str, Ranges] = {}

        def __init__(self) -> None:
            self.training = contextlib.ExitStack()

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if pruner.training.quantize == "int8":
                layers = self.training.enter_context(fake_quantized(pruner.opened))
                self.ranges = {name: layer.ranges for name, layer in layers.items()}
            if guide is not None:
                self.training.enter_context(_learning_from(guide, pruner))

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            pruner.gradients()

        def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            pruner.step()

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.training.close()
            self.masks = pruner.finalize()

    return PruningCallback()


@contextlib.contextmanager
def _learning_from(guide: "PreTrainedModel", pruner: Pruner) -> Iterator[None]:
    """Mix the loss of the training model with the distance to `guide` while the block runs."""
    model, training = pruner.opened.model, pruner.training
    own, before = model.forward, model.__dict__.get("forward")
    guide.to(pruner.opened.device)  # type: ignore[arg-type]  # a Trainer moves the model itself

    @functools.wraps(own)
    def forward(*given: Any, **inputs: Any) -> Any:
        output = own(*given, **inputs)
        if model.training and output.loss is not None:
            known = {k: v for k, v in inputs.items() if k != "num_items_in_batch"}
            output.loss = distilled(
                output.loss,
                output,
                answers(guide, known),
                known,
                training.distill,
                training.temperature,
                _part(known, pruner.opened.task, inputs.get("num_items_in_batch")),
            )
        return output

    model.forward = forward
    try:
        yield
    finally:
        if before is None:
            del model.forward
        else:
            model.forward = before


def _part(inputs: "Mapping[str, Tensor]", task: str, of_step: "Tensor | int | None") -> Any:
    """The share of a step's labels that are in a batch, where the Trainer counts a step's labels:
    its loss is then a sum over the batch ÷ their number."""
    if of_step is None:
        return 1.0
    labels = inputs["labels"][..., 1:] if task == "causal" else inputs["labels"]
    return (labels != IGNORED).sum() / of_step
