"""The output of pruned glassllm and MiniLM beside that of transformers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparse_formats.files.mask_file import read_masks
from sparse_formats.files.model_config import read_config
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.matrix_names import NOT_IN_A_LAYER
from tests.accel_sim.models.outputs.small_models import checked, put_on, witness
from tests.real_models import GLASSLLM, MINILM


def pruned(folder: Path, density: float) -> list[MaskedMatrix]:
    """Magnitude masks of the matrices of the layers."""
    found = []
    for matrix in read_masks(folder).matrices:
        if matrix.kind in NOT_IN_A_LAYER:
            continue
        assert matrix.weight is not None
        size = np.abs(matrix.weight)
        keep = size >= np.quantile(size, 1 - density)
        weight = np.where(keep, matrix.weight, 0)
        found.append(MaskedMatrix(matrix.name, keep, weight, matrix.kind))
    return found


def expected(model: Any, masks: list[MaskedMatrix], ids: Any, first: int) -> Any:
    put_on(model, masks)
    return witness(model, ids, first)


@pytest.mark.skipif(GLASSLLM is None, reason="glassllm is not installed")
@pytest.mark.parametrize("density", [0.2, 0.6])
def test_logits_of_glassllm(density: float, tmp_path: Path) -> None:
    """A prompt of 64 tokens and 8 that are generated; its config as `pruning` derives it."""
    from pruning.models import glassllm

    assert GLASSLLM is not None
    model, _, _ = glassllm.load(GLASSLLM)
    model.save_pretrained(tmp_path)
    config = read_config(tmp_path)
    assert config is not None
    assert config.values["num_key_value_heads"] == 2
    masks = pruned(tmp_path, density)
    found = checked(tmp_path, masks, 64, generate=8)
    assert found.outputs.shape == (1, 8, 1024)
    logits = expected(model.double(), masks, found.ids, 63)
    assert np.abs(found.outputs - logits).max() <= found.bound + 1e-3
    assert found.bound < 0.02 * np.abs(logits).max()
    assert found.is_equal


@pytest.mark.skipif(MINILM is None, reason="MiniLM is not installed")
def test_last_hidden_states_of_minilm() -> None:
    import torch
    from transformers import BertModel

    assert MINILM is not None
    torch.set_num_threads(1)
    masks = pruned(MINILM, 0.2)
    found = checked(MINILM, masks, 32)
    model = BertModel.from_pretrained(MINILM, attn_implementation="eager").double().eval()
    states = expected(model, masks, found.ids, 0)
    assert found.outputs.shape == (1, 32, 384)
    assert np.abs(found.outputs - states).max() <= found.bound
    assert found.bound < 0.02 * np.abs(states).max()
    assert found.is_equal
