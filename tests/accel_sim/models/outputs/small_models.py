"""Small models of every family that is computed, as transformers makes and saves them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.machines.load import load_machine
from accel_sim.models.config import read_model
from accel_sim.models.output_check import OutputCheck
from accel_sim.models.outputs.check import check_output
from accel_sim.models.outputs.parameters import read_parameters
from accel_sim.models.simulate import Request, simulate_model
from accel_sim.models.weights import MaskedModel, masked
from sparse_formats.files.mask_file import read_weights
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.matrix_names import NOT_IN_A_LAYER, kind_of

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 60,
    "max_position_embeddings": 40,
}
LIKE_LLAMA = {**SIZES, "num_key_value_heads": 2}
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {**SIZES, "type_vocab_size": 2},
    "roberta": {**SIZES, "pad_token_id": 1, "type_vocab_size": 1},
    "xlm-roberta": {**SIZES, "pad_token_id": 1},
    "camembert": {**SIZES, "pad_token_id": 1},
    "distilbert": {
        **{"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "vocab_size": 60},
        "max_position_embeddings": 40,
    },
    "gpt2": {
        **{"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 60, "n_positions": 40},
        **{"bos_token_id": 0, "eos_token_id": 0},
    },
    "opt": {
        **{key: SIZES[key] for key in ("hidden_size", "num_hidden_layers", "vocab_size")},
        **{"num_attention_heads": 4, "ffn_dim": 48, "max_position_embeddings": 40},
        **{"word_embed_proj_dim": 32, "bos_token_id": 0, "eos_token_id": 0},
    },
    "llama": LIKE_LLAMA,
    "mistral": {**LIKE_LLAMA, "sliding_window": 7},
    "qwen2": LIKE_LLAMA,
    "qwen3": {**LIKE_LLAMA, "head_dim": 16},
}


def made(family: str, folder: Path, **changed: Any) -> Any:
    """A model of transformers with random numbers in float64, saved in `folder`."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    torch.manual_seed(1)
    torch.set_num_threads(1)
    config = AutoConfig.for_model(family, **{**FAMILIES[family], **changed})
    config._attn_implementation = "eager"
    of = AutoModel if "bert" in family or family == "camembert" else AutoModelForCausalLM
    model = of.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Norms and biases of a new model are ones and zeros, which tell little.
            spread = 0.3 if parameter.ndim == 1 else 0.4
            parameter.mul_(0 if parameter.ndim > 1 or "bias" in name else 1)
            parameter.add_(spread * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    return model.double()


def masks_of(folder: Path, density: float = 0.4) -> list[MaskedMatrix]:
    """Random masks of all matrices of the layers, with the folder's weights."""
    rng = np.random.default_rng(2)
    found = []
    for name, weight in read_weights(folder).items():
        if kind_of(name) not in NOT_IN_A_LAYER:
            keep = rng.random(weight.shape) < density
            found.append(MaskedMatrix(name, keep, np.where(keep, weight, 0), kind_of(name)))
    return found


def put_on(model: Any, masks: list[MaskedMatrix]) -> None:
    """The masks on the model of transformers."""
    import torch

    parameters = dict(model.named_parameters())
    for mask in masks:
        (parameter,) = (p for name, p in parameters.items() if name.endswith(mask.name))
        keep = mask.keep if tuple(parameter.shape) == mask.shape else mask.keep.T
        if "c_" in mask.name:  # GPT-2 stores (inputs, outputs)
            keep = mask.keep.T
        with torch.no_grad():
            parameter.mul_(torch.from_numpy(np.ascontiguousarray(keep)))


def witness(model: Any, ids: NDArray[np.int64], first: int) -> NDArray[np.float64]:
    """What transformers says: logits or hidden states of the tokens from `first` on."""
    import torch

    with torch.no_grad():
        found = model(torch.from_numpy(ids))
    output = found.logits if "logits" in found else found.last_hidden_state
    return output[:, first:].numpy()


def masked_model(folder: Path, masks: list[MaskedMatrix]) -> MaskedModel:
    return masked(read_model(folder), masks, "a test")


def checked(
    folder: Path,
    masks: list[MaskedMatrix],
    tokens: int,
    machine: Machine | None = None,
    ids: NDArray[np.int64] | None = None,
    **request: Any,
) -> OutputCheck:
    """The output of drawn tokens, or of `ids`, on a machine, tf_mvp if not given."""
    found = masked_model(folder, masks)
    asked = Request(prefill=tokens, **request)
    run = simulate_model(found, asked, machine or load_machine("tf_mvp"), threads=1)
    if ids is None:
        vocabulary = found.model.embedding_rows[0]
        ids = np.random.default_rng(5).integers(0, vocabulary, (asked.batch, tokens))
    return check_output(run, read_parameters(folder, found), ids, "drawn")
