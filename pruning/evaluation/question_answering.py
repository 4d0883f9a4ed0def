"""Exact match and F1 on questions in SQuAD's format, scored as SQuAD's own script does.

Source: Rajpurkar et al. 2016 and 2018 (the official evaluation script's rules): answers are
compared in lower case, without punctuation, articles and surplus white space; F1 is that of the
bags of words; of several true answers the best counts; an unanswerable question is answered by
nothing.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pruning.data.examples import Passages, check_tokens, passages
from pruning.data.files import Question
from pruning.evaluation.figures import Figures
from pruning.models.opening import OpenModel
from sparse_formats.errors import InputError
from sparse_formats.terminal.progress import Tell

if TYPE_CHECKING:
    from torch import Tensor

_BEST = 20
"""Starts and ends of a window that are tried with each other."""


@dataclass(frozen=True)
class Answers(Figures):
    """Percent, as SQuAD reports them."""

    MAIN = "f1"

    exact_match: float
    f1: float
    questions: int


def question_answering(
    opened: OpenModel,
    questions: Sequence[Question],
    length: int | None = None,
    batch: int = 16,
    longest: int = 30,
    tell: Tell = lambda step: None,
) -> Answers:
    """Answer `questions`; windows of `length` tokens (at most 384), answers up to `longest`.

    Raises:
        InputError: the model answers no questions.
    """
    if opened.task != "answer":
        raise InputError(
            f"model {opened.name} is for {opened.task}; give a model for question answering"
        )
    cut = passages(opened.tokenizer, questions, length or min(384, opened.max_length))
    check_tokens(opened, cut.examples.rows)
    starts, ends = _logits(opened, cut, batch, tell)
    # Only where the file has unanswerable questions may the answer be nothing.
    nothing = any(not question.answers for question in questions)
    given = best_answers(questions, cut, starts, ends, longest, nothing)
    return score(questions, given)


def best_answers(
    questions: Sequence[Question],
    cut: Passages,
    starts: Sequence[NDArray[np.float32]],
    ends: Sequence[NDArray[np.float32]],
    longest: int,
    nothing: bool,
) -> list[str]:
    """The text with the highest start + end logit over all windows of each question."""
    best = [(-np.inf, "")] * len(questions)
    null = [np.inf] * len(questions)
    for window, number in enumerate(cut.question):
        places = cut.offsets[window]
        inside = np.array([i for i, place in enumerate(places) if place is not None], np.intp)
        start, end = starts[window], ends[window]
        null[number] = min(null[number], float(start[0] + end[0]))
        firsts = inside[np.argsort(-start[inside], kind="stable")[:_BEST]]
        lasts = inside[np.argsort(-end[inside], kind="stable")[:_BEST]]
        for first in firsts:
            for last in lasts:
                if not first <= last < first + longest:
                    continue
                value = float(start[first] + end[last])
                if value > best[number][0]:
                    a, b = places[first], places[last]
                    assert a is not None and b is not None
                    best[number] = (value, questions[number].context[a[0] : b[1]])
    return [
        "" if nothing and null[number] > value else text
        for number, (value, text) in enumerate(best)
    ]


def score(questions: Sequence[Question], given: Sequence[str]) -> Answers:
    """Exact match and F1 of the answers `given`, one a question."""
    exact, overlap = 0.0, []
    for question, answer in zip(questions, given, strict=True):
        # As in version 2's script: an answer of which nothing is left is none.
        truths = [text for text, _ in question.answers if plain(text)] or [""]
        exact += max(float(plain(answer) == plain(truth)) for truth in truths)
        overlap.append(max(word_f1(answer, truth) for truth in truths))
    count = len(questions)
    samples = 100 * np.array(overlap, np.float64)
    return Answers(100 * exact / count, 100 * sum(overlap) / count, count, samples=samples)


def plain(answer: str) -> str:
    """Lower case, no punctuation, no articles, single spaces."""
    kept = "".join(c for c in answer.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def word_f1(given: str, truth: str) -> float:
    """F1 of the bags of words of two answers; where one is empty, whether both are."""
    said, there = plain(given).split(), plain(truth).split()
    if not said or not there:
        return float(said == there)
    common = sum((Counter(said) & Counter(there)).values())
    return 2 * common / (len(said) + len(there))


def _logits(
    opened: OpenModel, cut: Passages, batch: int, tell: Tell
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    import torch

    starts: list[NDArray[np.float32]] = []
    ends: list[NDArray[np.float32]] = []
    for first in range(0, len(cut.examples), batch):
        tell(f"window {first} of {len(cut.examples)}")
        numbers = range(first, min(first + batch, len(cut.examples)))
        inputs = _without_labels(cut.examples.batch(numbers, opened.device))
        with torch.inference_mode():
            out = opened.model(**inputs)
        starts += list(out.start_logits.float().cpu().numpy())
        ends += list(out.end_logits.float().cpu().numpy())
    return starts, ends


def _without_labels(inputs: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    return {key: value for key, value in inputs.items() if not key.endswith("_positions")}
