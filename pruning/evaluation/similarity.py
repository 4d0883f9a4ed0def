"""How well sentence embeddings agree with people, and find what belongs together.

An embedding is the mean of the last layer over a text's tokens (or its first token, where the
directory's `1_Pooling/config.json` says so), scaled to length 1; similarity is the cosine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pruning.data.examples import Examples, check_tokens, checked, pad_id
from pruning.data.files import Table, read_text
from pruning.evaluation.figures import Figures, Samples, correlation_influences
from pruning.models.opening import OpenModel
from sparse_formats.errors import InputError
from sparse_formats.files.reading import read_json
from sparse_formats.terminal.progress import Tell


@dataclass(frozen=True)
class Agreement(Figures):
    """Correlation of cosines with people's judgements over `pairs` pairs of texts."""

    MAIN = "pearson"

    pearson: float
    spearman: float
    pairs: int


@dataclass(frozen=True)
class Retrieval(Figures):
    """Share of passages whose second half is the nearest of all second halves to their first."""

    MAIN = "accuracy"

    accuracy: float
    passages: int


Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts → unit vectors, float32 (texts, width)."""


def embedder(
    opened: OpenModel,
    length: int = 256,
    batch: int = 16,
    first_token: bool = False,
    tell: Tell = lambda step: None,
) -> Embed:
    """What turns texts into embeddings with this model; texts are cut to `length` tokens.

    Raises:
        InputError: the model is no encoder.
    """
    import torch

    known = checked(opened.tokenizer)
    if opened.task != "encode":
        raise InputError(f"model {opened.name} is for {opened.task}: embeddings need an encoder")
    length = min(length, opened.max_length)

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [dict(known(text, truncation=True, max_length=length)) for text in texts]
        examples = Examples(rows, pad_id(known))
        check_tokens(opened, rows)
        order = np.argsort([len(row["input_ids"]) for row in rows], kind="stable")
        vectors: dict[int, NDArray[np.float32]] = {}
        for first in range(0, len(order), batch):
            tell(f"text {first} of {len(order)}")
            numbers = order[first : first + batch]
            inputs = examples.batch(numbers, opened.device)
            with torch.inference_mode():
                hidden = opened.model(**inputs).last_hidden_state.float()
                weights = inputs["attention_mask"].unsqueeze(-1).float()
                if first_token:
                    weights = torch.zeros_like(weights)
                    weights[:, 0] = 1
                pooled = (hidden * weights).sum(1) / weights.sum(1)
                unit = torch.nn.functional.normalize(pooled, dim=-1)
            vectors.update(zip(numbers.tolist(), unit.cpu().numpy(), strict=True))
        return np.stack([vectors[i] for i in range(len(rows))])

    return embed


class _Pooling(msgspec.Struct):
    by_first_token: bool = msgspec.field(name="pooling_mode_cls_token", default=False)


def pools_first_token(folder: Path) -> bool:
    """Whether the directory says that the first token is the embedding (1_Pooling/config.json)."""
    file = folder / "1_Pooling" / "config.json"
    if not file.is_file():
        return False
    return read_json(file, _Pooling, "the settings of a pooling layer", 10**6).by_first_token


def pair_agreement(embed: Embed, table: Table) -> Agreement:
    """Agreement on a table of text pairs with a number each.

    Raises:
        InputError: not two texts a row, or a label that is no number.
    """
    if any(len(texts) != 2 for texts in table.texts):
        raise InputError("similarity needs two text columns; name them with text_column")
    try:
        human = np.array([float(label) for label in table.labels])
    except ValueError as error:
        raise InputError(f"similarity needs a number in the label column: {error}") from error
    firsts = embed([texts[0] for texts in table.texts])
    seconds = embed([texts[1] for texts in table.texts])
    return agreement((firsts * seconds).sum(1), human)


def matrix_agreement(embed: Embed, texts: Sequence[str], human: NDArray[np.float64]) -> Agreement:
    """Agreement over all pairs i < j of `texts`; human: (texts, texts)."""
    vectors = embed(texts)
    above = np.triu_indices(len(texts), 1)
    found = agreement((vectors @ vectors.T)[above], human[above])
    return replace(found, samples=_by_text(found, above, len(texts)))


def _by_text(
    found: Agreement, above: tuple[NDArray[np.intp], NDArray[np.intp]], texts: int
) -> Samples:
    """Samples of texts from those of the pairs `above` the diagonal: pairs share texts.

    Source: Hoeffding 1948, the projection of a mean over pairs on its members.
    """
    influences = found.samples - found.pearson
    firsts, seconds = (np.bincount(side, influences, texts) for side in above)
    return found.pearson + 2 * (firsts + seconds) / (texts - 1)


def agreement(cosines: NDArray[np.floating], human: NDArray[np.floating]) -> Agreement:
    """Pearson and Spearman correlation; 0 where one side does not vary.

    Raises:
        InputError: fewer than two pairs, or a judgement that is no finite number.
    """
    if len(cosines) < 2:
        raise InputError("a correlation needs at least two pairs")
    if not np.isfinite(human).all():
        raise InputError("human judgements must be finite numbers, found nan or infinity")
    from scipy.stats import rankdata

    ranks = rankdata(cosines), rankdata(human)
    pearson = _correlation(cosines, human)
    samples = pearson + correlation_influences(cosines, human)
    return Agreement(pearson, _correlation(*ranks), len(cosines), samples=samples)


def second_half_retrieval(embed: Embed, texts: Sequence[str]) -> Retrieval:
    """Each text cut in the middle of its words: is its own second half the nearest of all?

    Raises:
        InputError: fewer than two texts.
    """
    if len(texts) < 2:
        raise InputError("finding second halves needs at least two documents")
    halves = [text.split() for text in texts]
    firsts = embed([" ".join(words[: len(words) // 2]) for words in halves])
    seconds = embed([" ".join(words[len(words) // 2 :]) for words in halves])
    found = (firsts @ seconds.T).argmax(1)
    hits = (found == np.arange(len(texts))).astype(np.float64)
    return Retrieval(float(hits.mean()), len(texts), samples=hits)


def read_texts(path: Path, count: int | None = None, encoding: str = "utf-8-sig") -> list[str]:
    """The lines of a file that are not empty, the first `count` of them."""
    lines = [line.strip() for line in read_text(path, encoding).splitlines() if line.strip()]
    return lines if count is None else lines[:count]


def read_human(path: Path, count: int) -> NDArray[np.float64]:
    """A square matrix of `count` rows of people's similarities, separated by white space.

    Raises:
        InputError: no such matrix.
    """
    try:
        matrix = np.array([[float(x) for x in line.split()] for line in read_texts(path)])
    except ValueError as error:
        raise InputError(f"{path} is not a matrix of numbers: {error}") from error
    if matrix.shape != (count, count):
        raise InputError(f"{path} is {matrix.shape}, but {count} texts need {count}×{count}")
    return matrix


def _correlation(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    a, b = np.asarray(x, np.float64) - np.mean(x), np.asarray(y, np.float64) - np.mean(y)
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else 0.0
