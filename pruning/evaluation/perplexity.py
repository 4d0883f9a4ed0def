"""Perplexity of a text, per token and per word.

perplexity = exp(−Σ log p(token) / n), with n the tokens scored or the words of the text. A text
longer than the model's context is read in windows; each window moves on by `stride` tokens and
scores only tokens not scored before, so every token but the first is scored exactly once, with at
least length − stride tokens before it (but for the beginning). Smaller strides give lower figures:
compare equal strides only.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.data.examples import check_tokens, checked, mask_token, token_ids
from pruning.evaluation.figures import Figures, ratio_samples
from pruning.models.devices import exact
from pruning.models.opening import OpenModel
from sparse_formats.errors import InputError, SettingError
from sparse_formats.terminal.progress import Tell

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

MASK_EVERY = 7
"""A masked language model sees 6 of 7 tokens and predicts the seventh (15 % as in training)."""


@dataclass(frozen=True)
class Perplexity(Figures):
    """per_token = exp(loss/tokens), per_word = exp(loss/words); loss in nats, summed.

    None: beyond all floats, as a word is that is a whole text without white space.
    tokens: how many were predicted. words: of the text they cover, split at white space.
    """

    MAIN = "per_token"
    IS_LOWER_BETTER = True
    IS_LOGARITHM = True

    per_token: float | None
    per_word: float | None
    loss: float
    tokens: int
    words: int
    length: int
    stride: int


def perplexity(
    opened: OpenModel,
    text: str,
    length: int | None = None,
    stride: int | None = None,
    max_tokens: int | None = None,
    batch: int = 8,
    tell: Tell = lambda step: None,
) -> Perplexity:
    """Perplexity of `text` under a causal model; pseudo-perplexity under a masked one.

    length: tokens of a window, the model's context unless given. stride: how far it moves, length
    unless given; a masked model's windows stand side by side. max_tokens: only the beginning of
    the text. A masked model predicts each token from its window with every seventh token hidden,
    in seven passes: that is no probability of the text, and only compares with itself.

    Raises:
        InputError: the model is no language model, the text is too short, a bad length or stride.
    """
    known = checked(opened.tokenizer)
    if opened.task not in ("causal", "masked"):
        raise InputError(
            f"model {opened.name} is for {opened.task}: perplexity needs a language model"
        )
    length = opened.max_length if length is None else length
    stride = length if stride is None else stride
    if not 2 <= length <= opened.max_length:
        raise SettingError("length", f"is {length}; give 2 to {opened.max_length} tokens")
    if not 1 <= stride <= length:
        raise SettingError("stride", f"is {stride}; give 1 to the length, {length}")
    if max_tokens is not None:
        text = _beginning(known, text, max_tokens)
    ids = token_ids(known, text)
    if len(ids) < 2:
        raise InputError("the text has fewer than two tokens, so nothing can be predicted")
    check_tokens(opened, [{"input_ids": ids}])
    if opened.task == "causal":
        losses, counts = _causal(opened, ids, length, stride, batch, tell)
    else:
        stride = length
        losses, counts = _masked(opened, ids, length, mask_token(known), batch, tell)
    loss, count = sum(losses), sum(counts)
    words = len(text.split())
    per_token, per_word = _exp(loss / count), _exp(loss / words)
    samples = ratio_samples(np.array(losses, np.float64), np.array(counts, np.float64))
    return Perplexity(per_token, per_word, loss, count, words, length, stride, samples=samples)


def _exp(nats: float) -> float | None:
    try:
        return math.exp(nats)
    except OverflowError:
        return None


def _beginning(known: "PreTrainedTokenizerBase", text: str, max_tokens: int) -> str:
    """The longest beginning of `text` at a word's end of at most `max_tokens` tokens."""
    if not known.is_fast:
        raise InputError(
            "max_tokens needs character offsets, which this tokenizer lacks; shorten the text"
        )
    encoded = known(text, add_special_tokens=False, verbose=False, return_offsets_mapping=True)
    spans = encoded["offset_mapping"]
    if len(spans) <= max_tokens:
        return text
    end = spans[max_tokens][0]
    cut = max(text.rfind(space, 0, end + 1) for space in " \n\t")
    return text[: cut if cut > 0 else end]


def _causal(
    opened: OpenModel,
    ids: list[int],
    length: int,
    stride: int,
    batch: int,
    tell: Tell,
) -> tuple[list[float], list[int]]:
    losses, counts = [], []
    spans = list(windows(len(ids), length, stride))
    for group in _alike(spans, batch):
        tell(f"token {group[-1][2]} of {len(ids)}")
        rows = [ids[begin:end] for begin, _, end in group]
        logs = _log_probabilities(opened, rows)[:, :-1]
        for row, (begin, scored, end) in enumerate(group):
            # The token at position p is predicted from position p − 1 of its window.
            first = max(scored, begin + 1)
            places = range(first - begin - 1, end - begin - 1)
            losses.append(-float(_picked(logs[row], list(places), ids[first:end])))
            counts.append(end - first)
    return losses, counts


def _masked(
    opened: OpenModel,
    ids: list[int],
    length: int,
    mask: int,
    batch: int,
    tell: Tell,
) -> tuple[list[float], list[int]]:
    known = checked(opened.tokenizer)
    before, after = _frame(known(str(known.mask_token)).input_ids, mask)
    room = length - len(before) - len(after)
    if room < 1:
        raise SettingError("length", f"is {length}; the special tokens alone take {length - room}")
    losses, counts = [], []
    spans = list(windows(len(ids), room, room))
    for group in _alike(spans, batch):
        tell(f"token {group[-1][2]} of {len(ids)}")
        loss, count = [0.0] * len(group), [0] * len(group)
        for turn in range(min(MASK_EVERY, group[0][2] - group[0][0])):
            rows = [
                [*before, *_hidden(ids[begin:end], turn, mask), *after] for begin, _, end in group
            ]
            logs = _log_probabilities(opened, rows)
            for row, (begin, _, end) in enumerate(group):
                places = list(range(turn, end - begin, MASK_EVERY))
                targets = [ids[begin + place] for place in places]
                inside = [len(before) + place for place in places]
                loss[row] -= float(_picked(logs[row], inside, targets))
                count[row] += len(places)
        losses += loss
        counts += count
    return losses, counts


def windows(count: int, length: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """(begin, first token to score, end) of the windows over `count` tokens."""
    scored = 0
    for begin in range(0, count, stride):
        end = min(begin + length, count)
        if end - max(scored, begin + 1) > 0:
            yield begin, scored, end
        scored = end
        if end == count:
            return


def _alike(spans: list[tuple[int, int, int]], batch: int) -> Iterator[list[tuple[int, int, int]]]:
    """Runs of at most `batch` windows of one length."""
    group: list[tuple[int, int, int]] = []
    for span in spans:
        if group and (len(group) == batch or span[2] - span[0] != group[0][2] - group[0][0]):
            yield group
            group = []
        group.append(span)
    if group:
        yield group


def _frame(ids: list[int], mask: int) -> tuple[list[int], list[int]]:
    middle = ids.index(mask)
    return ids[:middle], ids[middle + 1 :]


def _hidden(ids: list[int], turn: int, mask: int) -> list[int]:
    return [mask if i % MASK_EVERY == turn else token for i, token in enumerate(ids)]


def _log_probabilities(opened: OpenModel, rows: list[list[int]]) -> "Tensor":
    import torch

    with torch.inference_mode():
        logits = opened.model(input_ids=torch.tensor(rows, device=opened.device)).logits
        return torch.log_softmax(logits.float(), dim=-1)


def _picked(logs: "Tensor", places: list[int], targets: list[int]) -> "Tensor":
    """Σ over places of the log probability of the target there, in float64."""
    return exact(logs[places, targets]).sum()
