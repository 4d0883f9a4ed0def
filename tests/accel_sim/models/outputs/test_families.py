"""Is what a machine computes what transformers computes, in every family that is computed?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine
from accel_sim.models.config import read_model
from accel_sim.models.outputs.masked_model import Exact, MaskedTransformer
from accel_sim.models.outputs.parameters import CALLED, read_parameters
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.models.outputs.small_models import (
    FAMILIES,
    checked,
    made,
    masked_model,
    masks_of,
    put_on,
    witness,
)

IN_FP32 = {**dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), 2e-4), "opt": 1e-5}
"""What transformers computes in float32 in a model of float64: rotary angles, OPT's softmax."""


@pytest.mark.parametrize("family", CALLED)
def test_the_output_is_that_of_transformers(family: str, tmp_path: Path) -> None:
    """On two requests, over prompt and decode, with masks on all matrices of the layers."""
    model = made(family, tmp_path)
    masks = masks_of(tmp_path)
    put_on(model, masks)
    generate = 4 if read_model(tmp_path).is_causal else 0
    found = checked(tmp_path, masks, 19, batch=2, generate=generate)
    first = found.ids.shape[1] - found.outputs.shape[1]
    assert found.outputs.shape[:2] == (2, generate or 19)
    expected = witness(model, found.ids, first)
    assert np.abs(found.outputs - expected).max() <= found.bound + IN_FP32.get(family, 0)
    assert found.is_equal
    # The bound tells a model from another one.
    assert found.bound < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("family", CALLED)
def test_the_masked_model_is_that_of_transformers(family: str, tmp_path: Path) -> None:
    model = made(family, tmp_path)
    masks = masks_of(tmp_path)
    put_on(model, masks)
    found = masked_model(tmp_path, masks)
    ids = np.random.default_rng(3).integers(0, 60, (2, 23))
    ours = MaskedTransformer(found.model, read_parameters(tmp_path, found), Exact())
    expected = witness(model, ids, 4)
    error = np.abs(ours.outputs(ids, 4) - expected).max()
    assert error <= IN_FP32.get(family, 1e-10)


@pytest.mark.parametrize(
    ("family", "activation"),
    [("gpt2", "relu"), ("bert", "gelu_new"), ("bert", "silu"), ("gpt2", "quick_gelu")],
)
def test_other_activations_than_a_family_has(family: str, activation: str, tmp_path: Path) -> None:
    key = "activation_function" if family == "gpt2" else "hidden_act"
    model = made(family, tmp_path, **{key: activation})
    masks = masks_of(tmp_path)
    put_on(model, masks)
    found = checked(tmp_path, masks, 9)
    expected = witness(model, found.ids, found.ids.shape[1] - found.outputs.shape[1])
    assert np.abs(found.outputs - expected).max() <= found.bound


@pytest.mark.parametrize("name", builtin_accelerators())
def test_every_machine_of_floats_computes_the_model(name: str, tmp_path: Path) -> None:
    """Of weights that every machine takes: two of four."""
    machine = load_machine(name)
    if machine.numbers.is_integer:
        machine = load_machine(name, [f"{machine.datatype_key or 'operands.datatype'}=fp16"])
    model = made("bert", tmp_path)
    masks = [two_of_four(each) for each in masks_of(tmp_path, 1.0)]
    put_on(model, masks)
    found = checked(tmp_path, masks, 9, machine)
    assert np.abs(found.outputs - witness(model, found.ids, 0)).max() <= found.bound


def two_of_four(matrix: MaskedMatrix) -> MaskedMatrix:
    keep = np.zeros(matrix.shape, bool)
    keep[:, 0::4] = keep[:, 3::4] = True
    assert matrix.weight is not None
    return replace(matrix, keep=keep, weight=np.where(keep, matrix.weight, 0))


def test_every_family_has_a_small_model() -> None:
    assert FAMILIES.keys() == CALLED.keys()
