"""From a masked model to a smaller dense one that transformers loads as any other.

What leaves, and when that is exact:

* a head whose columns of the attention output are 0, or whose value rows (and value bias) are 0:
  it adds nothing. A head with empty Q or K does not leave: its attention is uniform, not zero.
  With grouped-query attention a key/value head leaves with all the query heads it serves.
* a neuron whose column of FFN2 (down) is 0, or, without a bias, whose row of FFN1, gate or up is 0
  (activations of 0 are 0 but for the sigmoid, and gate · up is 0 if either is).
* a channel of the residual stream that nothing writes (its row of every attention output and FFN2,
  and its column of the embedding are 0): models with RMSNorm only, whose weight and ε make up for
  the smaller mean. LayerNorm subtracts a mean over all channels, which cannot be made up for.

A config has one number of heads and one width for all layers. Where layers differ, the error says
so, or, with `pad`, every layer keeps as many as the largest: the surplus stays as zeros.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel, assemble
from pruning.models.structure import Attention, FeedForward, Slice
from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

_WIDTHS = ("intermediate_size", "hidden_dim", "n_inner", "ffn_dim", "inner_dim")
"""What configs call the width of the feed-forward layers."""

_ZERO_AT_ZERO = ("gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "relu", "silu", "swish")
_RMS = ("RMSNorm", "T5LayerNorm")


@dataclass(frozen=True)
class Shrunk:
    """The smaller model and what left: heads, neurons (of all layers), channels, weights."""

    opened: OpenModel
    heads: int
    neurons: int
    channels: int
    before: int
    after: int


def shrink(opened: OpenModel, pad: bool = False) -> Shrunk:
    """A smaller dense model with the same outputs as `opened`, whose masks are on already.

    Raises:
        InputError: nothing can leave; layers differ and `pad` is off; the architecture has no
            words for fewer heads.
    """
    import torch

    heads = [_live_heads(opened, attention) for attention in opened.attentions]
    neurons = [_live_neurons(opened, block) for block in opened.feed_forwards]
    channels = _live_channels(opened)
    heads = _even(heads, [a.kv_heads for a in opened.attentions], "heads", pad)
    neurons = _even(neurons, [b.width for b in opened.feed_forwards], "neurons", pad)
    lost_heads = sum(
        a.heads - len(live) * (a.heads // a.kv_heads)
        for a, live in zip(opened.attentions, heads, strict=True)
    )
    lost_neurons = sum(
        b.width - len(live) for b, live in zip(opened.feed_forwards, neurons, strict=True)
    )
    hidden = opened.model.config.hidden_size
    lost_channels = 0 if channels is None else hidden - len(channels)
    if not (lost_heads or lost_neurons or lost_channels):
        raise InputError(
            "no whole head, neuron or channel of the model is zero in every layer: nothing can "
            "leave; prune with pattern head, coupled or channel, or try --pad"
        )
    config = copy.deepcopy(opened.model.config)
    if lost_heads:
        _fewer_heads(config, opened.attentions[0], len(heads[0]))
    if lost_neurons:
        _set_width(config, opened.feed_forwards[0].width, len(neurons[0]))
    if lost_channels:
        assert channels is not None
        _fewer_channels(config, hidden, len(channels))
    cuts = _cuts(opened, heads, neurons)
    state = {
        name: _cut(value, cuts.get(name, {})) for name, value in opened.model.state_dict().items()
    }
    if lost_channels:
        assert channels is not None
        state = _cut_channels(opened.model, state, channels, hidden)
    with torch.random.fork_rng():
        smaller = type(opened.model)(config)
    wrong = [n for n, v in smaller.state_dict().items() if n in state and v.shape != state[n].shape]
    if wrong:
        shape = "×".join(str(side) for side in state[wrong[0]].shape)
        raise InputError(
            f"{config.model_type} has no place for {wrong[0]} of {shape}: "
            "its config cannot express what was removed; keep the mask and simulate it instead"
        )
    smaller.load_state_dict(state)
    made = assemble(opened.name, opened.task, smaller, opened.tokenizer)
    before, after = (sum(p.numel() for p in m.parameters()) for m in (opened.model, smaller))
    return Shrunk(made, lost_heads, lost_neurons, lost_channels, before, after)


def _live_heads(opened: OpenModel, attention: Attention) -> list[int]:
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


def _live_neurons(opened: OpenModel, block: FeedForward) -> list[int]:
    """Neurons that add something."""
    import torch

    live = _lines(opened, block.output, block.width).abs().sum(0) > 0
    config = opened.model.config
    activation = next(
        (
            getattr(config, key)
            for key in ("hidden_act", "activation_function", "activation", "hidden_activation")
            if isinstance(getattr(config, key, None), str)
        ),
        "",
    )
    for part in block.inputs:
        rows = _lines(opened, part, block.width).abs().sum(1) > 0
        bias = getattr(opened.by_name[part.matrix].module, "bias", None)
        if bias is not None:
            rows = rows | (bias[part.start : part.start + block.width] != 0)
        # A product of gate and up is 0 with either; a lone activation only if act(0) = 0.
        if len(block.inputs) > 1 or activation in _ZERO_AT_ZERO:
            live = live & rows
    return torch.nonzero(live).flatten().tolist()


def _live_channels(opened: OpenModel) -> list[int] | None:
    """Channels that something writes; None where channels cannot leave."""
    import torch

    embedding = opened.model.get_input_embeddings()
    hidden = getattr(opened.model.config, "hidden_size", None)
    writers = [opened.by_name.get(a.out.matrix) for a in opened.attentions]
    writers += [opened.by_name.get(b.output.matrix) for b in opened.feed_forwards]
    weight: Tensor = embedding.weight.detach()  # type: ignore[assignment]
    if None in writers or not writers or weight.shape[1] != hidden:
        return None
    live = weight.abs().sum(0) > 0
    for matrix in writers:
        assert matrix is not None
        live = live | (matrix.view.abs().sum(1) > 0)
        bias = getattr(matrix.module, "bias", None)
        if bias is not None:
            live = live | (bias.detach() != 0)
    if bool(live.all()) or not bool(live.any()):
        return None
    norms = [type(m).__name__ for m in opened.model.modules() if "Norm" in type(m).__name__]
    if not norms or not all(name.endswith(_RMS) for name in norms):
        raise InputError(
            f"{int((~live).sum())} channels of the residual stream are zero, but {opened.name} "
            "normalises with LayerNorm, whose mean runs over all channels: removing them would "
            "change its outputs; remove heads and neurons only"
        )
    return torch.nonzero(live).flatten().tolist()


def _even(live: Sequence[list[int]], whole: Sequence[int], unit: str, pad: bool) -> list[list[int]]:
    """As many units in every layer: all the same already, or filled up with dead ones."""
    # Nothing at all cannot be said either: one unit stays, dead.
    counts = [max(1, len(units)) for units in live]
    most = max(counts, default=0)
    if len(set(counts)) > 1 and not pad:
        listed = ", ".join(str(len(units)) for units in live)
        raise InputError(
            f"layers keep different numbers of {unit} ({listed}), and the config has one number "
            f"for all; prune each layer alike (budget matrix), or give --pad to keep {most} {unit} "
            "everywhere, the surplus as zeros"
        )
    return [
        sorted([*units, *[u for u in range(n) if u not in units][: most - len(units)]])
        for units, n in zip(live, whole, strict=True)
    ]


def _fewer_heads(config: Any, attention: Attention, kept: int) -> None:
    if getattr(config, "head_dim", None) is None:
        raise InputError(
            f"{config.model_type} computes a head's width as hidden size ÷ number of heads: its "
            "config cannot say that heads are missing; remove neurons only, or use a family whose "
            "config has head_dim (Llama, Mistral, Qwen, Gemma)"
        )
    config.num_attention_heads = kept * (attention.heads // attention.kv_heads)
    config.num_key_value_heads = kept


def _set_width(config: Any, old: int, new: int) -> None:
    for key in _WIDTHS:
        if getattr(config, key, None) == old or (key == "n_inner" and hasattr(config, key)):
            setattr(config, key, new)
            return
    raise InputError(
        f"the config of {config.model_type} does not tell the width of its feed-forward layers "
        f"({old}); neurons cannot be removed, keep the mask instead"
    )


def _fewer_channels(config: Any, old: int, new: int) -> None:
    if getattr(config, "head_dim", None) is None:
        config.head_dim = old // config.num_attention_heads
    config.hidden_size = new
    # x/√(Σx²/d + ε) = √(d/d′) · x/√(Σx²/d′ + ε·d/d′); the weights take the first factor.
    config.rms_norm_eps = config.rms_norm_eps * old / new


def _cuts(
    opened: OpenModel, heads: Sequence[list[int]], neurons: Sequence[list[int]]
) -> dict[str, dict[int, list[int]]]:
    """Per entry of the state dict and axis (of the stored layout): the lines that stay."""
    stay: dict[tuple[str, int], list[int]] = {}

    def keep(part: Slice, units: Sequence[int]) -> None:
        lines = [line for unit in units for line in part.lines(unit)]
        stay.setdefault((part.matrix, part.axis), []).extend(lines)

    for attention, live in zip(opened.attentions, heads, strict=True):
        queries = [head for unit in live for head in attention.group(unit)]
        keep(attention.query, live)
        keep(attention.key, live)
        keep(attention.value, live)
        keep(attention.out, queries)
    for block, live in zip(opened.feed_forwards, neurons, strict=True):
        for part in (*block.inputs, block.output):
            keep(part, live)
    cuts: dict[str, dict[int, list[int]]] = {}
    for (name, axis), lines in stay.items():
        matrix = opened.by_name[name]
        stored = 1 - axis if matrix.turned else axis
        lines = sorted(lines)
        cuts.setdefault(f"{matrix.module_name}.weight", {})[stored] = lines
        if axis == 0 and getattr(matrix.module, "bias", None) is not None:
            cuts[f"{matrix.module_name}.bias"] = {0: lines}
    return cuts


def _cut(value: "Tensor", axes: dict[int, list[int]]) -> "Tensor":
    for axis, lines in axes.items():
        value = value[lines] if axis == 0 else value[:, lines]
    return value.clone()


def _cut_channels(
    model: "nn.Module", state: "dict[str, Tensor]", channels: list[int], hidden: int
) -> "dict[str, Tensor]":
    """Take the other channels out of everything that reads or writes the residual stream."""
    from torch import nn

    made = dict(state)
    for name, module in model.named_modules():
        key = f"{name}.weight"
        if key not in made:
            continue
        value = made[key]
        if isinstance(module, nn.Embedding):
            made[key] = value[:, channels]
        elif isinstance(module, nn.Linear):
            # Readers have `hidden` inputs, writers as many outputs; by their names, for both may.
            writes = name.endswith(("o_proj", "down_proj", "dense", "out_proj", "fc2"))
            made[key] = value[channels] if writes else value[:, channels]
            if writes and f"{name}.bias" in made:
                made[f"{name}.bias"] = made[f"{name}.bias"][channels]
        elif value.dim() == 1 and len(value) == hidden:
            made[key] = value[channels] * (hidden / len(channels)) ** 0.5
    return made


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
        raise InputError(f"matrix {part.matrix} is left out; open the model without --exclude")
    return found


def difference(one: OpenModel, other: OpenModel) -> float:
    """Largest difference of the models' outputs on some tokens, relative to the largest output."""
    import torch

    count = min(int(one.model.config.vocab_size), 500)
    length = min(32, one.max_length)
    ids = torch.arange(2 * length).reshape(2, length) * 7 % count
    with torch.inference_mode():
        ours, theirs = (m.model(input_ids=ids)[0] for m in (one, other))
    return float((ours - theirs).abs().max() / ours.abs().max().clamp_min(1e-30))
