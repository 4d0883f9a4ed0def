"""Accuracy and F1 of a classifier, or the agreement of a regression, on a tab-separated file."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pruning.data.examples import check_tokens, is_regression, labelled
from pruning.data.files import Table, label_numbers, label_values
from pruning.evaluation.figures import Figures
from pruning.evaluation.similarity import Agreement, agreement
from pruning.models.opening import OpenModel
from sparse_formats.errors import InputError
from sparse_formats.terminal.progress import Tell


@dataclass(frozen=True)
class Classification(Figures):
    """accuracy; f1: of class 1 where there are two classes, else the mean over classes.

    A class that is neither in the file nor predicted counts as 0 in no mean: it is left out.
    """

    MAIN = "accuracy"

    accuracy: float
    f1: float
    rows: int
    classes: int


def classification(
    opened: OpenModel,
    table: Table,
    length: int | None = None,
    batch: int = 32,
    tell: Tell = lambda step: None,
) -> Classification:
    """Predict the class of every row of `table`; texts are cut to `length` tokens.

    Raises:
        InputError: the model is no classifier, or a label is none of its classes.
    """
    if opened.task != "classify":
        raise InputError(f"model {opened.name} is for {opened.task}: accuracy needs a classifier")
    names = {str(name): int(number) for name, number in opened.model.config.label2id.items()}  # type: ignore[union-attr]
    if is_regression(opened.model.config):
        raise InputError(f"model {opened.name} is a regression and has no classes")
    truth = np.array(label_numbers(table, names))
    found = answers(opened, table, length, batch, tell).argmax(1)
    score = f1(truth, found, len(names))
    hits = found == truth
    return Classification(
        float(hits.mean()), score, len(truth), len(names), samples=hits.astype(np.float64)
    )


def regression(
    opened: OpenModel,
    table: Table,
    length: int | None = None,
    batch: int = 32,
    tell: Tell = lambda step: None,
) -> Agreement:
    """Correlation of a regression's answers with the labels of `table`.

    Raises:
        InputError: the model is no regression, or a label is no number.
    """
    if opened.task != "classify" or not is_regression(opened.model.config):
        raise InputError(f"model {opened.name} is not a regression with one output")
    truth = np.array(label_values(table))
    return agreement(answers(opened, table, length, batch, tell)[:, 0], truth)


def answers(
    opened: OpenModel,
    table: Table,
    length: int | None = None,
    batch: int = 32,
    tell: Tell = lambda step: None,
) -> NDArray[np.float32]:
    """The logits of every row of `table`, float32 (rows, classes)."""
    import torch

    examples = labelled(
        opened.tokenizer, table, [0] * len(table.labels), length or opened.max_length
    )
    check_tokens(opened, examples.rows)
    found: dict[int, NDArray[np.float32]] = {}
    # Rows of like length together: less padding, the same answers.
    order = np.argsort([len(row["input_ids"]) for row in examples.rows], kind="stable")
    for first in range(0, len(order), batch):
        numbers = order[first : first + batch]
        tell(f"row {first} of {len(order)}")
        inputs = examples.batch(numbers, opened.device)
        inputs.pop("labels")
        with torch.inference_mode():
            logits = opened.model(**inputs).logits.float().cpu().numpy()
        found.update(zip(numbers.tolist(), logits, strict=True))
    return np.stack([found[i] for i in range(len(examples))])


def f1(truth: NDArray[np.int64], found: NDArray[np.int64], classes: int) -> float:
    """F1 of class 1 where there are two `classes`, else the mean F1 of those that occur."""
    occur = sorted(set(truth.tolist()) | set(found.tolist()))
    each = []
    for label in [1] if classes == 2 else occur:
        hits = int(np.sum((truth == label) & (found == label)))
        said, there = int(np.sum(found == label)), int(np.sum(truth == label))
        each.append(2 * hits / (said + there) if said + there else 0.0)
    return float(np.mean(each))
