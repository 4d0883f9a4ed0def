"""Text, tables and questions as examples a model of transformers takes, loss included.

An example is a mapping of the model's argument names to token lists or single labels; a batch is
a few of them padded to one length. Which examples make up the batch of a training step depends on
the seed and the step alone, so a run can be taken up at any step.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pruning.data.files import (
    Question,
    Table,
    label_numbers,
    label_values,
    read_questions,
    read_table,
    read_text,
)
from sparse_formats.errors import InputError, SettingError

if TYPE_CHECKING:
    from torch import Tensor, device
    from transformers import PreTrainedTokenizerBase

    from pruning.models.opening import OpenModel

IGNORED = -100
"""The label of a token without a target, as PyTorch's cross-entropy has it."""

_PADDING = {"labels": IGNORED, "attention_mask": 0, "token_type_ids": 0}


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples in the order of their file. pad: the token id that fills short ones."""

    rows: Sequence[Mapping[str, Any]]
    pad: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def batch(
        self, numbers: Sequence[int] | NDArray[np.intp], device: "device | None" = None
    ) -> "dict[str, Tensor]":
        """The examples of these numbers as tensors, (batch, longest) or (batch,).

        device: where they are to be; the CPU unless given.
        """
        import torch

        chosen = [self.rows[int(number)] for number in numbers]
        made: dict[str, Tensor] = {}
        for key in chosen[0]:
            values = [row[key] for row in chosen]
            if isinstance(values[0], list):
                longest = max(len(value) for value in values)
                fill = _PADDING.get(key, self.pad)
                values = [[*value, *[fill] * (longest - len(value))] for value in values]
            made[key] = torch.tensor(values, device=device)
        return made


def step_numbers(count: int, batch: int, step: int, seed: int) -> NDArray[np.intp]:
    """Which of `count` examples make up the batch of step number `step`: shuffled epochs."""
    first = step * batch
    epochs = range(first // count, (first + batch - 1) // count + 1)
    orders = [np.random.default_rng((seed, epoch)).permutation(count) for epoch in epochs]
    start = first - epochs[0] * count
    return np.concatenate(orders)[start : start + batch]


def drawn(examples: Examples, count: int, seed: int) -> Examples:
    """Up to `count` of the examples, drawn by `seed` without repeats."""
    numbers = step_numbers(len(examples), min(count, len(examples)), 0, seed)
    return Examples([examples.rows[int(number)] for number in numbers], examples.pad)


def token_ids(tokenizer: "PreTrainedTokenizerBase | None", text: str) -> list[int]:
    """The tokens of `text` without special ones."""
    return checked(tokenizer)(text, add_special_tokens=False, verbose=False).input_ids


def checked(tokenizer: "PreTrainedTokenizerBase | None") -> "PreTrainedTokenizerBase":
    """`tokenizer`; InputError if the model came without one."""
    if tokenizer is None:
        raise InputError("the model has no tokenizer beside it; save it in the model's directory")
    return tokenizer


def text_windows(
    tokenizer: "PreTrainedTokenizerBase | None", text: str, length: int, task: str, seed: int = 0
) -> Examples:
    """`text` cut into windows of `length` tokens, with labels where the task has a loss on text.

    task "causal": every token is its own label (transformers shifts them). "masked": 15 % of the
    tokens drawn by `seed` become the mask token and keep their label (BERT, section 3.1, without
    its random replacements). "encode": no labels. The last two stand between the tokenizer's
    special tokens. A rest shorter than a window is dropped.

    Raises:
        InputError: another task, a text shorter than one window, no mask token.
    """
    if task not in ("causal", "masked", "encode"):
        raise InputError(
            f"a model for {task} learns nothing from plain text; give a table or questions"
        )
    known = checked(tokenizer)
    ids = token_ids(tokenizer, text)
    frame = [] if task == "causal" else list(known("").input_ids)
    room = length - len(frame)
    if room < 1 or len(ids) < room:
        raise InputError(
            f"the text has {len(ids)} tokens, but one window needs {length}; give a longer text or "
            "a smaller length"
        )
    windows = [ids[i : i + room] for i in range(0, len(ids) - room + 1, room)]
    if task == "causal":
        return Examples([{"input_ids": w, "labels": w} for w in windows])
    before, after = frame[:1], frame[1:]
    if task == "encode":
        return Examples([{"input_ids": [*before, *w, *after]} for w in windows])
    mask = mask_token(known)
    rng = np.random.default_rng(seed)
    rows = []
    for window in windows:
        hidden = rng.random(room) < 0.15
        hidden[rng.integers(room)] = True
        inputs = [mask if h else t for t, h in zip(window, hidden, strict=True)]
        labels = [t if h else IGNORED for t, h in zip(window, hidden, strict=True)]
        none = [IGNORED] * len(frame)
        rows.append(
            {
                "input_ids": [*before, *inputs, *after],
                "labels": [*none[: len(before)], *labels, *none[len(before) :]],
            }
        )
    return Examples(rows)


def check_tokens(opened: "OpenModel", rows: Iterable[Mapping[str, Any]]) -> None:
    """InputError if a row has a token that the model knows nothing of."""
    try:
        embedding = opened.model.get_input_embeddings()
    except NotImplementedError:
        raise InputError(
            f"model {opened.name} reads more than text, so this command cannot run it; prune and "
            "check work with it"
        ) from None
    known = getattr(embedding, "num_embeddings", None)
    if known is None:
        return
    most = max((max(row["input_ids"], default=0) for row in rows), default=0)
    if most >= known:
        raise InputError(
            f"model {opened.name} has embeddings of {known} tokens, but its tokenizer gives token "
            f"{most}; give the tokenizer that the model was trained with"
        )


def mask_token(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The id of the mask token; InputError if there is none."""
    if not isinstance(tokenizer.mask_token_id, int):
        raise InputError("the tokenizer has no mask token, which a masked language model needs")
    return tokenizer.mask_token_id


def is_regression(config: Any) -> bool:
    """Whether a classification model of this config answers with one number."""
    return config.problem_type == "regression" or len(config.id2label) == 1


def check_one_answer(opened: "OpenModel") -> None:
    """InputError of a classifier that gives several labels or numbers at once."""
    config: Any = opened.model.config
    kind, count = config.problem_type, len(config.id2label)
    if kind == "multi_label_classification" or (kind == "regression" and count > 1):
        raise InputError(
            f"model {opened.name} gives {count} answers at once ({kind}), but a table has one "
            "label per row; give a classifier with one class or a regression with one number"
        )


def labelled(
    tokenizer: "PreTrainedTokenizerBase | None",
    table: Table,
    labels: Sequence[float],
    length: int,
) -> Examples:
    """The rows of a table as examples for a classifier or regression, cut to `length` tokens."""
    known = checked(tokenizer)
    rows: list[dict[str, Any]] = []
    for texts, label in zip(table.texts, labels, strict=True):
        first, second = texts[0], texts[1] if len(texts) > 1 else None
        encoded = known(first, second, truncation=True, max_length=length)
        rows.append({**{key: list(value) for key, value in encoded.items()}, "labels": label})
    return Examples(rows, pad_id(known))


@dataclass(frozen=True, eq=False)
class Passages:
    """Questions with as much of their passage as fits, several windows a question if need be.

    question: the question each example belongs to. offsets: per token the characters
    [first, last) of the context; None outside it.
    """

    examples: Examples
    question: tuple[int, ...]
    offsets: tuple[tuple[tuple[int, int] | None, ...], ...]


def passages(
    tokenizer: "PreTrainedTokenizerBase | None",
    questions: Sequence[Question],
    length: int,
    overlap: int = 128,
) -> Passages:
    """Question and passage cut into windows of `length` tokens that overlap by `overlap`.

    Labels (start_positions, end_positions) are the first answer's tokens, and token 0 where the
    window does not hold it (as BERT's run_squad does). Of a question no more than half a window is
    read.

    Raises:
        InputError: a tokenizer without offsets, windows too short for a word of each.
    """
    known = checked(tokenizer)
    if not known.is_fast:
        raise InputError("this tokenizer has no character offsets; save its tokenizer.json")
    room = length - known.num_special_tokens_to_add(pair=True)
    if room < 2:
        raise SettingError("length", f"is {length}; the special tokens alone take {length - room}")
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    offsets: list[tuple[tuple[int, int] | None, ...]] = []
    for number, item in enumerate(questions):
        encoded = known(
            _beginning(known, item.question, max(1, room // 2)),
            item.context,
            truncation="only_second",
            max_length=length,
            stride=min(overlap, room // 3),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        for window, spans in enumerate(encoded["offset_mapping"]):
            parts = encoded.sequence_ids(window)
            places = tuple(
                (int(a), int(b)) if part == 1 else None
                for part, (a, b) in zip(parts, spans, strict=True)
            )
            row = {
                key: list(encoded[key][window])
                for key in ("input_ids", "attention_mask", "token_type_ids")
                if key in encoded
            }
            start, end = _answer_tokens(item, places)
            rows.append({**row, "start_positions": start, "end_positions": end})
            numbers.append(number)
            offsets.append(places)
    return Passages(Examples(rows, pad_id(known)), tuple(numbers), tuple(offsets))


def examples_of(
    opened: "OpenModel",
    text: Path | None,
    table: Path | None,
    squad: Path | None,
    length: int | None,
    seed: int = 0,
) -> Examples:
    """The examples of the one file given, in the form `opened` learns from.

    length: tokens of an example; the model's context, at most 512, unless given.

    Raises:
        InputError: none or several files, a file the model's task has no use for, a model of
            several answers at once, a bad length.
    """
    given = [path for path in (text, table, squad) if path is not None]
    if len(given) != 1:
        raise InputError(f"give one of text, table and squad; found {len(given)} of them")
    longest = opened.max_length
    size = min(longest, 512) if length is None else length
    if not 1 <= size <= longest:
        raise SettingError("length", f"is {size}; give 1 to {longest} tokens")
    found = _examples_of(opened, text, table, squad, size, seed)
    check_tokens(opened, found.rows)
    return found


def _examples_of(
    opened: "OpenModel",
    text: Path | None,
    table: Path | None,
    squad: Path | None,
    size: int,
    seed: int,
) -> Examples:
    if text is not None:
        return text_windows(opened.tokenizer, read_text(text), size, opened.task, seed)
    wanted = "classify" if table is not None else "answer"
    if opened.task != wanted:
        raise InputError(
            f"model {opened.name} is for {opened.task}: {table or squad} is for {wanted}"
        )
    if squad is not None:
        return passages(opened.tokenizer, read_questions(squad), size).examples
    assert table is not None
    check_one_answer(opened)
    rows = read_table(table)
    config = opened.model.config
    if is_regression(config):
        return labelled(opened.tokenizer, rows, label_values(rows), size)
    names = {str(name): int(n) for name, n in config.label2id.items()}  # type: ignore[union-attr]
    return labelled(opened.tokenizer, rows, label_numbers(rows, names), size)


def _beginning(known: "PreTrainedTokenizerBase", text: str, most: int) -> str:
    """`text`, or so much of it as `most` tokens cover."""
    encoded = known(text, add_special_tokens=False, return_offsets_mapping=True)
    spans = encoded["offset_mapping"]
    return text if len(spans) <= most else text[: spans[most - 1][1]]


def _answer_tokens(question: Question, places: Sequence[tuple[int, int] | None]) -> tuple[int, int]:
    if not question.answers:
        return 0, 0
    text, first = question.answers[0]
    last = first + len(text)
    inside = [i for i, place in enumerate(places) if place and place[0] < last and place[1] > first]
    known = [place for place in places if place]
    if not inside or known[0][0] > first or known[-1][1] < last:
        return 0, 0
    return inside[0], inside[-1]


def pad_id(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The id of the padding token; 0 if there is none (padded places are masked anyway)."""
    return tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else 0
