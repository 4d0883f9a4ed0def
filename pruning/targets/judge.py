"""How far a model with other matrices is from the unpruned one: the judge of the outer search."""

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
    """The divergence of outputs on the first examples from those of the model as it was.

    Of logits the Kullback-Leibler divergence of the probabilities, in nats, mean over tokens; of
    other outputs, such as hidden states H, ‖H − Ĥ‖² / ‖H‖². The loss itself would not do: on text
    that the model does not know well it falls where pruning only makes the model less certain.
    A context: at its end the model has its weights.
    """

    def __init__(self, opened: OpenModel, examples: Examples, tokens: int = TOKENS) -> None:
        self._opened = opened
        self._examples = Examples(_first(examples, tokens), examples.pad)
        self._own = {matrix.name: matrix.weight() for matrix in opened.matrices}
        self._in_place: dict[str, Any] = {}
        self._whole = [self._outputs(batch) for batch in self._batches()]

    @property
    def measure(self) -> str:
        """In words, what it measures."""
        is_of_logits = all(_is_of_logits(*output) for output in self._whole[0].items())
        return "Kullback-Leibler divergence in nats" if is_of_logits else "relative squared error"

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *error: object) -> None:
        for name, weight in self._own.items():
            self._put(name, weight)

    def __call__(self, weights: Mapping[str, Any]) -> float:
        """The divergence with these weights; of each matrix something with a method `weight`.

        Matrices that are the same object as at the last call stay where they are.
        """
        for name, stored in weights.items():
            if self._in_place.get(name) is not stored:
                self._put(name, stored.weight())
                self._in_place[name] = stored
        total = 0.0
        for whole, batch in zip(self._whole, self._batches(), strict=True):
            ours = self._outputs(batch)
            off = [_divergence(name, theirs, ours[name]) for name, theirs in whole.items()]
            total += len(batch["input_ids"]) * sum(off) / len(off)
        return total / len(self._examples)

    def _put(self, name: str, weight: NDArray[np.floating[Any]]) -> None:
        matrix = self._opened.by_name[name]
        matrix.view.copy_(matrix.from_file(weight))

    def _batches(self) -> "list[dict[str, Tensor]]":
        count = len(self._examples)
        return [
            self._examples.batch(range(first, min(first + BATCH, count)), self._opened.device)
            for first in range(0, count, BATCH)
        ]

    def _outputs(self, batch: "dict[str, Tensor]") -> "dict[str, Tensor]":
        """Logits of the model, or where it has none, its last hidden states."""
        import torch

        with torch.inference_mode():
            found = self._opened.model(**batch)
        logits = {key: value for key, value in found.items() if "logits" in key}
        return logits or {"last_hidden_state": found["last_hidden_state"]}


def _is_of_logits(name: str, output: "Tensor") -> bool:
    return "logits" in name and output.shape[-1] > 1


def _divergence(name: str, theirs: "Tensor", ours: "Tensor") -> float:
    """How far our output, (…, classes) if it is of logits, is from theirs."""
    import torch

    theirs, ours = theirs.float(), ours.float()
    if not _is_of_logits(name, ours):
        off, whole = (ours - theirs).square().sum(), theirs.square().sum()
        return float(off / whole.clamp_min(1e-30))
    wanted, found = (torch.log_softmax(each, -1) for each in (theirs, ours))
    return float((wanted.exp() * (wanted - found)).sum(-1).mean())


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
