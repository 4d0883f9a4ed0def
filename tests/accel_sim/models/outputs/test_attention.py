"""Scores as rows, in tiles and in the DRAM, prompt and decode, windows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.accel_sim.models.outputs.small_models import checked, made, masks_of, put_on, witness


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A model with windows of 70 tokens, longer and shorter than query blocks of 64."""
    folder = tmp_path_factory.mktemp("mistral")
    made_here = made(
        "mistral", folder, sliding_window=70, max_position_embeddings=300, num_hidden_layers=1
    )
    put_on(made_here, masks_of(folder))
    return made_here, folder


@pytest.mark.parametrize("scores", ["rows", "tiles", "dram"])
def test_every_residency_computes_the_model(scores: Any, model: tuple[Any, Path]) -> None:
    of_torch, folder = model
    found = checked(folder, masks_of(folder), 150, scores=scores, generate=3)
    expected = witness(of_torch, found.ids, 149)
    assert np.abs(found.outputs - expected).max() <= found.bound + 2e-4
    assert found.is_equal


def test_tiles_round_otherwise_than_rows(model: tuple[Any, Path]) -> None:
    _, folder = model
    outputs = [
        checked(folder, masks_of(folder), 150, scores=scores).outputs
        for scores in ("rows", "dram", "tiles")
    ]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[0] - outputs[2]).max() > 0


def test_a_token_of_decode_is_that_of_a_longer_prompt(model: tuple[Any, Path]) -> None:
    """Up to roundings: its products may add in another order."""
    _, folder = model
    masks = masks_of(folder)
    generated = checked(folder, masks, 90, generate=4)
    prompt = checked(folder, masks, 93, ids=generated.ids)
    error = np.abs(generated.outputs[:, -1] - prompt.outputs[:, 0]).max()
    assert 0 <= error <= generated.bound + prompt.bound
    assert generated.ids.shape == (1, 93)
