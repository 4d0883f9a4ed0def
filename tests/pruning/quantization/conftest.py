"""Small models, half of whose layers' weights are 0, with text they can read."""

from collections.abc import Callable
from typing import Any

import pytest

from pruning.data.examples import Examples, text_windows
from pruning.models.opening import OpenModel, assemble

TEXT = " ".join(f"w{(i * i + 3 * (i // 7)) % 43}" for i in range(400))

Reader = Callable[..., tuple[OpenModel, Examples]]


@pytest.fixture
def reader(tiny: Callable[..., Any], words: Any) -> Reader:
    """(family, task, **changes) → the opened model and windows of 20 tokens."""
    words.add_special_tokens({"mask_token": "w43"})

    def build(family: str, task: str, **changes: Any) -> tuple[OpenModel, Examples]:
        opened = assemble("tiny", task, tiny(family, **changes), words)
        for matrix in opened.matrices:
            weight = matrix.view
            weight[weight.abs() < weight.abs().median()] = 0
        for name, parameter in opened.model.named_parameters():
            if name.endswith("bias"):
                parameter.data.normal_(0, 0.1)  # transformers begins with zeros
        if task == "classify":
            rows = [
                {
                    "input_ids": [2, *(4 + (i * j) % 40 for j in range(1, 3 + i % 9)), 3],
                    "attention_mask": [1] * (4 + i % 9),
                    "labels": i % 2,
                }
                for i in range(24)
            ]
            return opened, Examples(rows)
        return opened, text_windows(words, TEXT, 20, task)

    return build
