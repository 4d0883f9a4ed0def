"""The shape of a transformer, and what of it can be counted without a machine.

docs/whole_models.md §1 and §2. Sizes are numbers, not bytes, until a datatype says how wide.
"""

from dataclasses import dataclass
from typing import Literal

Activation = Literal["gelu", "silu", "relu"]
Norm = Literal["layer", "rms"]


@dataclass(frozen=True)
class ModelMatrix:
    """A matrix of weights: `rows` outputs × `cols` inputs. layer: None for the head."""

    name: str
    kind: str
    layer: int | None
    rows: int
    cols: int


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """A stack of layers that are all alike.

    width: d; heads, kv_heads, head_width: h, g, e; ffn: f. embedding_rows: of each table, the one
    of tokens first; embedding_width: of their rows. vectors: numbers of all norms and biases.
    patch: inputs of the product that makes image patches into tokens, 0 for none; class_tokens:
    those that are no patch. head_rows: outputs of the head, 0 for none; is_tied: it is the table of
    tokens. most_tokens: that the model can tell apart by position, None for any number.
    window: how many tokens a query sees at most in each layer, itself included; None for all.
    """

    family: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    ffn: int
    is_gated: bool
    activation: Activation
    norm: Norm
    is_pre_norm: bool
    has_rope: bool
    is_causal: bool
    embedding_rows: tuple[int, ...]
    head_rows: int
    is_tied: bool
    matrices: tuple[ModelMatrix, ...]
    vectors: int
    embedding_width: int = 0
    embedding_norm: bool = False
    final_norm: bool = False
    head_norm: bool = False
    norms_behind: bool = False
    patch: int = 0
    class_tokens: int = 0
    most_tokens: int | None = None
    window: tuple[int | None, ...] = ()

    @property
    def group(self) -> int:
        """Query heads that share a key-value head."""
        return self.heads // self.kv_heads

    @property
    def cache_numbers(self) -> int:
        """Keys and values of a token, in all layers."""
        return 2 * self.layers * self.kv_heads * self.head_width

    @property
    def layer_weights(self) -> int:
        """Weights of the layers' matrices."""
        return sum(m.rows * m.cols for m in self.matrices if m.layer is not None)

    @property
    def embedding_numbers(self) -> int:
        """Of all embedding tables."""
        return sum(self.embedding_rows) * self.embedding_width

    def window_of(self, layer: int) -> int | None:
        """How many tokens a query of this layer sees at most."""
        return self.window[layer] if self.window else None


@dataclass(frozen=True)
class Step:
    """One pass through the model: `tokens` new ones of each of `batch` requests behind `cached`."""

    batch: int
    tokens: int
    cached: int

    @property
    def seen(self) -> int:
        """Tokens of a request behind this step."""
        return self.cached + self.tokens


def query_blocks(tokens: int, size: int) -> list[tuple[int, int]]:
    """The new tokens [first, end) of each query block."""
    return [(first, min(first + size, tokens)) for first in range(0, tokens, size)]


def first_key(token: int, window: int | None) -> int:
    """The first key that the query at position `token` sees."""
    return 0 if window is None else max(0, token - window + 1)


def keys_of(token: int, step: Step, is_causal: bool, window: int | None) -> int:
    """How many keys the new token number `token` sees."""
    position = step.cached + token
    end = position + 1 if is_causal else step.seen
    return end - first_key(position, window)


def score_elements(model: Transformer, step: Step) -> int:
    """Scores of a step that softmax sees, in all layers, heads and requests.

    QKᵀ and AV have `head_width` multiplications for each of them.
    """
    found, of_window = 0, {}
    for layer in range(model.layers):
        window = model.window_of(layer)
        if window not in of_window:
            of_window[window] = sum(
                keys_of(token, step, model.is_causal, window) for token in range(step.tokens)
            )
        found += of_window[window]
    return step.batch * model.heads * found


def cache_bytes(model: Transformer, tokens: int, bits: int) -> int:
    """Of the keys and values of `tokens` tokens."""
    return -(-model.cache_numbers * tokens * bits // 8)
