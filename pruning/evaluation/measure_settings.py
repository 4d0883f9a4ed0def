"""Which quality is measured, and on what data: settings of every command that measures."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from sparse_formats.errors import InputError
from sparse_formats.terminal.settings import Count, option

if TYPE_CHECKING:
    from torch import device

    from pruning.evaluation.comparison import Measure
    from pruning.models.opening import OpenModel
    from sparse_formats.terminal.progress import Tell

AtLeastTwo = Annotated[int, msgspec.Meta(ge=2)]

KINDS = ("text", "table", "squad", "documents")
"""The settings that name a file of data; one of them is given."""


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """A file of data, and how it is read."""

    text: Path | None = option(
        "Text file, for the perplexity of a language model per token and per word.", default=None
    )
    table: Path | None = option(
        "Tab-separated file with a header, for the accuracy and F1 of a classifier. For a "
        "regression, or for text pairs of an encoder, the agreement with its numbers is "
        "measured.",
        default=None,
    )
    squad: Path | None = option(
        "SQuAD JSON file, for the exact match and F1 of a question answerer.", default=None
    )
    documents: Path | None = option(
        "File with one text per line, for an encoder. With --human the agreement over all pairs "
        "is measured, without it how many second halves of texts are found.",
        default=None,
    )
    human: Path | None = option(
        "File with a square matrix of human similarities of the --documents.", default=None
    )
    count: AtLeastTwo | None = option(
        "Number of documents to read, from the first on.", default=None
    )
    length: Count | None = option(
        "Tokens of a window or text.", default=None, otherwise="the model's own"
    )
    stride: Count | None = option(
        "With --text, tokens that a window moves on.", default=None, otherwise="the length"
    )
    max_tokens: AtLeastTwo | None = option(
        "With --text, approximate number of tokens to read.", default=None
    )
    text_column: tuple[str, ...] = option("With --table, name of the column of a text.", default=())
    label_column: str | None = option(
        "With --table, name of the column of the labels.", default=None
    )
    encoding: str = option("Encoding of the data file.", default="utf-8-sig")

    def source(self) -> tuple[str, Path]:
        """The one kind of data that is given, and its file.

        Raises:
            InputError: none is given, or several are, or --human without --documents.
        """
        given = {kind: path for kind in KINDS if (path := getattr(self, kind)) is not None}
        if len(given) != 1:
            flags = [f"--{kind}" for kind in KINDS]
            found = " and ".join(f"--{kind}" for kind in given) or "none of them"
            raise InputError(f"give one of {', '.join(flags)}, found {found}")
        if self.human is not None and self.documents is None:
            raise InputError("--human goes with --documents")
        return next(iter(given.items()))

    def open_measured(
        self, model: Path, device: "device", tell: "Tell"
    ) -> "tuple[OpenModel, Measure]":
        """The opened model and what to measure of it; data are read before the model is opened.

        Raises:
            InputError: data or model cannot be read.
        """
        from pruning.data import files
        from pruning.data.examples import is_regression
        from pruning.evaluation import classification, perplexity, question_answering, similarity
        from pruning.models.opening import open_model

        (kind, data), length, encoding = self.source(), self.length, self.encoding

        def opened(task: str | None) -> "OpenModel":
            return open_model(model, task, device=device)

        if kind == "text":
            words = files.read_text(data, encoding)
            stride, most = self.stride, self.max_tokens
            return opened(None), lambda m: perplexity.perplexity(
                m, words, length, stride, most, tell=tell
            )
        if kind == "table":
            rows = files.read_table(data, self.text_column, self.label_column, encoding)
            found = opened(None)
            if found.task == "classify" and is_regression(found.model.config):
                return found, lambda m: classification.regression(m, rows, length, tell=tell)
            if found.task != "encode":
                return found, lambda m: classification.classification(m, rows, length, tell=tell)
            first = similarity.pools_first_token(model)
            return found, lambda m: similarity.pair_agreement(
                similarity.embedder(m, length or 256, first_token=first, tell=tell), rows
            )
        if kind == "squad":
            asked = files.read_questions(data, encoding)
            return opened("answer"), lambda m: question_answering.question_answering(
                m, asked, length, tell=tell
            )
        texts = similarity.read_texts(data, self.count, encoding)
        judged = None if self.human is None else similarity.read_human(self.human, len(texts))
        first = similarity.pools_first_token(model)

        def alikeness(m: "OpenModel") -> Any:
            embed = similarity.embedder(m, length or 256, first_token=first, tell=tell)
            if judged is None:
                return similarity.second_half_retrieval(embed, texts)
            return similarity.matrix_agreement(embed, texts, judged)

        return opened("encode"), alikeness
