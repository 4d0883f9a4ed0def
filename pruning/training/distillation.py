"""Learning from a teacher: L = (1 − w)·L_hard + w·T²·KL(teacher ‖ student) at temperature T.

The divergence is the mean over examples; of a language model every token is one that is not
padding, with a label or without.
Source: Hinton et al. 2015; shares, temperature and tokens as Prune Once for All (Zafrir et al.
2021) has them, where w = 0.5 and T = 2 in pre-training and w = 1 in tuning for a task.
"""

import copy
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pruning.models.opening import OpenModel
from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_LABELS = ("labels", "start_positions", "end_positions")


def teacher_of(model: "PreTrainedModel") -> "PreTrainedModel":
    """A frozen copy of the model as it is now."""
    teacher = copy.deepcopy(model).eval()
    return teacher.requires_grad_(False)


def check_teacher(student: OpenModel, teacher: OpenModel, longest: int) -> None:
    """InputError unless both models answer the same question in the same words.

    longest: tokens of the longest example.
    """
    where = f"teacher {teacher.name}"
    if teacher.task != student.task:
        raise InputError(f"{where} is for {teacher.task}, but {student.name} is for {student.task}")
    if _vocabulary(teacher) != _vocabulary(student):
        raise InputError(
            f"{where} has another vocabulary than {student.name}; give a teacher with the same one"
        )
    mine, theirs = _classes(student), _classes(teacher)
    if mine != theirs:
        raise InputError(f"{where} has {theirs}, but {student.name} has {mine}")
    if longest > teacher.max_length:
        raise InputError(
            f"{where} reads at most {teacher.max_length} tokens, but the longest example has "
            f"{longest}; give a smaller length"
        )


def answers(teacher: "PreTrainedModel", inputs: "Mapping[str, Tensor]") -> Any:
    """The teacher's outputs on a batch, without a loss; inputs it does not know are left out."""
    import torch

    known = inspect.signature(teacher.forward).parameters
    asked = {k: v for k, v in inputs.items() if k in known and k not in _LABELS}
    with torch.no_grad():
        return teacher(**asked)


def distilled(
    loss: "Tensor",
    student: Any,
    teacher: Any,
    inputs: "Mapping[str, Tensor]",
    share: float,
    temperature: float,
    part: float = 1.0,
) -> "Tensor":
    """The mixed loss of a batch, from both models' outputs on `inputs`.

    part: of a step's answers that are in this batch, where `loss` is that part of the step's.

    A regression's one number learns by the mean squared difference instead. With share 1 labels do
    not count at all, whatever their loss.
    """
    import torch
    import torch.nn.functional as F

    names = ("logits",) if hasattr(student, "logits") else ("start_logits", "end_logits")
    parts = []
    for name in names:
        ours, theirs = (
            _examples(getattr(each, name).float(), inputs) for each in (student, teacher)
        )
        if ours.shape[-1] == 1:
            parts.append(F.mse_loss(ours, theirs))
            continue
        ours, theirs = (F.log_softmax(each / temperature, -1) for each in (ours, theirs))
        divergence = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
        parts.append(temperature**2 * divergence)
    soft = share * part * torch.stack(parts).mean()
    return soft if share == 1 else (1 - share) * loss + soft


def _examples(logits: "Tensor", inputs: "Mapping[str, Tensor]") -> "Tensor":
    """`logits` with one row an example: those of a language model by token, padding left out."""
    if logits.dim() < 3:
        return logits
    taken = inputs.get("attention_mask")
    return logits.flatten(0, 1) if taken is None else logits[taken.bool()]


def _vocabulary(opened: OpenModel) -> dict[str, int] | None:
    return None if opened.tokenizer is None else opened.tokenizer.get_vocab()


def _classes(opened: OpenModel) -> str:
    """What the model chooses among, in words."""
    config: Any = opened.model.config
    if opened.task == "classify":
        return ", ".join(f"{number} {name}" for number, name in sorted(config.id2label.items()))
    if opened.task in ("causal", "masked"):
        return f"{config.vocab_size} tokens"
    return opened.task
