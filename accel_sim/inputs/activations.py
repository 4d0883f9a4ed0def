"""What goes into a layer: its matrix, its tokens, its activations, drawn or recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.inputs.convolutions import Convolution
from accel_sim.inputs.datatypes import DATATYPES, Datatype
from sparse_formats.errors import InputError, SettingError, nearest
from sparse_formats.files.mask_file import sha256_of
from sparse_formats.masks.matrix import MaskedMatrix

CHECKED_TOKENS = 256
"""The product is computed for the first so many tokens; a token's output depends on no other."""


@dataclass(frozen=True)
class Layer:
    """A masked matrix and its place in the model.

    tokens: how many of all go through it; None for all of them. convolution: what its matrix was
    made of, None where that is no convolution.
    """

    index: int
    matrix: MaskedMatrix
    tokens: int | None = None
    convolution: Convolution | None = None


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a layer's multipliers see.

    x: operands (tokens, inputs); the first `CHECKED_TOKENS` where no zero can be among them, None
    where nothing depends on them. nonzero: bool (tokens, inputs), None where no operand is zero.
    given_nonzero: int64 (inputs,), in how many tokens each input is not zero as given, before it
    was rounded to the machine's operands; None for as many as `nonzero` says.

    convolution: whose positions the tokens are and whose kernels cover the inputs; None where it is
    none, or its size is not known.
    """

    tokens: int
    x: NDArray[Any] | None
    nonzero: NDArray[np.bool_] | None
    given_nonzero: NDArray[np.int64] | None = None
    convolution: Convolution | None = None
    _packed: dict[int, NDArray[np.uint64]] = field(default_factory=dict, repr=False)

    def macs_effectual(self, kept: NDArray[np.integer[Any]]) -> int:
        """Kept weights × activations that are not zero as given: the same for every machine.

        kept: (inputs,), the weights that each input's column keeps.
        """
        given = self.given_nonzero
        if given is None and self.nonzero is not None:
            given = np.count_nonzero(self.nonzero, axis=0)
        return int(kept.sum()) * self.tokens if given is None else int(kept @ given)

    def token_bits(self, token_columns: int) -> NDArray[np.uint64]:
        """Bit t mod 64 of [g, c, t // 64]: whether input c of token t of group g is not zero.

        uint64 (groups, inputs, words); kept for the next call.
        """
        if token_columns not in self._packed:
            assert self.nonzero is not None
            self._packed[token_columns] = _packed(self.nonzero, token_columns)
        return self._packed[token_columns]


@dataclass(frozen=True, eq=False)
class Activations:
    """The inputs of each layer: drawn, a given share of them non-zero, or recorded.

    recorded: (tokens, inputs) of each matrix by its name, floats, integers or booleans; booleans
    say where a drawn value stands and where a zero. None: all are drawn; with density 1 no input
    is zero then, and only the numerical check of the product depends on them. file: what the
    recorded ones were read from.
    """

    tokens: int
    density: float = 1.0
    seed: int = 0
    recorded: Mapping[str, NDArray[Any]] | None = None
    file: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.tokens <= 2**24:
            raise SettingError("tokens", f"is {self.tokens}; give a whole number from 1 to {2**24}")
        if not 0.0 <= self.density <= 1.0:
            raise SettingError(
                "activation_density", f"is {self.density}; give a number from 0 to 1"
            )
        if self.seed < 0:
            raise SettingError("seed", f"is {self.seed}; give a number from 0 up")

    @property
    def is_dense(self) -> bool:
        """Whether no activation of any layer is zero, by construction."""
        return self.density == 1.0 and self.recorded is None

    @property
    def origin(self) -> dict[str, Any]:
        """Where they come from, as a report says it."""
        if self.file is not None:
            return {"source": str(self.file), "sha256": sha256_of(self.file)}
        if self.recorded is not None:
            return {"source": "arrays", "sha256": None, "seed": self.seed}
        return {"source": "drawn", "density": self.density, "seed": self.seed}

    def inputs(self, layer: Layer, datatype: Datatype, is_multiplied: bool) -> Inputs:
        """What the layer's multipliers see; `is_multiplied`: their values matter too.

        Raises:
            InputError: the recorded inputs are missing, of another shape, or beyond the datatype.
        """
        convolution = _known(layer.convolution)
        is_padded = convolution is not None and any(convolution.padding)
        if not layer.matrix.size or (self.is_dense and not is_multiplied and not is_padded):
            return Inputs(self._tokens(layer), None, None, convolution=convolution)
        x = self.operands(layer, datatype)
        nonzero = None if self.is_dense and not is_padded else x != 0
        if nonzero is not None and nonzero.all():
            nonzero = None
        given = None
        if self.recorded is not None:
            given = np.count_nonzero(self.recorded[layer.matrix.name], axis=0).astype(np.int64)
        return Inputs(self._tokens(layer), x, nonzero, given, convolution)

    def layer_bytes(self, layer: Layer) -> int:
        """Memory for the inputs of a layer, drawn and counted."""
        tokens = self._tokens(layer)
        is_whole = not self.is_dense or _known(layer.convolution) is not None
        drawn = tokens if is_whole else min(tokens, CHECKED_TOKENS)
        return 16 * drawn * layer.matrix.shape[1]

    def operands(self, layer: Layer, datatype: Datatype) -> NDArray[Any]:
        """The layer's inputs as operands of `datatype`: (tokens, inputs).

        Where all are drawn and none is zero, at most `CHECKED_TOKENS` tokens.

        Raises:
            InputError: the recorded inputs are missing, of another shape, or beyond the datatype.
        """
        matrix, tokens = layer.matrix, self._tokens(layer)
        convolution = _known(layer.convolution)
        if self.recorded is None and convolution is not None and matrix.size:
            return convolution.unfold(self._drawn_planes(convolution, layer.index, datatype))
        if self.recorded is None:
            return self.draw(matrix.shape[1], layer.index, datatype, tokens)
        if matrix.name not in self.recorded:
            raise InputError(
                f"no activations of matrix {matrix.name}{nearest(matrix.name, self.recorded)}"
            )
        x = self.recorded[matrix.name]
        if x.shape != (tokens, matrix.shape[1]):
            raise InputError(
                f"activations of matrix {matrix.name} have shape {x.shape}; its "
                f"{tokens} tokens of {matrix.shape[1]} inputs need ({tokens}, {matrix.shape[1]})"
            )
        if x.dtype == np.bool_:
            rng = np.random.default_rng([self.seed, layer.index])
            return np.where(x, datatype.draw(rng, x.shape), np.zeros((), datatype.operand))
        return datatype.operands(x, f"activations of matrix {matrix.name}")

    def draw(
        self,
        inputs: int,
        layer_index: int,
        datatype: Datatype = DATATYPES["fp16"],
        tokens: int | None = None,
    ) -> NDArray[Any]:
        """Drawn operands (tokens, inputs); the same for the same seed and layer index.

        tokens: all of them if not given.

        Where no activation is zero only the product depends on them: then only the tokens that
        are multiplied are drawn, `CHECKED_TOKENS` at most.
        """
        rng = np.random.default_rng([self.seed, layer_index])
        tokens = self.tokens if tokens is None else tokens
        tokens = min(tokens, CHECKED_TOKENS) if self.is_dense else tokens
        shape = (tokens, inputs)
        x = datatype.draw(rng, shape)
        if not self.is_dense:
            x[rng.random(shape) >= self.density] = 0
        return x

    def _drawn_planes(
        self, convolution: Convolution, layer_index: int, datatype: Datatype
    ) -> NDArray[Any]:
        """Drawn operands (inputs, height, width) of a convolution of known size."""
        assert convolution.size is not None
        rng = np.random.default_rng([self.seed, layer_index])
        height, width = convolution.size
        shape = convolution.inputs, height * width
        planes = datatype.draw(rng, shape)
        if not self.is_dense:
            planes[rng.random(shape) >= self.density] = 0
        return planes.reshape(-1, height, width)

    def _tokens(self, layer: Layer) -> int:
        return self.tokens if layer.tokens is None else layer.tokens


def _known(convolution: Convolution | None) -> Convolution | None:
    """A convolution whose positions are known."""
    return convolution if convolution is not None and convolution.positions else None


@njit(cache=True, nogil=True)
def _packed(nonzero: Any, token_columns: int) -> Any:
    tokens, inputs = nonzero.shape
    groups, words = -(-tokens // token_columns), -(-token_columns // 64)
    bits = np.zeros((groups, inputs, words), np.uint64)
    for token in range(tokens):
        group, column = token // token_columns, token % token_columns
        for c in range(inputs):
            bits[group, c, column // 64] |= np.uint64(nonzero[token, c]) << np.uint64(column % 64)
    return bits


def group_tokens(tokens: int, token_columns: int) -> NDArray[np.int64]:
    """Tokens of each group: int64 (groups,); the last group may have fewer."""
    groups = -(-tokens // token_columns)
    sizes: NDArray[Any] = np.full(groups, token_columns, np.int64)
    sizes[-1] = tokens - (groups - 1) * token_columns
    return sizes
