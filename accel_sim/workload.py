"""What is to be run: the matrices of a model in order, the tokens, the activations."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.masks import MaskedMatrix

CHECKED_TOKENS = 256
"""The product is computed for the first so many tokens; a token's output depends on no other."""


@dataclass(frozen=True)
class Activations:
    """Inputs drawn for each layer: standard normal FP16, a given share of them non-zero.

    They are drawn, not recorded: with density 1 no input is zero and only the numerical check of
    the product depends on them.
    """

    tokens: int
    density: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.tokens <= 2**24:
            raise InputError(f"--tokens is {self.tokens}; give a whole number from 1 to {2**24}")
        if not 0.0 <= self.density <= 1.0:
            raise InputError(f"--activation-density is {self.density}; give a number from 0 to 1")
        if self.seed < 0:
            raise InputError(f"--seed is {self.seed}; give a number from 0 up")

    @property
    def is_dense(self) -> bool:
        return self.density == 1.0

    def draw(self, inputs: int, layer_index: int) -> NDArray[np.float16]:
        """float16 (tokens, inputs) of the layer; the same for the same seed and layer index.

        Where no activation is zero only the product depends on them: then only the tokens that
        are multiplied are drawn, `CHECKED_TOKENS` at most.
        """
        rng = np.random.default_rng([self.seed, layer_index])
        tokens = min(self.tokens, CHECKED_TOKENS) if self.is_dense else self.tokens
        shape = (tokens, inputs)
        x = rng.standard_normal(shape, dtype=np.float32).astype(np.float16)
        x[x == 0] = 1  # an exact zero would be an unasked-for sparsity
        if not self.is_dense:
            x[rng.random(shape) >= self.density] = 0
        return x


@dataclass(frozen=True)
class Layer:
    """A masked matrix and its place in the model."""

    index: int
    matrix: MaskedMatrix


def layers_of(matrices: Iterator[MaskedMatrix]) -> Iterator[Layer]:
    """Number the matrices as they come."""
    for index, matrix in enumerate(matrices):
        yield Layer(index, matrix)


def group_tokens(tokens: int, token_columns: int) -> NDArray[np.int64]:
    """Tokens of each group: int64 (groups,); the last group may have fewer."""
    groups = -(-tokens // token_columns)
    sizes: NDArray[Any] = np.full(groups, token_columns, np.int64)
    sizes[-1] = tokens - (groups - 1) * token_columns
    return sizes
