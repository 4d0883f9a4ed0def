"""The tokens that a model is computed on: of a text, of a file of numbers, or drawn."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError, SettingError
from sparse_formats.files.reading import content, parsing

_LARGEST = 100 * 10**6


@dataclass(frozen=True, eq=False)
class Prompt:
    """ids: (tokens,), None for drawn ones; origin: where they came from, as a sentence's end."""

    ids: NDArray[np.int64] | None
    origin: str

    @property
    def tokens(self) -> int | None:
        """How many were given."""
        return None if self.ids is None else len(self.ids)


def read_prompt(folder: Path, text: str | None, token_ids: Path | None) -> Prompt:
    """What was given: a text, which the tokenizer of the model's folder takes apart, or a file.

    Raises:
        InputError: both; no tokenizer, or a damaged one; a file that does not hold whole numbers;
            no token.
    """
    if text is not None and token_ids is not None:
        raise InputError("give either --text or --token-ids, but not both")
    if text is not None:
        found, origin = _tokens_of(folder, text), f"the text that was given, {len(text)} characters"
    elif token_ids is not None:
        found, origin = _numbers(token_ids), str(token_ids)
    else:
        return Prompt(None, "drawn at random from the vocabulary")
    if not len(found):
        raise InputError("the prompt has no token; give at least one")
    return Prompt(found, origin)


def prompt_ids(
    prompt: Prompt, batch: int, tokens: int, vocabulary: int, seed: int
) -> tuple[NDArray[np.int64], str]:
    """Tokens of all requests (batch, tokens), and where they came from.

    Requests share the tokens that were given; those that are drawn differ.

    Raises:
        InputError: a token that is not in the vocabulary.
        SettingError: fewer tokens were given than a prompt has.
    """
    if prompt.ids is None:
        rng = np.random.default_rng(seed)
        return rng.integers(0, vocabulary, (batch, tokens)), f"{prompt.origin} with seed {seed}"
    if tokens > len(prompt.ids):
        raise SettingError(
            "prefill", f"is {tokens}, but {prompt.origin} has {len(prompt.ids)} tokens"
        )
    first = prompt.ids[:tokens]
    outside = first[(first < 0) | (first >= vocabulary)]
    if len(outside):
        raise InputError(
            f"token {outside[0]} is not in the model's vocabulary, whose tokens are 0 … "
            f"{vocabulary - 1}"
        )
    origin = prompt.origin
    if tokens < len(prompt.ids):
        origin = f"the first {tokens} of {len(prompt.ids)} of {origin}"
    return np.tile(first, (batch, 1)), origin


def _numbers(path: Path) -> NDArray[np.int64]:
    """Whole numbers between white space, commas or brackets."""
    what = "token numbers between spaces or commas"
    with parsing(path, what, f"give {what}"):
        words = re.split(
            r"[\s,\[\]]+", content(path, what, _LARGEST).decode("utf-8").strip(" [],\n")
        )
        return np.array([int(word) for word in words if word], np.int64)


def _tokens_of(folder: Path, text: str) -> NDArray[np.int64]:
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise InputError(
            f"{folder} has no tokenizer.json to take the text apart; give --token-ids FILE"
        )
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise InputError(
            "a text needs the package tokenizers; pip install tokenizers, or give --token-ids FILE"
        ) from error
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the package raises nothing more exact
        raise InputError(f"{file} is no tokenizer: {error}; give --token-ids FILE") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return np.array(tokenizer.encode(text).ids, np.int64)
