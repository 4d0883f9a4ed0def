"""Text, tables and questions as examples a model of transformers takes, loss included.

An example is a mapping of the model's argument names to token lists or single labels; a batch is
a few of them padded to one length. Which examples make up the batch of a training step depends on
the seed and the step alone, so a run can be taken up at any step.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError, nearest

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from pruning.models.opening import OpenModel

IGNORED = -100
"""The label of a token without a target, as PyTorch's cross-entropy has it."""

_PADDING = {"labels": IGNORED, "attention_mask": 0, "token_type_ids": 0}
_LABEL_COLUMNS = ("label", "labels", "gold_label", "class")


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples in the order of their file. pad: the token id that fills short ones."""

    rows: Sequence[Mapping[str, Any]]
    pad: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, numbers: Sequence[int] | NDArray[np.intp]) -> "dict[str, Tensor]":
        """The examples of these numbers as tensors, (batch, longest) or (batch,)."""
        import torch

        chosen = [self.rows[int(number)] for number in numbers]
        made: dict[str, Tensor] = {}
        for key in chosen[0]:
            values = [row[key] for row in chosen]
            if isinstance(values[0], list):
                longest = max(len(value) for value in values)
                fill = _PADDING.get(key, self.pad)
                values = [[*value, *[fill] * (longest - len(value))] for value in values]
            made[key] = torch.tensor(values)
        return made


def step_numbers(count: int, batch: int, step: int, seed: int) -> NDArray[np.intp]:
    """Which of `count` examples make up the batch of step number `step`: shuffled epochs."""
    first = step * batch
    epochs = range(first // count, (first + batch - 1) // count + 1)
    orders = [np.random.default_rng((seed, epoch)).permutation(count) for epoch in epochs]
    start = first - epochs[0] * count
    return np.concatenate(orders)[start : start + batch]


def read_text(path: Path, encoding: str = "utf-8-sig") -> str:
    """The text of a file, in UTF-8 (without a byte-order mark) unless said otherwise."""
    try:
        text = path.read_text(encoding)
    except LookupError as error:
        raise InputError(f"unknown encoding {encoding!r}; give one of Python's") from error
    except OSError as error:
        raise InputError(f"cannot read text {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"text {path} is not {encoding.removesuffix('-sig')}: {error.reason} at byte "
            f"{error.start}; give it in UTF-8, or name its --encoding"
        ) from error
    if not text.strip():
        raise InputError(f"text {path} is empty")
    return text


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
            f"a model for {task} learns nothing from plain text; give --table or --squad"
        )
    known = checked(tokenizer)
    ids = token_ids(tokenizer, text)
    frame = [] if task == "causal" else list(known("").input_ids)
    room = length - len(frame)
    if room < 1 or len(ids) < room:
        raise InputError(
            f"the text has {len(ids)} tokens, one window takes {length}; give a longer text or "
            "another --length"
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


def mask_token(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The id of the mask token; InputError if there is none."""
    if not isinstance(tokenizer.mask_token_id, int):
        raise InputError("the tokenizer has no mask token, which a masked language model needs")
    return tokenizer.mask_token_id


@dataclass(frozen=True)
class Table:
    """A tab-separated file: one or two texts a row, and a label."""

    texts: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...]


def read_table(path: Path, text: Sequence[str] = (), label: str | None = None) -> Table:
    """The rows of a tab-separated file with a header line.

    text, label: column names; without them the label is the column called label (or labels,
    gold_label, class, score) and the texts are the others, but for index and idx.

    Raises:
        InputError: unreadable, without such columns, a row of another length, no rows.
    """
    lines = read_text(path).split("\n")
    rows = list(csv.reader((line for line in lines if line.strip()), delimiter="\t", quoting=3))
    header = [name.strip() for name in rows[0]]
    if label is None:
        label = next((n for n in header if n.lower() in (*_LABEL_COLUMNS, "score")), None)
        if label is None:
            raise InputError(
                f"table {path}: no column is called label: found {', '.join(header)}; name the "
                "columns with --label-column and --text-column"
            )
    chosen = tuple(text) or tuple(n for n in header if n not in (label, "index", "idx", "id"))
    for name in (label, *chosen):
        if name not in header:
            raise InputError(f"table {path}: no column {name!r}{nearest(name, header)}")
    if not 1 <= len(chosen) <= 2:
        raise InputError(
            f"table {path}: a model takes one or two texts, found columns {', '.join(chosen)}; "
            "name them with --text-column"
        )
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise InputError(
                f"table {path}: row {number} has {len(row)} columns, the header {len(header)}"
            )
    if len(rows) < 2:
        raise InputError(f"table {path} has a header and no rows")
    places = [header.index(name) for name in chosen]
    target = header.index(label)
    return Table(
        tuple(tuple(row[place] for place in places) for row in rows[1:]),
        tuple(row[target].strip() for row in rows[1:]),
    )


def label_numbers(table: Table, names: Mapping[str, int]) -> list[int]:
    """The labels as numbers of classes: by name where the model knows names, else as written.

    Raises:
        InputError: a label that is neither a known name nor a class number.
    """
    classes = len(set(names.values()))
    known = {name.lower(): number for name, number in names.items()}
    numbers: list[int] = []
    for label in table.labels:
        number = known.get(label.lower(), int(label) if label.isdigit() else -1)
        if not 0 <= number < classes:
            raise InputError(
                f"label {label!r} is none of the model's {classes} classes: {', '.join(names)}"
            )
        numbers.append(number)
    return numbers


def label_values(table: Table) -> list[float]:
    """The labels as the numbers a regression is to answer.

    Raises:
        InputError: a label that is no finite number.
    """
    values: list[float] = []
    for label in table.labels:
        try:
            value = float(label)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise InputError(f"label {label!r} is no number, and the model is a regression")
        values.append(value)
    return values


def is_regression(config: Any) -> bool:
    """Whether a classification model of this config answers with one number."""
    return config.problem_type == "regression" or len(config.id2label) == 1


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


@dataclass(frozen=True)
class Question:
    """A question on a passage. answers: (text, first character) pairs; none if unanswerable."""

    number: str
    question: str
    context: str
    answers: tuple[tuple[str, int], ...]


def read_questions(path: Path) -> list[Question]:
    """The questions of a SQuAD file (version 1.1 or 2.0).

    Raises:
        InputError: unreadable, or not of SQuAD's shape.
    """
    try:
        data = json.loads(read_text(path))
        found = [
            Question(
                str(qa["id"]),
                qa["question"].strip(),
                paragraph["context"],
                tuple((a["text"], int(a["answer_start"])) for a in qa.get("answers", ())),
            )
            for article in data["data"]
            for paragraph in article["paragraphs"]
            for qa in paragraph["qas"]
        ]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path} is no SQuAD file ({type(error).__name__}: {error}); it needs "
            "data → paragraphs → context, qas → id, question, answers"
        ) from error
    if not found:
        raise InputError(f"{path} holds no question")
    return found


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
    window does not hold it (as BERT's run_squad does).

    Raises:
        InputError: a tokenizer without offsets.
    """
    known = checked(tokenizer)
    if not known.is_fast:
        raise InputError("this tokenizer tells no character offsets; save its tokenizer.json")
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    offsets: list[tuple[tuple[int, int] | None, ...]] = []
    for number, item in enumerate(questions):
        encoded = known(
            item.question,
            item.context,
            truncation="only_second",
            max_length=length,
            stride=min(overlap, length // 3),
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
        InputError: none or several files, a file the model's task has no use for, a bad length.
    """
    given = [path for path in (text, table, squad) if path is not None]
    if len(given) != 1:
        raise InputError(f"give one of --text, --table, --squad; found {len(given)} of them")
    longest = opened.max_length
    size = min(longest, 512) if length is None else length
    if not 1 <= size <= longest:
        raise InputError(f"length {size}: give 1 to {longest} tokens")
    if text is not None:
        return text_windows(opened.tokenizer, read_text(text), size, opened.task, seed)
    wanted = "classify" if table is not None else "answer"
    if opened.task != wanted:
        raise InputError(f"model {opened.name} is for {opened.task}: {given[0]} is for {wanted}")
    if squad is not None:
        return passages(opened.tokenizer, read_questions(squad), size).examples
    assert table is not None
    rows = read_table(table)
    config = opened.model.config
    if is_regression(config):
        return labelled(opened.tokenizer, rows, label_values(rows), size)
    names = {str(name): int(n) for name, n in config.label2id.items()}  # type: ignore[union-attr]
    return labelled(opened.tokenizer, rows, label_numbers(rows, names), size)


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
