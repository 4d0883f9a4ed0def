"""Accuracy and F1 of a classifier on a tab-separated file."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pruning.examples import Table, label_numbers, labelled
from pruning.models.opening import OpenModel
from sparse_formats.errors import InputError


@dataclass(frozen=True)
class Classification:
    """accuracy; f1: of class 1 where there are two classes, else the mean over classes.

    A class that is neither in the file nor predicted counts as 0 in no mean: it is left out.
    """

    accuracy: float
    f1: float
    rows: int
    classes: int


def classification(
    opened: OpenModel,
    table: Table,
    length: int | None = None,
    batch: int = 32,
    tell: Callable[[str], None] = lambda step: None,
) -> Classification:
    """Predict the class of every row of `table`; texts are cut to `length` tokens.

    Raises:
        InputError: the model is no classifier, or a label is none of its classes.
    """
    import torch

    if opened.task != "classify":
        raise InputError(f"model {opened.name} is for {opened.task}: accuracy needs a classifier")
    names = {str(name): int(number) for name, number in opened.model.config.label2id.items()}  # type: ignore[union-attr]
    if len(names) < 2:
        raise InputError(f"model {opened.name} has one output (a regression), no classes")
    truth = np.array(label_numbers(table, names))
    examples = labelled(opened.tokenizer, table, truth.tolist(), length or opened.max_length)
    found = np.zeros(len(examples), np.int64)
    # Rows of like length together: less padding, the same answers.
    order = np.argsort([len(row["input_ids"]) for row in examples.rows], kind="stable")
    for first in range(0, len(order), batch):
        numbers = order[first : first + batch]
        tell(f"row {first} of {len(order)}")
        inputs = examples.batch(numbers)
        inputs.pop("labels")
        with torch.inference_mode():
            found[numbers] = opened.model(**inputs).logits.argmax(-1).numpy()
    return Classification(float((found == truth).mean()), f1(truth, found), len(truth), len(names))


def f1(truth: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """F1 of class 1 for labels 0 and 1, else the mean F1 of the classes that occur."""
    classes = sorted(set(truth.tolist()) | set(found.tolist()))
    if set(classes) <= {0, 1}:
        classes = [1]
    each = []
    for label in classes:
        hits = int(np.sum((truth == label) & (found == label)))
        said, there = int(np.sum(found == label)), int(np.sum(truth == label))
        each.append(2 * hits / (said + there) if said + there else 0.0)
    return float(np.mean(each))
