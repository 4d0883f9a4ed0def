"""Tiny encoders with answers that differ, and examples of uneven length."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pruning.data.examples import Examples
from pruning.models.opening import assemble
from pruning.retraining_free.sublayers import Encoder, find_encoder

Build = Callable[..., Encoder]


@pytest.fixture
def encoder() -> Build:
    """(kind, **config) → a random encoder: "bert", "distilbert", "regression", "answer"."""
    torch = pytest.importorskip("torch")
    import transformers

    torch.set_num_threads(1)

    def build(kind: str = "bert", seed: int = 0, **changes: Any) -> Encoder:
        small: dict[str, Any] = {"vocab_size": 48, "max_position_embeddings": 40, "num_labels": 3}
        bert = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
        distil = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
        torch.manual_seed(seed)
        if kind == "distilbert":
            config = transformers.DistilBertConfig(**{**small, **distil, **changes})
            model: Any = transformers.DistilBertForSequenceClassification(config)
        else:
            settings = {**small, **bert, "intermediate_size": 64, **changes}
            settings["num_labels"] = {"regression": 1, "answer": 2}.get(
                kind, settings["num_labels"]
            )
            config = transformers.BertConfig(**settings)
            kinds = {"answer": transformers.BertForQuestionAnswering}
            model = kinds.get(kind, transformers.BertForSequenceClassification)(config)
        # As drawn, weights are so small that all inputs give the same answer; biases are 0.
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.data *= 5
            else:
                parameter.data += 0.1 * torch.randn_like(parameter)
        task = "answer" if kind == "answer" else "classify"
        return find_encoder(assemble("tiny", task, model.eval(), None))

    return build


@pytest.fixture
def examples() -> Examples:
    """60 examples of 5 to 19 tokens with labels of three classes."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        ids = rng.integers(4, 44, int(rng.integers(5, 20))).tolist()
        rows.append(
            {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": int(rng.integers(3))}
        )
    return Examples(rows)
