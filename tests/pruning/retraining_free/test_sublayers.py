"""Are units and their FLOPs those counted by hand, and are models without them refused?"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pruning.models.opening import assemble
from pruning.retraining_free.sublayers import find_encoder, masks_of
from sparse_formats.errors import InputError

pytest.importorskip("torch")


def test_are_the_flops_of_bert_base_those_counted_by_hand(encoder: Any) -> None:
    # s = 170, d = 768, d_h = 64: 8·170·768·64 + 4·170²·64 = 74,245,120; 4·170·768 = 522,240.
    base = encoder(
        "bert", hidden_size=768, num_attention_heads=12, intermediate_size=3072,
        num_hidden_layers=1,
    )  # fmt: skip
    heads, neurons = base.sublayers
    assert heads.flops(170) == 74_245_120
    assert neurons.flops(170) == 522_240
    # 12 layers of 12 heads and 3072 neurons: 29.94 GFLOPs.
    assert 12 * base.flops(170) == 12 * (12 * 74_245_120 + 3072 * 522_240)


def test_are_the_flops_of_distilbert_the_same_formula(encoder: Any) -> None:
    heads, neurons, *_ = encoder("distilbert").sublayers
    assert heads.flops(10) == 8 * 10 * 32 * 8 + 4 * 100 * 8
    assert neurons.flops(10) == 4 * 10 * 32


def test_does_a_unit_go_from_every_matrix(encoder: Any) -> None:
    tiny = encoder("bert")
    kept = [np.ones(s.count, np.bool_) for s in tiny.sublayers]
    kept[0][1] = False
    kept[3][[5, 63]] = False
    masks = {m.name: m.keep for m in masks_of(tiny, kept, {}).matrices}
    heads = "bert.encoder.layer.0.attention."
    for part in ("query", "key", "value"):
        rows = masks[f"{heads}self.{part}.weight"].all(1)
        assert np.flatnonzero(~rows).tolist() == list(range(8, 16))
    assert np.flatnonzero(~masks[f"{heads}output.dense.weight"].any(0)).tolist() == [*range(8, 16)]
    layer = "bert.encoder.layer.1."
    assert np.flatnonzero(~masks[f"{layer}intermediate.dense.weight"].any(1)).tolist() == [5, 63]
    assert np.flatnonzero(~masks[f"{layer}output.dense.weight"].any(0)).tolist() == [5, 63]
    assert masks["bert.encoder.layer.0.intermediate.dense.weight"].all()
    assert not any("classifier" in name or "embeddings" in name for name in masks)


def test_does_an_unsuitable_model_say_why(tiny: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="is for masked, but it is pruned by its answers"):
        find_encoder(assemble("m", "masked", tiny("bert"), None))
    with pytest.raises(InputError, match="2 layers share the weights of 1"):
        find_encoder(assemble("m", "classify", tiny("albert"), None))
    with pytest.raises(InputError, match="shares 2 key/value heads among 4"):
        find_encoder(assemble("m", "classify", tiny("llama"), None))
