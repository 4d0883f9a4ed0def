"""BERT and DistilBERT whose layers keep different numbers of heads and neurons.

transformers puts this file beside the weights, and `from_pretrained(…, trust_remote_code=True)`
runs it from there: it imports torch and transformers, nothing of ours. It is written for
transformers 5, whose attention finds the number of heads by dividing what its projections give.

`layer_heads` and `layer_neurons` of the config say what each layer keeps. All else in it is as in
the model before: also `num_attention_heads`, by which the hidden size is divided for the width of a
head. Where nothing of a sublayer is left, it adds the bias of its output to every token.
"""

from typing import Any

import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    DistilBertModel,
)
from transformers.models.bert.modeling_bert import BertLayer, BertSelfAttention
from transformers.models.distilbert.modeling_distilbert import (
    DistilBertSelfAttention,
    TransformerBlock,
)


class NarrowBertConfig(BertConfig):
    """BERT's, and how many heads and neurons each layer keeps; None: all."""

    model_type = "narrow_bert"
    layer_heads: list[int] | None = None
    layer_neurons: list[int] | None = None


class NarrowDistilBertConfig(DistilBertConfig):
    """DistilBERT's, and how many heads and neurons each layer keeps; None: all."""

    model_type = "narrow_distilbert"
    layer_heads: list[int] | None = None
    layer_neurons: list[int] | None = None


class Bias(nn.Module):
    """A linear layer without inputs: its bias, (outputs,), whatever it is given."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.bias = nn.Parameter(linear.bias.detach().clone())

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(…, anything) → (…, outputs)."""
        return self.bias.expand(*hidden_states.shape[:-1], -1)


class NoHeads(nn.Module):
    """Attention without heads, where transformers' own would reshape nothing into −1 heads."""

    def __init__(self, out_lin: nn.Module) -> None:
        nn.Module.__init__(self)
        self.out_lin = out_lin

    def forward(self, hidden_states: torch.Tensor, *unused: Any, **ignored: Any) -> Any:
        """The output, and the attention weights of no head: (batch, 0, tokens, tokens)."""
        batch, tokens, _ = hidden_states.shape
        return self.out_lin(hidden_states), hidden_states.new_zeros(batch, 0, tokens, tokens)


# By their second base transformers knows them when it collects the attention weights of the layers.
class NoBertHeads(NoHeads, BertSelfAttention):
    """In BERT, whose output projection stands outside."""


class NoDistilBertHeads(NoHeads, DistilBertSelfAttention):
    """In DistilBERT."""


class Narrow(nn.Module):
    """Goes before a model class of transformers: makes its layers as narrow as the config says."""

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        layers = [m for m in self.modules() if isinstance(m, BertLayer | TransformerBlock)]
        neurons = getattr(config, "intermediate_size", None) or config.hidden_dim
        kept_heads = _kept(config, "layer_heads", len(layers), config.num_attention_heads)
        kept_neurons = _kept(config, "layer_neurons", len(layers), neurons)
        head_dim = config.hidden_size // config.num_attention_heads
        for layer, heads, neurons in zip(layers, kept_heads, kept_neurons, strict=True):
            narrow = _narrow_bert if isinstance(layer, BertLayer) else _narrow_distilbert
            narrow(layer, heads * head_dim, neurons)


def _kept(config: Any, key: str, layers: int, whole: int) -> list[int]:
    kept = getattr(config, key)
    if kept is None:
        return [whole] * layers
    if len(kept) != layers or not all(type(n) is int and 0 <= n <= whole for n in kept):
        raise ValueError(f"{key} must be {layers} numbers from 0 to {whole}, found {kept}")
    return kept


def _narrow_bert(layer: Any, width: int, neurons: int) -> None:
    attention, output = layer.attention, layer.output
    if width:
        for linear in (attention.self.query, attention.self.key, attention.self.value):
            _keep_outputs(linear, width)
        _keep_inputs(attention.output.dense, width)
    else:
        attention.self = NoBertHeads(nn.Identity())
        attention.output.dense = Bias(attention.output.dense)
    if neurons:
        _keep_outputs(layer.intermediate.dense, neurons)
        _keep_inputs(output.dense, neurons)
    else:
        layer.intermediate, output.dense = nn.Identity(), Bias(output.dense)


def _narrow_distilbert(layer: Any, width: int, neurons: int) -> None:
    attention, ffn = layer.attention, layer.ffn
    if width:
        for linear in (attention.q_lin, attention.k_lin, attention.v_lin):
            _keep_outputs(linear, width)
        _keep_inputs(attention.out_lin, width)
    else:
        layer.attention = NoDistilBertHeads(Bias(attention.out_lin))
    if neurons:
        _keep_outputs(ffn.lin1, neurons)
        _keep_inputs(ffn.lin2, neurons)
    else:
        ffn.lin1, ffn.lin2 = nn.Identity(), Bias(ffn.lin2)


def _keep_outputs(linear: nn.Linear, count: int) -> None:
    linear.weight = nn.Parameter(linear.weight.detach()[:count].clone())
    linear.bias = nn.Parameter(linear.bias.detach()[:count].clone())
    linear.out_features = count


def _keep_inputs(linear: nn.Linear, count: int) -> None:
    linear.weight = nn.Parameter(linear.weight.detach()[:, :count].clone())
    linear.in_features = count


class NarrowBertModel(Narrow, BertModel):
    config_class = NarrowBertConfig


class NarrowBertForMaskedLM(Narrow, BertForMaskedLM):
    config_class = NarrowBertConfig


class NarrowBertForSequenceClassification(Narrow, BertForSequenceClassification):
    config_class = NarrowBertConfig


class NarrowBertForQuestionAnswering(Narrow, BertForQuestionAnswering):
    config_class = NarrowBertConfig


class NarrowDistilBertModel(Narrow, DistilBertModel):
    config_class = NarrowDistilBertConfig


class NarrowDistilBertForMaskedLM(Narrow, DistilBertForMaskedLM):
    config_class = NarrowDistilBertConfig


class NarrowDistilBertForSequenceClassification(Narrow, DistilBertForSequenceClassification):
    config_class = NarrowDistilBertConfig


class NarrowDistilBertForQuestionAnswering(Narrow, DistilBertForQuestionAnswering):
    config_class = NarrowDistilBertConfig


NARROW = {
    NarrowBertConfig: {
        "AutoModel": NarrowBertModel,
        "AutoModelForMaskedLM": NarrowBertForMaskedLM,
        "AutoModelForSequenceClassification": NarrowBertForSequenceClassification,
        "AutoModelForQuestionAnswering": NarrowBertForQuestionAnswering,
    },
    NarrowDistilBertConfig: {
        "AutoModel": NarrowDistilBertModel,
        "AutoModelForMaskedLM": NarrowDistilBertForMaskedLM,
        "AutoModelForSequenceClassification": NarrowDistilBertForSequenceClassification,
        "AutoModelForQuestionAnswering": NarrowDistilBertForQuestionAnswering,
    },
}
"""The models of each config, by the class of transformers that opens them."""

for _config, _models in NARROW.items():
    # With this save_pretrained writes down which classes of this file open the folder.
    _config.register_for_auto_class()
    for _auto, _model in _models.items():
        _model.register_for_auto_class(_auto)
