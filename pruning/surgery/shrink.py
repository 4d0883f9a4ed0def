"""From a masked model to a smaller dense one that transformers loads as any other.

What adds nothing leaves (`live`). A config has one number of heads and one width for all layers.
Where layers differ, the error says so, or every layer keeps as many as the largest and the surplus
stays as zeros (`pad`), or the model becomes one of `modeling_narrow`, whose code goes into the
folder with the weights (`own_code`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruning.models.opening import OpenModel, assemble, first_line
from pruning.structure.slices import Slice
from pruning.surgery.live_units import live_channels, live_heads, live_neurons
from pruning.surgery.narrow_config import KNOWN, narrow_class, narrow_config
from pruning.surgery.stock_config import NO_WORDS, has_head_dim, hidden_size, stock_config
from sparse_formats.errors import InputError, SettingError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

TOLERANCE = 1e-5
"""Largest difference of outputs, relative to the largest output, that counts as the same."""


@dataclass(frozen=True)
class Shrunk:
    """The smaller model and what left: heads, neurons (of all layers), channels, weights.

    apart: how far its outputs are from the masked model's, at most `TOLERANCE` (`difference`).
    own_code: it is one of `modeling_narrow`, whose code goes into the folder it is saved to.
    """

    opened: OpenModel
    heads: int
    neurons: int
    channels: int
    before: int
    after: int
    apart: float
    own_code: bool


def shrink(opened: OpenModel, pad: bool = False, own_code: bool = False) -> Shrunk:
    """A smaller dense model with the same outputs as `opened`, whose masks are on already.

    Raises:
        InputError: nothing can leave; layers differ and both `pad` and `own_code` are off; the
            architecture has no words for fewer heads and `own_code` is off, or there is no code
            of ours for it; the smaller model would compute something else.
    """
    heads = [live_heads(opened, attention) for attention in opened.attentions]
    neurons = [live_neurons(opened, block) for block in opened.feed_forwards]
    channels = live_channels(opened)
    made = _own_class(opened, heads, neurons, pad, own_code)
    if made is None:
        heads, neurons, channels, config = stock_config(opened, heads, neurons, channels, pad)
    else:
        config = narrow_config(opened, made, heads, neurons)
    lost_heads = sum(
        a.heads - len(live) * (a.heads // a.kv_heads)
        for a, live in zip(opened.attentions, heads, strict=True)
    )
    lost_neurons = sum(
        b.width - len(live) for b, live in zip(opened.feed_forwards, neurons, strict=True)
    )
    hidden = hidden_size(opened)
    lost_channels = 0 if channels is None else hidden - len(channels)
    if not (lost_heads or lost_neurons or lost_channels):
        raise InputError(_nothing_leaves(opened, pad))
    cuts = _cuts(opened, heads, neurons)
    # Of a sublayer of which nothing is left only the bias of its output is in the smaller model.
    state = {
        name: cut
        for name, value in opened.model.state_dict().items()
        if (cut := _cut(value, cuts.get(name, {}))).numel() or not value.numel()
    }
    if lost_channels:
        assert channels is not None
        state = _cut_channels(opened, state, channels, hidden)
    unsaid = lost_heads and not has_head_dim(opened.model.config)
    smaller = _built(made or type(opened.model), config, state, NO_WORDS if unsaid else _NO_PLACE)
    small = assemble(opened.name, opened.task, smaller, opened.tokenizer)
    apart = difference(opened, small)
    if not apart <= TOLERANCE:
        raise InputError(
            f"without what was removed the outputs of {opened.name} differ by {apart:.1e}: "
            f"{config.model_type} uses it elsewhere; keep the mask and simulate it instead"
        )
    before, after = (sum(p.numel() for p in m.parameters()) for m in (opened.model, smaller))
    lost = (lost_heads, lost_neurons, lost_channels)
    return Shrunk(small, *lost, before, after, apart, made is not None)


_NO_PLACE = "cannot express in its config what was removed; keep the mask and simulate it instead"


def _own_class(
    opened: OpenModel,
    heads: Sequence[list[int]],
    neurons: Sequence[list[int]],
    pad: bool,
    own_code: bool,
) -> "type[PreTrainedModel] | None":
    """The class of ours that the smaller model needs; None where one of transformers will do."""
    made = narrow_class(opened.model)
    if made is type(opened.model):
        if pad:
            raise SettingError("pad", f"is not needed: layers of {opened.name} may differ already")
        return made
    if not own_code:
        return None
    if pad:
        raise SettingError("pad", "makes layers alike, own_code lets them differ; give one of them")
    alike = all(len({max(1, len(units)) for units in live}) <= 1 for live in (heads, neurons))
    if made is None and not alike:
        decoder = " as decoder" if getattr(opened.model.config, "is_decoder", False) else ""
        raise InputError(
            f"own code is there for {KNOWN} as encoder, masked language model, classifier and "
            f"question answerer, not for {type(opened.model).__name__}{decoder}; give pad instead"
        )
    # Without head_dim a config of these families says nothing of missing heads.
    whole = all(len(live) == a.kv_heads for a, live in zip(opened.attentions, heads, strict=True))
    return None if alike and (whole or made is None) else made


def _nothing_leaves(opened: OpenModel, pad: bool) -> str:
    parts = {"heads": opened.attentions, "neurons": opened.feed_forwards}
    unknown = " and ".join(part for part, found in parts.items() if not found)
    if pad:
        advice = f"pad keeps what not every layer can spare; for {KNOWN} there is own_code"
    elif unknown:
        advice = f"which rows and columns are {unknown} of {opened.name} is not known"
    else:
        advice = "prune with pattern head, coupled or channel"
    return f"no whole head, neuron or channel of the model is zero: nothing can leave; {advice}"


def _built(
    made: "type[PreTrainedModel]", config: Any, state: "Mapping[str, Tensor]", refusal: str
) -> "PreTrainedModel":
    """A model of class `made` with the weights `state`; where they do not fit, `refusal`."""
    import torch

    try:
        with torch.random.fork_rng():
            smaller = made(config)
    except Exception as error:  # transformers raises what its parts happen to raise
        raise InputError(f"{config.model_type} {refusal} ({first_line(error)})") from error
    shapes = {name: value.shape for name, value in smaller.state_dict().items()}
    wrong = [name for name, value in state.items() if shapes.get(name) != value.shape]
    if wrong:
        shape = "×".join(str(side) for side in state[wrong[0]].shape)
        raise InputError(f"{config.model_type} {refusal} (no place for {wrong[0]} of {shape})")
    smaller.load_state_dict(state)
    return smaller


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
    opened: OpenModel, state: "dict[str, Tensor]", channels: list[int], hidden: int
) -> "dict[str, Tensor]":
    """Take the other channels out of everything that reads or writes the residual stream."""
    from torch import nn

    outputs = [a.out for a in opened.attentions] + [b.output for b in opened.feed_forwards]
    writers = {opened.by_name[part.matrix].module_name for part in outputs}
    made = dict(state)
    for name, module in opened.model.named_modules(remove_duplicate=False):
        key, bias = f"{name}.weight", f"{name}.bias"
        if key not in made:
            continue
        value = made[key]
        if name in writers:
            made[key] = value[channels]
            if bias in made:
                made[bias] = made[bias][channels]
        elif isinstance(module, nn.Embedding | nn.Linear):
            if value.shape[1] == hidden:
                made[key] = value[:, channels]
        elif value.shape == (hidden,):
            made[key] = value[channels] * (hidden / len(channels)) ** 0.5
    return made


def difference(one: OpenModel, other: OpenModel) -> float:
    """Largest difference of the models' outputs on some tokens, relative to the largest output.

    Raises:
        InputError: outputs of other shapes, or a model that cannot be run on tokens alone.
    """
    import torch

    ours = _outputs(one, "cannot be run on tokens alone")
    theirs = _outputs(other, "cannot be run without what was removed; keep the mask instead")
    shapes = [[tuple(value.shape) for value in values] for values in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"outputs of {one.name} change their shapes: {shapes[0]} and {shapes[1]}; channels of "
            "an encoder are its outputs and cannot be removed"
        )
    apart = [
        (a - b).abs().max() / a.abs().max().clamp_min(1e-30)
        for a, b in zip(ours, theirs, strict=True)
    ]
    # torch's maximum is NaN if one of them is.
    return float(torch.stack(apart).max())


def _outputs(opened: OpenModel, refusal: str) -> "list[Tensor]":
    """All that the model says of some tokens: logits, hidden states; where it cannot, `refusal`."""
    import torch

    length = min(32, opened.max_length)
    try:
        count = min(int(opened.model.config.vocab_size), 500)
        ids = torch.arange(2 * length).reshape(2, length) * 7 % count
        given = {"input_ids": ids}
        if getattr(opened.model.config, "is_encoder_decoder", False):
            given["decoder_input_ids"] = ids
        with torch.inference_mode():
            found = opened.model(**given, return_dict=True)
    except Exception as error:  # transformers raises what its parts happen to raise
        raise InputError(f"{opened.name} {refusal} ({first_line(error)})") from error
    return [value for value in found.values() if isinstance(value, torch.Tensor)]
