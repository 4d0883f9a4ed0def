"""Text, tab-separated tables and SQuAD's questions, read from files as people have them."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_formats.errors import InputError, nearest
from sparse_formats.files.reading import JSON_BYTES, content, parsing
from sparse_formats.memory import claim

_LARGEST_TEXT = 2**31
_TEXT_BYTES = 4
"""Memory for each byte of text: the text itself, and the lines it is cut into."""

_LABEL_COLUMNS = ("label", "labels", "gold_label", "class", "score")
_NUMBER_COLUMNS = ("index", "idx", "id")


def read_text(path: Path, encoding: str = "utf-8-sig") -> str:
    """The text of a file, in UTF-8 (without a byte-order mark) unless said otherwise."""
    found = content(path, "a text", _LARGEST_TEXT)
    claim(path, _TEXT_BYTES * len(found), "reading its text")
    try:
        text = found.decode(encoding)
    except LookupError as error:
        raise InputError(f"unknown encoding {encoding!r}; give a name that Python knows") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"text {path} is not {encoding.removesuffix('-sig')}: {error.reason} at byte "
            f"{error.start}; convert it to UTF-8, or give eval its encoding"
        ) from error
    except (ValueError, AttributeError, TypeError) as error:  # codecs that are none of text
        raise InputError(f"{encoding!r} is no encoding of text: {error}; give another") from error
    # As files are read in text mode.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise InputError(f"text {path} is empty")
    return text


@dataclass(frozen=True)
class Table:
    """A tab-separated file: one or two texts a row, and a label."""

    texts: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...]


def read_table(
    path: Path,
    text: Sequence[str] = (),
    label: str | None = None,
    encoding: str = "utf-8-sig",
) -> Table:
    """The rows of a tab-separated file with a header line.

    text, label: column names; without them the label is the column called label (or labels,
    gold_label, class, score) and the texts are the others, but for index, idx and id. Cells are
    taken as they stand, as GLUE's files need it; quotes are undone where the whole header is
    quoted, or where only that makes rows of one length.

    Raises:
        InputError: unreadable, without such columns, a row of another length, no rows.
    """
    rows = _cells(read_text(path, encoding))
    header = [name.strip() for name in rows[0]]
    if label is None:
        label = next((n for n in header if n.lower() in _LABEL_COLUMNS), None)
        if label is None:
            raise InputError(
                f"table {path}: no column is called label; the columns are {', '.join(header)}; "
                "rename one, or give eval its label_column"
            )
    chosen = tuple(text) or tuple(n for n in header if n not in (label, *_NUMBER_COLUMNS))
    for name in (label, *chosen):
        if name not in header:
            raise InputError(f"table {path}: no column {name!r}{nearest(name, header)}")
    if not 1 <= len(chosen) <= 2:
        raise InputError(
            f"table {path}: a model takes one or two texts, but the text columns are "
            f"{', '.join(chosen) or 'none'}; change the table, or give eval its text_column"
        )
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(header):
            raise InputError(
                f"table {path}: row {number} has {len(row)} columns, but the header {len(header)}"
            )
    if len(rows) < 2:
        raise InputError(f"table {path} has a header and no rows")
    places = [header.index(name) for name in chosen]
    target = header.index(label)
    return Table(
        tuple(tuple(row[place] for place in places) for row in rows[1:]),
        tuple(row[target].strip() for row in rows[1:]),
    )


def _cells(text: str) -> list[list[str]]:
    plain = [line.split("\t") for line in text.split("\n") if line.strip()]
    quoted_header = all(len(c) > 1 and c[0] == c[-1] == '"' for c in map(str.strip, plain[0]))
    if not quoted_header and len({len(row) for row in plain}) == 1:
        return plain
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter="\t", strict=True))
    except csv.Error:
        return plain
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    return rows if len({len(row) for row in rows}) == 1 else plain


def label_numbers(table: Table, names: Mapping[str, int]) -> list[int]:
    """The labels as numbers of classes: by name where the model knows names, else as written.

    Raises:
        InputError: a label that is neither a known name nor a class number.
    """
    classes = len(set(names.values()))
    known = {name.lower(): number for name, number in names.items()}
    numbers: list[int] = []
    for row, label in enumerate(table.labels, 1):
        number = known.get(label.lower(), int(label) if label.isdecimal() else -1)
        if not 0 <= number < classes:
            raise InputError(
                f"label {label!r} in row {row} of the table is none of the {classes} classes of "
                f"the model: {', '.join(names)}"
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
            raise InputError(f"label {label!r} is not a number, but the model is a regression")
        values.append(value)
    return values


@dataclass(frozen=True)
class Question:
    """A question on a passage. answers: (text, first character) pairs; none if unanswerable."""

    number: str
    question: str
    context: str
    answers: tuple[tuple[str, int], ...]


def read_questions(path: Path, encoding: str = "utf-8-sig") -> list[Question]:
    """The questions of a SQuAD file (version 1.1 or 2.0).

    Raises:
        InputError: unreadable, or not of SQuAD's shape.
    """
    text = read_text(path, encoding)
    claim(path, JSON_BYTES * len(text), "reading its JSON")
    what = "a SQuAD file, with data → paragraphs → context, qas → id, question, answers"
    with parsing(path, what, "give such a file"):
        found = [
            Question(
                str(qa["id"]),
                _string(qa["question"]).strip(),
                _string(paragraph["context"]),
                tuple((_string(a["text"]), int(a["answer_start"])) for a in qa.get("answers", ())),
            )
            for article in json.loads(text)["data"]
            for paragraph in article["paragraphs"]
            for qa in paragraph["qas"]
        ]
    if not found:
        raise InputError(f"{path} holds no question")
    return found


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
