"""Does a permuted model say the same, and do vectors fit it better?"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pruning.models.order import Axis, Move, Permutation, Place, apply, as_json, from_json, order_of
from pruning.models.outputs import apart, example_inputs, in_double, outputs_of
from pruning.permutation.partition import best_order
from pruning.permutation.permute import permute, undo
from sparse_formats.errors import InputError

Tiny = Callable[..., Any]


def _opened(model: Any) -> Any:
    from pruning.models.opening import assemble

    task = "encode" if type(model).__name__ in ("BertModel", "ViTModel") else "causal"
    return assemble("tiny", task, model, None)


def _state(model: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_outputs_are_those_before_and_undoing_gives_the_same_weights(
    tiny: Tiny, family: str
) -> None:
    opened = _opened(tiny(family))
    before, inputs = _state(opened.model), example_inputs(opened)
    with in_double(opened.model):
        first = outputs_of(opened, inputs)
    found = permute(opened, "vector:4", 0.3)
    assert {kind for kind, (done, _) in found.moved.items() if done} == {"stream", "neurons"}
    with in_double(opened.model):
        assert apart(first, outputs_of(opened, inputs)) <= 1e-10
    assert any((tensor != before[name]).any() for name, tensor in _state(opened.model).items())
    undo(opened)
    assert order_of(opened.model) is None
    assert all((tensor == before[name]).all() for name, tensor in _state(opened.model).items())


def test_members_that_matter_on_the_same_lines_come_together() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.permutation(np.repeat(np.arange(4), 4))
    scores = np.eye(4, dtype=np.float32)[kinds] + 0.01
    order = best_order([scores], 4, 0.25)
    assert all(len(set(kinds[order[start : start + 4]])) == 1 for start in range(0, 16, 4))


def test_a_permutation_reads_back_and_refuses_an_order_with_a_member_twice(tiny: Tiny) -> None:
    axis = Axis("neurons", 0, 3, (Place("a.weight", 1),))
    permutation = Permutation((Move(axis, (2, 0, 1)),), "vector:16", 0.2)
    data = as_json(permutation)
    assert from_json(data, "here") == permutation
    data["moves"][0]["order"] = "2 2 1"
    with pytest.raises(InputError, match="here: its permutation is damaged: the order of neurons"):
        from_json(data, "here")
    with pytest.raises(InputError, match=r"moves a\.weight, which this model does not have"):
        apply(tiny("llama"), permutation)
