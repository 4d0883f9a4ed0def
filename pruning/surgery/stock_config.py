"""What a config of transformers can say: one number of heads and one width for all layers.

Where layers keep different numbers, all keep as many as the one with the most (`pad`); the surplus
stays as zeros.
"""

import copy
import itertools
from collections.abc import Sequence
from typing import Any

from pruning.models.opening import OpenModel, first_line
from pruning.structure.attention_and_feed_forward import Attention
from pruning.surgery.narrow_config import KNOWN
from sparse_formats.errors import InputError

_WIDTHS = (
    "intermediate_size", "hidden_dim", "n_inner", "ffn_dim", "inner_dim", "d_ff", "ffn_hidden_size",
    "d_inner", "dff",
)  # fmt: skip
"""What configs call the width of the feed-forward layers."""

_EPSILONS = ("rms_norm_eps", "norm_eps", "layer_norm_epsilon", "layer_norm_eps")
"""What configs call the ε of their norms."""

NO_WORDS = (
    "computes a head's width as hidden size ÷ number of heads: its config cannot say that heads "
    "are missing; remove neurons only, use a family whose config has head_dim (Llama, Mistral, "
    f"Qwen, Gemma), or, for {KNOWN}, give own_code"
)
"""Of a model type: why its heads cannot leave."""


def stock_config(
    opened: OpenModel,
    heads: Sequence[list[int]],
    neurons: Sequence[list[int]],
    channels: list[int] | None,
    pad: bool,
) -> tuple[list[list[int]], list[list[int]], list[int] | None, Any]:
    """What stays of heads, neurons and channels where one config speaks for all; and that config.

    heads, neurons: what adds something of each block; channels: None if all do.

    Raises:
        InputError: layers differ and `pad` is off, or the family's config has no words for it.
    """
    whole_heads = [a.kv_heads for a in opened.attentions]
    whole_neurons = [b.width for b in opened.feed_forwards]
    fewest = _one_for_all(heads, "heads", pad)
    width = _one_for_all(neurons, "neurons", pad)
    hidden = hidden_size(opened)
    sizes = [hidden] if channels is None else range(len(channels), hidden + 1)
    objection = ""
    # Some families want a hidden size that their number of heads divides.
    for kept, size in itertools.product(range(fewest, max(whole_heads, default=0) + 1), sizes):
        config = copy.deepcopy(opened.model.config)
        if kept < max(whole_heads, default=0):
            _fewer_heads(config, opened.attentions[0], kept)
        if width < max(whole_neurons, default=0):
            _set_width(config, opened.feed_forwards[0].width, width)
        if size < hidden:
            _fewer_channels(config, hidden, size)
        objection = _objection(config)
        if not objection:
            stay = None if channels is None else _filled([channels], [hidden], size)[0]
            filled = _filled(heads, whole_heads, kept), _filled(neurons, whole_neurons, width)
            return *filled, stay, config
        if kept < max(whole_heads, default=0) and not has_head_dim(opened.model.config):
            raise InputError(f"{config.model_type} {NO_WORDS} ({objection})")
        if not pad:
            break
    raise InputError(
        f"what is left is not a valid {opened.model.config.model_type}: {objection}; remove "
        "another number of heads or channels, or give pad to keep some of them as zeros"
    )


def _one_for_all(live: Sequence[list[int]], unit: str, pad: bool) -> int:
    """How many units every layer keeps: as all do already, or as the one with the most does."""
    # Nothing at all cannot be said either: one unit stays, dead.
    counts = [max(1, len(units)) for units in live]
    most = max(counts, default=0)
    if len(set(counts)) > 1 and not pad:
        listed = ", ".join(str(len(units)) for units in live)
        raise InputError(
            f"layers keep different numbers of {unit} ({listed}), and the config has one number "
            f"for all; prune each layer alike (budget matrix), or give pad to keep {most} {unit} "
            f"everywhere, the surplus as zeros, or, for {KNOWN}, own_code"
        )
    return most


def _filled(live: Sequence[list[int]], whole: Sequence[int], count: int) -> list[list[int]]:
    """`live` with dead units up to `count` in each."""
    dead = [sorted(set(range(n)).difference(units)) for units, n in zip(live, whole, strict=True)]
    return [
        sorted([*units, *silent[: count - len(units)]])
        for units, silent in zip(live, dead, strict=True)
    ]


def _fewer_heads(config: Any, attention: Attention, kept: int) -> None:
    if not has_head_dim(config):
        # Models of many families look for it, whether or not their configs have the word.
        config.head_dim = attention.head_dim
    config.num_attention_heads = kept * (attention.heads // attention.kv_heads)
    if hasattr(config, "num_key_value_heads"):
        config.num_key_value_heads = kept


def _set_width(config: Any, old: int, new: int) -> None:
    for key in _WIDTHS:
        if getattr(config, key, None) == old or (key == "n_inner" and hasattr(config, key)):
            setattr(config, key, new)
            return
    raise InputError(
        f"the config of {config.model_type} does not say the width of its feed-forward layers "
        f"({old}); neurons cannot be removed, keep the mask instead"
    )


def _fewer_channels(config: Any, old: int, new: int) -> None:
    epsilon = next((key for key in _EPSILONS if hasattr(config, key)), None)
    if epsilon is None:
        raise InputError(
            f"the config of {config.model_type} does not say the ε of its norms; channels cannot "
            "be removed, keep the mask instead"
        )
    if not has_head_dim(config):
        config.head_dim = old // config.num_attention_heads
    config.hidden_size = new
    # x/√(Σx²/d + ε) = √(d/d′) · x/√(Σx²/d′ + ε·d/d′); the weights take the first factor.
    setattr(config, epsilon, getattr(config, epsilon) * old / new)


def _objection(config: Any) -> str:
    """What the family's own rules have against `config`; empty for nothing."""
    try:
        if hasattr(config, "validate"):
            config.validate()
    except Exception as error:  # transformers raises what its parts happen to raise
        return first_line(error.__cause__ or error).rstrip(".")
    return ""


def has_head_dim(config: Any) -> bool:
    """Whether the config says how wide a head is."""
    return getattr(config, "head_dim", None) is not None


def hidden_size(opened: OpenModel) -> int:
    """Channels of the residual stream, 0 where the config has no word for them."""
    return getattr(opened.model.config, "hidden_size", 0)
