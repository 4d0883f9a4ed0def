"""The model of `modeling_narrow` that a masked one becomes where stock configs lack the words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pruning.models.opening import OpenModel
from sparse_formats.masks.matrix_names import layer_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

KNOWN = "BERT and DistilBERT"
"""The families with code of ours."""


def narrow_class(model: "PreTrainedModel") -> "type[PreTrainedModel] | None":
    """The class that `model` becomes, or has already; None where there is none."""
    from pruning.models.modeling_narrow import NARROW

    if getattr(model.config, "is_decoder", False):
        return None
    every = [made for models in NARROW.values() for made in models.values()]
    return next((made for made in every if issubclass(made, type(model))), None)


def narrow_config(
    opened: OpenModel,
    made: "type[PreTrainedModel]",
    heads: Sequence[Sequence[int]],
    neurons: Sequence[Sequence[int]],
) -> "PreTrainedConfig":
    """The config of `made` in which each layer keeps the units listed.

    heads, neurons: what stays of `opened.attentions` and `opened.feed_forwards`; of layers that
        are in neither, nothing stays.
    """
    from pruning.models.modeling_narrow import NARROW

    old = opened.model.config
    outputs = [attention.out.matrix for attention in opened.attentions]
    lasts = [block.output.matrix for block in opened.feed_forwards]
    kept = {
        "layer_heads": _by_layer(old.num_hidden_layers, outputs, heads),
        "layer_neurons": _by_layer(old.num_hidden_layers, lasts, neurons),
    }
    config_class = made.config_class
    assert config_class is not None
    names = {"AutoConfig": config_class.__name__}
    names |= {auto: model.__name__ for auto, model in NARROW[config_class].items()}
    code = made.__module__.rpartition(".")[2]
    given = {key: value for key, value in old.to_dict().items() if key not in _OF_THE_OLD}
    # save_pretrained names one class alone; an encoder opens from a classifier's folder, too.
    auto_map = {auto: f"{code}.{name}" for auto, name in names.items()}
    return config_class(**{**given, **kept, "auto_map": auto_map})


_OF_THE_OLD = ("model_type", "architectures", "transformers_version", "_name_or_path")


def _by_layer(layers: int, names: Sequence[str], live: Sequence[Sequence[int]]) -> list[int]:
    counts = [0] * layers
    for name, units in zip(names, live, strict=True):
        number = layer_of(name)
        assert number is not None
        counts[number] = len(units)
    return counts
