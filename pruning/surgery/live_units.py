"""Which heads, neurons and channels of a masked model add something; the others leave exactly.

* a head whose columns of the attention output are 0, or whose value rows (and value bias) are 0,
  adds nothing. A head with empty Q or K does not leave: its attention is uniform, not zero.
  With grouped-query attention a key/value head leaves with all the query heads it serves.
* a neuron adds nothing whose column of FFN2 (down) is 0, or, where its bias is 0 too, whose row of
  up is 0, or of FFN1 or gate, if the activation of 0 is 0.
* a channel of the residual stream is 0 that nothing writes (its row of every attention output and
  FFN2, and its column of the embeddings are 0): models with RMSNorm only, whose weight and ε make
  up for the smaller mean. LayerNorm subtracts a mean over all channels: that cannot be made up.

The bias of an attention output or of FFN2 is no head's and no neuron's: it stays whatever leaves.
"""

from typing import TYPE_CHECKING

from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.structure.attention_and_feed_forward import Attention, FeedForward
from pruning.structure.slices import Slice
from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_ZERO_AT_ZERO = ("gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "relu", "silu", "swish")
_ACTIVATIONS = ("hidden_act", "activation_function", "activation", "hidden_activation")
_ACTIVATIONS += ("dense_act_fn",)
"""What configs call the activation of the feed-forward layers."""

_RMS = ("RMSNorm", "T5LayerNorm")


def live_heads(opened: OpenModel, attention: Attention) -> list[int]:
    """Key/value heads that add something."""
    live = []
    for unit in range(attention.kv_heads):
        columns = [_part(opened, attention.out, head) for head in attention.group(unit)]
        values = _part(opened, attention.value, unit)
        bias = _bias(opened, attention.value, unit)
        silent = not values.any() and (bias is None or not bias.any())
        if not silent and any(bool(part.any()) for part in columns):
            live.append(unit)
    return live


def live_neurons(opened: OpenModel, block: FeedForward) -> list[int]:
    """Neurons that add something."""
    import torch

    live = (_lines(opened, block.output, block.width) != 0).any(0)
    named = [getattr(opened.model.config, key, None) for key in _ACTIVATIONS]
    activation = next((name for name in named if isinstance(name, str)), "")
    for number, part in enumerate(block.inputs):
        rows = (_lines(opened, part, block.width) != 0).any(1)
        bias = getattr(opened.by_name[part.matrix].module, "bias", None)
        if bias is not None:
            rows = rows | (bias[part.start : part.start + block.width] != 0)
        # act(gate) · up is 0 with up; with gate, as with a lone FFN1, only if act(0) = 0.
        if number > 0 or activation in _ZERO_AT_ZERO:
            live = live & rows
    return torch.nonzero(live).flatten().tolist()


def live_channels(opened: OpenModel) -> list[int] | None:
    """Channels that something writes; None where all are written, or it is not known.

    Raises:
        InputError: some are not, and the model normalises with LayerNorm.
    """
    import torch
    from torch import nn

    hidden = getattr(opened.model.config, "hidden_size", None)
    writers = [opened.by_name.get(a.out.matrix) for a in opened.attentions]
    writers += [opened.by_name.get(b.output.matrix) for b in opened.feed_forwards]
    modules = list(opened.model.modules())
    tables = [m.weight.detach() for m in modules if isinstance(m, nn.Embedding)]
    if None in writers or not writers or hidden is None or _words(opened) != hidden:
        return None
    live = torch.stack([(t != 0).any(0) for t in tables if t.shape[1] == hidden]).any(0)
    for matrix in writers:
        assert matrix is not None
        if matrix.shape[0] != hidden:
            return None
        live = live | (matrix.view != 0).any(1)
        bias = getattr(matrix.module, "bias", None)
        if bias is not None:
            live = live | (bias.detach() != 0)
    if bool(live.all()) or not bool(live.any()):
        return None
    norms = [type(m).__name__ for m in modules if "Norm" in type(m).__name__]
    if not norms or not all(name.endswith(_RMS) for name in norms):
        raise InputError(
            f"{int((~live).sum())} channels of the residual stream are zero, but {opened.name} "
            "normalises with LayerNorm, whose mean runs over all channels: removing them would "
            "change its outputs; remove heads and neurons only"
        )
    return torch.nonzero(live).flatten().tolist()


def _words(opened: OpenModel) -> int | None:
    """The width of the words' embedding."""
    try:
        return getattr(opened.model.get_input_embeddings(), "embedding_dim", None)
    except NotImplementedError:
        # No model of words.
        return None


def _part(opened: OpenModel, part: Slice, unit: int) -> "Tensor":
    view = _matrix(opened, part).view
    lines = list(part.lines(unit))
    return view[lines] if part.axis == 0 else view[:, lines]


def _lines(opened: OpenModel, part: Slice, count: int) -> "Tensor":
    view = _matrix(opened, part).view
    span = slice(part.start, part.start + count)
    return view[span] if part.axis == 0 else view[:, span]


def _bias(opened: OpenModel, part: Slice, unit: int) -> "Tensor | None":
    bias = getattr(_matrix(opened, part).module, "bias", None)
    return None if bias is None else bias.detach()[list(part.lines(unit))]


def _matrix(opened: OpenModel, part: Slice) -> Matrix:
    found = opened.by_name.get(part.matrix)
    if found is None:
        raise InputError(f"matrix {part.matrix} is left out; open the model whole")
    return found
