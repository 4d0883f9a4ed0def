"""The shapes of the weight matrices of known models, or as somebody writes them."""

import re
from dataclasses import dataclass

from sparse_formats.errors import SettingError, nearest

MOST_ENTRIES = 2**31 - 1
"""Entries of the largest matrix: an int32 counts its non-zeros."""


@dataclass(frozen=True)
class MatrixShape:
    """One weight matrix of a model: (out, in), and what it does.

    heads, kv_heads: of the attention that it is part of, 0 where that is not known. kv_heads share
    their keys and values among the heads.
    """

    name: str
    kind: str
    rows: int
    cols: int
    heads: int = 0
    kv_heads: int = 0


# Per model: layers, and name (with {} for the layer), kind, rows, cols of each of its matrices.
_GPT2 = (
    ("h.{}.attn.c_attn", "QKV", 2304, 768),
    ("h.{}.attn.c_proj", "attention out", 768, 768),
    ("h.{}.mlp.c_fc", "FFN1", 3072, 768),
    ("h.{}.mlp.c_proj", "FFN2", 768, 3072),
)
_BERT = (
    ("encoder.layer.{}.attention.self.query", "Q", 768, 768),
    ("encoder.layer.{}.attention.self.key", "K", 768, 768),
    ("encoder.layer.{}.attention.self.value", "V", 768, 768),
    ("encoder.layer.{}.attention.output.dense", "attention out", 768, 768),
    ("encoder.layer.{}.intermediate.dense", "FFN1", 3072, 768),
    ("encoder.layer.{}.output.dense", "FFN2", 768, 3072),
)
_LLAMA = (
    ("model.layers.{}.self_attn.q_proj", "Q", 4096, 4096),
    ("model.layers.{}.self_attn.k_proj", "K", 4096, 4096),
    ("model.layers.{}.self_attn.v_proj", "V", 4096, 4096),
    ("model.layers.{}.self_attn.o_proj", "attention out", 4096, 4096),
    ("model.layers.{}.mlp.gate_proj", "gate", 11008, 4096),
    ("model.layers.{}.mlp.up_proj", "up", 11008, 4096),
    ("model.layers.{}.mlp.down_proj", "down", 4096, 11008),
)


def _repeat(
    layers: int, heads: int, layer: tuple[tuple[str, str, int, int], ...]
) -> tuple[MatrixShape, ...]:
    return tuple(
        MatrixShape(name.format(i), kind, rows, cols, heads, heads)
        for i in range(layers)
        for name, kind, rows, cols in layer
    )


SHAPES = {
    "gpt2-small": _repeat(12, 12, _GPT2),
    "bert-base": _repeat(12, 12, _BERT),
    "llama-7b": _repeat(32, 32, _LLAMA),
}
"""The layer matrices of known models, (out, in), without embeddings and heads."""


def parse_shapes(text: str) -> tuple[MatrixShape, ...]:
    """A model's name from `SHAPES`, or shapes out×in such as ``2304x768,768x768``.

    Raises:
        InputError: neither, or a shape without entries or with too many.
    """
    if text in SHAPES:
        return SHAPES[text]
    shapes: list[MatrixShape] = []
    for i, word in enumerate(text.split(",")):
        match = re.fullmatch(r"\s*(\d{1,10})\s*[xX×]\s*(\d{1,10})\s*", word)
        if match is None:
            raise SettingError(
                "shapes",
                f"{text!r} holds {word.strip()!r}, which is neither a model nor OUTxIN such as "
                f"2304x768{nearest(word.strip(), SHAPES)}",
            )
        rows, cols = int(match[1]), int(match[2])
        if not 1 <= rows * cols <= MOST_ENTRIES:
            raise SettingError(
                "shapes",
                f"{text!r} holds {word.strip()}, a matrix of {rows * cols} entries; give between 1 "
                f"and {MOST_ENTRIES}",
            )
        shapes.append(MatrixShape(f"matrix{i}", "other", rows, cols))
    return tuple(shapes)
