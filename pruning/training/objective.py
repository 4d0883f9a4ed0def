"""What a step makes smaller: the loss of the labels, and the distance to a teacher's answers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruning.models.opening import OpenModel
from pruning.models.precision import computing_in
from pruning.processes import summed
from pruning.training.distillation import answers, check_teacher, distilled, teacher_of
from pruning.training.pruner import Pruner
from pruning.training.step_parts import Part
from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Objective:
    """teacher: whose answers are learned, frozen; None where nothing is distilled."""

    pruner: Pruner
    teacher: Any

    def backward(self, parts: Iterable[Part]) -> float:
        """Put the gradients of a step's parts, over all processes, on the parameters.

        Returns the loss of the labels, of the whole step.

        Raises:
            InputError: a loss that is no finite number.
        """
        import torch

        model = self.pruner.opened.model
        # Not added to 0: the only part of a step has the very loss of the model.
        loss: Tensor = torch.stack([self._backward(part) for part in parts]).sum()
        summed([loss])
        if not bool(loss.isfinite()):
            raise InputError(
                f"the loss of step {self.pruner.done + 1} is {loss.item()}: the run diverged; give "
                "a smaller learning_rate"
            )
        summed(p.grad for p in model.parameters() if p.grad is not None)
        return float(loss)

    def _backward(self, part: Part) -> "Tensor":
        opened, training = self.pruner.opened, self.pruner.training
        with computing_in(training.precision, opened.device):
            output = opened.model(**part.inputs)
            theirs = None if self.teacher is None else answers(self.teacher, part.inputs)
        # The mean over no labels at all is no number.
        loss = output.loss * part.labels if part.labels else output.loss.new_zeros(())
        whole = loss
        if theirs is not None:
            share, temperature = training.distill, training.temperature
            whole = distilled(loss, output, theirs, part.inputs, share, temperature, part.answers)
        whole.backward()
        return loss.detach().float()


def guide_of(pruner: Pruner, teacher: OpenModel | None, longest: int) -> Any:
    """The frozen model to distil from; None where nothing is distilled.

    teacher: whom distilling learns from; the dense model itself if none is given. longest: tokens
    of the longest example.

    Raises:
        InputError: a teacher of another kind, or one that nothing is learned from.
    """
    distill = pruner.training.distill
    if teacher is None:
        return _dense_self(pruner) if distill else None
    if not distill:
        raise InputError(
            f"teacher {teacher.name} has no effect with distill 0; give a distill above 0, up to 1"
        )
    check_teacher(pruner.opened, teacher, longest)
    return teacher.model.requires_grad_(False)


def _dense_self(pruner: Pruner) -> Any:
    """The model without masks, which hide its weights already."""
    for matrix, weight in zip(pruner.matrices, pruner.original, strict=True):
        matrix.parameter.data = matrix.stored(weight)
    teacher = teacher_of(pruner.opened.model)
    pruner.mask_weights()
    return teacher
