"""Masks made up to the shapes of known models: for scale and speed, never for quality."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import SettingError, nearest
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.slots import Slots
from sparse_formats.masks.vectors import Orientation, VectorLayout

Pattern = Literal["random", "mvp", "two_level", "lane_select"]
PATTERNS: tuple[Pattern, ...] = ("random", "mvp", "two_level", "lane_select")

SHARE_OF_LENGTH = {64: 0.20, 32: 0.20, 16: 0.25, 8: 0.20, 4: 0.15}
"""Share of the kept weights that pattern "mvp" puts into vectors of each length.

Chosen, not measured: every length of the menu but 1 well represented, mean length about 11. A
share that makes no whole vector passes to the next shorter length.
"""

ORIENTATION_OF_KIND: dict[str, Orientation] = {
    "Q": "horizontal",
    "K": "horizontal",
    "V": "horizontal",
    "QKV": "horizontal",
    "FFN1": "horizontal",
    "gate": "horizontal",
    "up": "horizontal",
    "attention out": "vertical",
    "FFN2": "vertical",
    "down": "vertical",
}
"""Orientation of vectors and slots; other kinds alternate. Source: Yoo & Lee 2023, for GPT-2."""

LANES, CHOICES, ROOM = 16, 4, 1.5
"""Lanes of a slot in patterns "two_level" and "lane_select", candidates of a lane in "lane_select",
and size of the slots in kept weights in "two_level": the defaults of pruning (chosen)."""

MOST_ENTRIES = 2**31 - 1
"""Entries of the largest matrix: an int32 counts its non-zeros."""


@dataclass(frozen=True)
class MatrixShape:
    """One weight matrix of a model: (out, in), and what it does."""

    name: str
    kind: str
    rows: int
    cols: int


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


def _repeat(layers: int, layer: tuple[tuple[str, str, int, int], ...]) -> tuple[MatrixShape, ...]:
    return tuple(
        MatrixShape(name.format(i), kind, rows, cols)
        for i in range(layers)
        for name, kind, rows, cols in layer
    )


SHAPES = {
    "gpt2-small": _repeat(12, _GPT2),
    "bert-base": _repeat(12, _BERT),
    "llama-7b": _repeat(32, _LLAMA),
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


def generate(
    shapes: Sequence[MatrixShape], density: float, pattern: str = "mvp", seed: int = 0
) -> Iterator[MaskedMatrix]:
    """One mask after the other, without weights, each made when it is asked for.

    density: kept fraction, 0 … 1. pattern "random" keeps exactly round(density · entries)
    uniformly drawn entries; "mvp" plants disjoint aligned vectors (`SHARE_OF_LENGTH`,
    `ORIENTATION_OF_KIND`) that reach that number and exceed it by less than 4, and states them in
    `vectors`. "two_level" keeps exactly so many in drawn slots with room for `ROOM` times as many.
    "lane_select" plants slots that reach the number and exceed it by less than a slot; a lane keeps
    one of `CHOICES` candidates, drawn. Both state their `slots`. Matrix i depends on `seed`, i, its
    shape and kind only.

    Raises:
        InputError: density outside 0 … 1, or more than lanes can select; an unknown pattern, a
            negative seed.
    """
    if not 0 <= density <= 1:
        raise SettingError("density", f"is {density}; give the kept fraction, between 0 and 1")
    if pattern not in PATTERNS:
        raise SettingError("pattern", f"is {pattern!r}{nearest(pattern, PATTERNS)}")
    if pattern == "lane_select" and density > 1 / CHOICES:
        raise SettingError(
            "density",
            f"is {density}, but in pattern lane_select a lane keeps one of {CHOICES} weights; give "
            f"{1 / CHOICES} or less",
        )
    if seed < 0:
        raise SettingError("seed", f"is {seed}; give zero or a positive whole number")
    return (_matrix(shape, i, density, pattern, seed) for i, shape in enumerate(shapes))


def _matrix(shape: MatrixShape, i: int, density: float, pattern: str, seed: int) -> MaskedMatrix:
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(i,))))
    size = (shape.rows, shape.cols)
    nnz = round(density * shape.rows * shape.cols)
    if pattern == "random":
        keep = _subset(shape.rows * shape.cols, nnz, rng).reshape(size)
        return MaskedMatrix(shape.name, keep, kind=shape.kind)
    orientation = ORIENTATION_OF_KIND.get(shape.kind, "vertical" if i % 2 else "horizontal")
    if pattern == "two_level":
        slots = Slots(orientation, LANES)
        keep = _inside(size, nnz, slots, rng)
        return MaskedMatrix(shape.name, keep, kind=shape.kind, slots=slots)
    if pattern == "lane_select":
        slots = Slots(orientation, LANES, CHOICES)
        keep = _selected(size, nnz, slots, rng)
        return MaskedMatrix(shape.name, keep, kind=shape.kind, slots=slots)
    vectors = _planted(size, nnz, orientation, rng)
    return MaskedMatrix(shape.name, vectors.keep(size), kind=shape.kind, vectors=vectors)


def _subset(size: int, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A uniformly drawn subset of `count` out of `size` items, as bools.

    A coin per item, then uniformly drawn corrections: given its size, a set of independent coins
    is uniform, and stays so. Far faster than a permutation.
    """
    threshold = count * 65536 // max(size, 1)
    if threshold > 65535:
        return np.ones(size, np.bool_)
    chosen = rng.integers(0, 65536, size, np.uint16) < np.uint16(threshold)
    excess = int(np.count_nonzero(chosen)) - count
    while excess:
        wrong = excess > 0
        # Enough draws to hit the wrong ones; duplicates and misses fall out, the rest comes next.
        share = (count + excess) / size if wrong else 1 - (count + excess) / size
        drawn = rng.integers(0, size, int(abs(excess) / share) + 16)
        drawn = drawn[chosen[drawn] == wrong]
        _, first = np.unique(drawn, return_index=True)
        flipped = drawn[np.sort(first)[: abs(excess)]]
        chosen[flipped] = not wrong
        excess -= len(flipped) if wrong else -len(flipped)
    return chosen


def _planted(
    shape: tuple[int, int], nnz: int, orientation: Orientation, rng: np.random.Generator
) -> VectorLayout:
    """Disjoint aligned vectors that cover `nnz` entries, or up to 3 more.

    From the longest length to the shortest: draw some of the free aligned slots, cut the others
    into slots of the next length.
    """
    line_count, axis = shape if orientation == "horizontal" else shape[::-1]
    lengths = sorted(SHARE_OF_LENGTH, reverse=True)
    # Slots are numbered along padded lines, so that a slot's number tells line and start.
    width = -(-axis // lengths[0]) * lengths[0]
    # In the narrower integer where it suffices: most of the time goes into moving them.
    integer = np.int32 if line_count * width < 2**31 else np.int64
    free = np.arange(0, line_count * width, lengths[0], dtype=integer)
    taken: list[NDArray[np.integer[Any]]] = []
    nominal: list[NDArray[np.int32]] = []
    missing, budget = nnz, 0.0
    for length in lengths:
        if length < lengths[0]:
            parts = np.arange(0, _longer(length, lengths), length, dtype=integer)
            free = (free[:, None] + parts).ravel()
            if axis < width:
                free = free[free % width < axis]
        budget += SHARE_OF_LENGTH[length] * nnz
        last = length == lengths[-1]
        while missing > 0 and len(free):
            # The shortest length fills up what is left; its slots may be cut short at line ends.
            count = max(1, missing // length) if last else int(min(budget, missing) // length)
            drawn = _subset(len(free), min(count, len(free)), rng)
            slots, free = free[drawn], free[~drawn]
            covered = int(np.minimum(length, axis - slots % width).sum())
            taken.append(slots)
            nominal.append(np.full(len(slots), length, np.int32))
            missing -= covered
            budget -= covered
            if not last:
                break
    places = np.concatenate([*taken, np.empty(0, integer)])
    order = np.argsort(places)
    places = places[order]
    return VectorLayout(
        orientation,
        (places // width).astype(np.int32),
        (places % width).astype(np.int32),
        np.concatenate([*nominal, np.empty(0, np.int32)])[order],
    )


def _inside(
    shape: tuple[int, int], nnz: int, slots: Slots, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A mask of `nnz` entries in drawn slots, of which there are as many as reach `ROOM` · nnz."""
    held = _drawn(shape, min(math.ceil(ROOM * nnz), shape[0] * shape[1]), slots, rng)
    keep = np.repeat(held, slots.lanes).reshape(*held.shape, slots.lanes, 1)
    keep = slots.array(keep, shape)
    keep[keep] = _subset(int(np.count_nonzero(keep)), nnz, rng)
    return keep


def _selected(
    shape: tuple[int, int], nnz: int, slots: Slots, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A mask of drawn slots, as many as reach `nnz`, whose lanes keep a drawn candidate each."""
    held = _drawn(shape, nnz, slots, rng)
    line, place = np.nonzero(held)
    candidates = slots.candidates(shape, line.astype(np.int32), place.astype(np.int32))
    chosen = rng.integers(0, np.maximum(candidates, 1), dtype=np.int64)
    grid = np.zeros((*held.shape, slots.lanes, slots.choices), np.bool_)
    grid[held] = (chosen[..., None] == np.arange(slots.choices)) & (candidates > 0)[..., None]
    return slots.array(grid, shape)


def _drawn(
    shape: tuple[int, int], entries: int, slots: Slots, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Uniformly drawn slots, (lines, places), as many as have `entries` lanes between them."""
    lanes = slots.lanes_there(shape)
    order = rng.permutation(lanes.size)
    there = np.cumsum(lanes.ravel()[order])
    held = np.zeros(lanes.size, np.bool_)
    held[order[: np.searchsorted(there, entries) + 1 if entries else 0]] = True
    return held.reshape(lanes.shape)


def _longer(length: int, lengths: list[int]) -> int:
    return lengths[lengths.index(length) - 1]
