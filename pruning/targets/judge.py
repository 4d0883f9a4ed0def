"""The calibration loss of a model whose matrices are replaced: the judge of the outer search."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pruning.data.examples import Examples
from pruning.models.opening import OpenModel

if TYPE_CHECKING:
    from torch import Tensor

TOKENS = 2048
"""Tokens that a judgement reads, whole examples and at least one (chosen)."""

BATCH = 8


class Judge:
    """The mean loss on the first examples, in nats.

    A model without a loss on these examples, such as an encoder on plain text, is judged by
    ‖H − Ĥ‖² / ‖H‖² of its last hidden states H. A context: at its end the model has its weights.
    """

    def __init__(self, opened: OpenModel, examples: Examples, tokens: int = TOKENS) -> None:
        self._opened = opened
        self._examples = Examples(_first(examples, tokens), examples.pad)
        self._own = {matrix.name: matrix.weight() for matrix in opened.matrices}
        self._in_place: dict[str, Any] = {}
        self.has_loss = any(key in self._examples.rows[0] for key in ("labels", "start_positions"))
        self._hidden = [] if self.has_loss else list(self._hidden_states())

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *error: object) -> None:
        for name, weight in self._own.items():
            self._put(name, weight)

    def __call__(self, weights: Mapping[str, Any]) -> float:
        """The loss with these weights; of each matrix something with a method `weight`.

        Matrices that are the same object as at the last call stay where they are.
        """
        for name, stored in weights.items():
            if self._in_place.get(name) is not stored:
                self._put(name, stored.weight())
                self._in_place[name] = stored
        return self._loss() if self.has_loss else self._distance()

    def _put(self, name: str, weight: NDArray[np.floating[Any]]) -> None:
        matrix = self._opened.by_name[name]
        matrix.view.copy_(matrix.from_file(weight))

    def _batches(self) -> "list[dict[str, Tensor]]":
        count = len(self._examples)
        return [
            self._examples.batch(range(first, min(first + BATCH, count)), self._opened.device)
            for first in range(0, count, BATCH)
        ]

    def _loss(self) -> float:
        import torch

        total = examples = 0.0
        with torch.inference_mode():
            for batch in self._batches():
                count = len(next(iter(batch.values())))
                total += count * float(self._opened.model(**batch).loss)
                examples += count
        return total / examples

    def _hidden_states(self) -> "list[Tensor]":
        import torch

        with torch.inference_mode():
            return [
                self._opened.model(**batch).last_hidden_state.double() for batch in self._batches()
            ]

    def _distance(self) -> float:
        off = whole = 0.0
        for ours, theirs in zip(self._hidden_states(), self._hidden, strict=True):
            off += float((ours - theirs).square().sum())
            whole += float(theirs.square().sum())
        return off / max(whole, 1e-30)


def _first(examples: Examples, tokens: int) -> list[Mapping[str, Any]]:
    """Examples from the beginning, until they have so many tokens."""
    taken: list[Mapping[str, Any]] = []
    read = 0
    for row in examples.rows:
        read += len(row["input_ids"])
        if taken and read > tokens:
            break
        taken.append(row)
    return taken
