"""Models as transformers builds them from the same configuration have as many parameters."""

import json
from typing import Any

import pytest

from accel_sim.models.config import read_model, transformer
from accel_sim.models.families import FAMILIES, KNOWN
from sparse_formats.errors import InputError

_BERT = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
}
_LLAMA = {**_BERT, "num_key_value_heads": 2, "vocab_size": 100, "pad_token_id": 0}
_VIT = {**_BERT, "image_size": 32, "patch_size": 8}

CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {**_BERT, "vocab_size": 100, "max_position_embeddings": 32},
    "roberta": {**_BERT, "vocab_size": 100, "max_position_embeddings": 34, "type_vocab_size": 1},
    "xlm-roberta": {**_BERT, "vocab_size": 100, "max_position_embeddings": 34},
    "camembert": {**_BERT, "vocab_size": 100, "max_position_embeddings": 34},
    "distilbert": {
        "dim": 64,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 96,
        "vocab_size": 100,
        "max_position_embeddings": 32,
    },
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100, "n_positions": 32},
    "opt": {
        "hidden_size": 64,
        "word_embed_proj_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "ffn_dim": 96,
        "vocab_size": 100,
        "max_position_embeddings": 32,
    },
    "llama": _LLAMA,
    "mistral": {**_LLAMA, "head_dim": 16},
    "qwen2": _LLAMA,
    "qwen3": {**_LLAMA, "head_dim": 32},
    "gemma": {**_LLAMA, "head_dim": 32},
    "gemma2": {**_LLAMA, "head_dim": 32},
    "phi3": _LLAMA,
    "vit": {**_VIT, "num_labels": 10},
    "deit": {**_VIT, "num_labels": 10},
}


def transformers_name(family: str) -> str:
    return {"vit": "ViT", "deit": "DeiT"}[family]


def test_every_family_is_tested() -> None:
    assert set(CONFIGS) == set(FAMILIES)


@pytest.mark.parametrize("family", CONFIGS)
def test_parameters_are_those_of_the_model(family: str) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoConfig.for_model(family, **CONFIGS[family])
    is_vision = FAMILIES[family].is_vision
    if is_vision:  # of two classes of DeiT's, the one without a second token
        config.architectures = [f"{transformers_name(family)}ForImageClassification"]
    with torch.device("meta"):
        if FAMILIES[family].has_head:
            built = transformers.AutoModelForCausalLM.from_config(config)
        elif is_vision:
            built = transformers.AutoModelForImageClassification.from_config(config)
        elif family == "distilbert":
            built = transformers.AutoModel.from_config(config)
        else:
            built = transformers.AutoModel.from_config(config, add_pooling_layer=False)
    values = json.loads(json.dumps(config.to_dict()))
    values["architectures"] = [type(built).__name__]
    model = transformer(values, "a test")
    weights = sum(m.rows * m.cols for m in model.matrices)
    if model.is_tied and model.head_rows:
        weights -= model.head_rows * model.width
    counted = weights + model.embedding_numbers + model.vectors
    assert counted == sum(parameter.numel() for parameter in built.parameters())


@pytest.mark.parametrize(
    ("name", "parameters"),
    # As their model cards say.
    [("gpt2-small", 124_439_808), ("llama-2-7b", 6_738_415_616), ("llama-3-8b", 8_030_261_248)],
)
def test_known_models_have_the_parameters_they_are_known_for(name: str, parameters: int) -> None:
    model = read_model(name)
    head = 0 if model.is_tied else model.head_rows * model.width
    counted = model.layer_weights + model.embedding_numbers + model.vectors + head
    assert counted == parameters


def test_known_models_are_all_read() -> None:
    for name in KNOWN:
        assert read_model(name).layers > 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "model_type is None"),
        ({"model_type": "falcon"}, "'falcon', a family whose operators are not known"),
        ({"model_type": "llama", "num_key_value_heads": 5}, "does not divide the 32 heads"),
        ({"model_type": "bert", "hidden_size": 100}, "does not divide the width 100"),
        ({"model_type": "bert", "hidden_size": "768"}, "hidden_size is '768'"),
        ({"model_type": "bert", "hidden_act": "mish"}, "'mish', which is not known"),
        ({"model_type": "opt", "word_embed_proj_dim": 512}, "another width than 768"),
        ({"model_type": "opt", "do_layer_norm_before": False}, "not modelled"),
        ({"model_type": "bert", "is_decoder": True}, "not modelled"),
    ],
)
def test_what_is_not_modelled_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=r"config\.json") as error:
        transformer(values, "config.json")
    assert words in str(error.value)


def test_a_model_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match="gpt2-small"):
        read_model("gpt2-smal")
