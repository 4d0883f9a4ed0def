"""How much each attention head matters: Michel, Levy & Neubig 2019, their variants told apart.

With a gate ξ = 1 on a head's output A, ∂L/∂ξ = Σ A·∂L/∂A. Three readings of its absolute value
are in use, and they rank heads differently:

* "token":   |A·∂L/∂A| per token, then summed (the authors' code);
* "example": |Σ over an example's tokens| (the paper's E_x |∂L(x)/∂ξ|);
* "batch":   |Σ over a batch| (transformers' run_bertology; signs of examples cancel).

Each is divided by what it is summed over. With `normalise` each layer is divided by its L2 norm,
as both codes do, which makes heads of different layers comparable only in rank within a layer.
`leave_one_out` measures what the gradient estimates: the loss without the head.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pruning.data.examples import Examples
from pruning.evaluation.comparison import unchanged
from pruning.models.devices import exact
from pruning.models.opening import OpenModel
from sparse_formats.errors import InputError, nearest

if TYPE_CHECKING:
    from torch import Tensor

Variant = Literal["token", "example", "batch"]


def head_importance(
    opened: OpenModel,
    examples: Examples,
    variant: Variant = "example",
    normalise: bool = False,
    batch: int = 8,
) -> list[NDArray[np.float64]]:
    """Importance of each head, (heads,) per attention block, in evaluation mode.

    Raises:
        InputError: unknown variant, no known heads, examples without labels.
    """
    import torch

    if variant not in get_args(Variant):
        raise InputError(f"unknown variant {variant!r}{nearest(variant, get_args(Variant))}")
    if not opened.attentions:
        raise InputError(f"the heads of {opened.name} are not known")
    if "labels" not in examples.rows[0] and "start_positions" not in examples.rows[0]:
        raise InputError(
            f"model {opened.name} is for {opened.task}, so it has no loss and no importance"
        )
    found = [np.zeros(a.heads) for a in opened.attentions]
    summed = 0
    for first in range(0, len(examples), batch):
        numbers = range(first, min(first + batch, len(examples)))
        inputs = examples.batch(numbers, opened.device)
        outputs, loss = _with_head_outputs(opened, inputs)
        loss.backward()
        rows = len(inputs["input_ids"])
        taken = inputs.get("attention_mask")
        tokens = inputs["input_ids"].numel() if taken is None else int(taken.sum())
        # The loss is a mean over the batch; a sum makes batches of different size count alike.
        summed += {"token": tokens, "example": rows, "batch": rows}[variant]
        for total, attention, passes in zip(found, opened.attentions, outputs, strict=True):
            # Layers that share a block (ALBERT) share its heads, too: one gate, several passes.
            product = torch.stack([_times_gradient(output) for output in passes]).sum(0) * rows
            product = product.reshape(rows, -1, attention.heads, attention.head_dim).sum(-1)
            total += (
                {
                    "token": lambda p: p.abs().sum((0, 1)),
                    "example": lambda p: p.sum(1).abs().sum(0),
                    "batch": lambda p: p.sum((0, 1)).abs(),
                }[variant](product)
                .cpu()
                .numpy()
            )
        opened.model.zero_grad()
    scaled = [total / summed for total in found]
    if not normalise:
        return scaled
    return [layer / max(float(np.linalg.norm(layer)), 1e-20) for layer in scaled]


def leave_one_out(
    opened: OpenModel, measure: Callable[[OpenModel], float]
) -> list[NDArray[np.float64]]:
    """By how much `measure` (a loss) grows without each head, (heads,) per attention block."""
    before = measure(opened)
    grown: list[NDArray[np.float64]] = []
    for attention in opened.attentions:
        layer = np.zeros(attention.heads)
        for head in range(attention.heads):
            with unchanged(opened):
                columns = list(attention.out.lines(head))
                opened.by_name[attention.out.matrix].view[:, columns] = 0
                layer[head] = measure(opened) - before
        grown.append(layer)
    return grown


def _times_gradient(output: "Tensor") -> "Tensor":
    """A·∂L/∂A, float64."""
    assert output.grad is not None
    return exact(output.detach() * output.grad)


def _with_head_outputs(opened: OpenModel, inputs: Any) -> "tuple[Sequence[list[Tensor]], Tensor]":
    """What goes into each attention output matrix, pass by pass, keeping gradients; and the loss.

    More than one pass where layers share the block.
    """
    seen: dict[str, list[Tensor]] = {a.out.matrix: [] for a in opened.attentions}
    handles = []
    for attention in opened.attentions:
        name = attention.out.matrix

        def note(module: Any, given: tuple[Any, ...], name: str = name) -> None:
            given[0].retain_grad()
            seen[name].append(given[0])

        handles.append(opened.by_name[name].module.register_forward_pre_hook(note))
    try:
        loss = opened.model(**inputs).loss
    finally:
        for handle in handles:
            handle.remove()
    return [seen[attention.out.matrix] for attention in opened.attentions], loss
