"""Learning from the dense model: L = (1 − w)·L_hard + w·T²·KL(teacher ‖ student) at temperature T.

The divergence is the mean over examples; of a language model every token with a label is one.
Source: Hinton et al. 2015; shares and temperature as nn_pruning and Prune Once for All use them.
"""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pruning.examples import IGNORED

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def teacher_of(model: "PreTrainedModel") -> "PreTrainedModel":
    """A frozen copy of the model as it is now."""
    teacher = copy.deepcopy(model).eval()
    return teacher.requires_grad_(False)


def distilled(
    loss: "Tensor",
    student: Any,
    teacher: Any,
    inputs: "Mapping[str, Tensor]",
    share: float,
    temperature: float,
) -> "Tensor":
    """The mixed loss of a batch, from both models' outputs on `inputs`."""
    import torch
    import torch.nn.functional as F

    names = ("logits",) if hasattr(student, "logits") else ("start_logits", "end_logits")
    parts = []
    for name in names:
        ours, theirs = getattr(student, name), getattr(teacher, name)
        labels = inputs.get("labels")
        if labels is not None and labels.dim() == 2:
            counted = labels != IGNORED
            ours, theirs = ours[counted], theirs[counted]
        parts.append(
            F.kl_div(
                F.log_softmax(ours / temperature, -1),
                F.log_softmax(theirs / temperature, -1),
                reduction="batchmean",
                log_target=True,
            )
        )
    return (1 - share) * loss + share * temperature**2 * torch.stack(parts).mean()
