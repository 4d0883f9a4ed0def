"""Units that only make sense whole: heads and hidden neurons, as lines of several matrices.

Removing a neuron of a feed-forward layer removes its row of gate and up and its column of down; a
head owns rows of Q, K and V and columns of the attention output (with grouped-query attention, a
key-value head owns all query heads that read it).

Source: LLM-Pruner (Ma et al., NeurIPS 2023) for dependency groups of the Llama family.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from pruning.models import glassllm
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix_names import kind_of, layer_of

Unit = Literal["head", "neuron"]
UNITS: tuple[Unit, ...] = ("head", "neuron")

QKV = Literal["stacked", "by_head", "unknown"]
"""How one matrix holds Q, K and V: all of Q, then K, then V (GPT-2, MPT, Phi-3, ModernBERT; also
where all heads share one key and value); or for each key-value head its queries, its key and its
value (GPT-NeoX, BLOOM, Falcon)."""

ROWS, COLS = 0, 1


@dataclass(frozen=True)
class Slice:
    """The rows (axis 0, outputs) or columns (axis 1, inputs) of matrix `matrix` by unit.

    Unit u takes the lines start + u·stride … start + u·stride + size − 1.
    """

    matrix: str
    axis: int
    start: int
    stride: int
    size: int

    def lines(self, unit: int) -> range:
        """The lines of unit number `unit`."""
        first = self.start + unit * self.stride
        return range(first, first + self.size)

    def of_units(self, count: int) -> NDArray[np.intp]:
        """The lines of the units 0 … count − 1, (count, size)."""
        return self.start + np.arange(count)[:, None] * self.stride + np.arange(self.size)


@dataclass(frozen=True)
class Coupling:
    """`count` units of one place in the network, each of which stays or goes as a whole."""

    unit: Unit
    count: int
    parts: tuple[Slice, ...]


@dataclass(frozen=True)
class Heads:
    """How attention is cut: query heads, and the key-value heads they share (as many, or fewer).

    width: the lines of one head, where layers have different numbers of heads (and key-value heads
        of their own); each layer's are then counted by it.
    qkv: how a matrix that holds Q, K and V is laid out, where there is one.
    """

    heads: int
    key_value_heads: int
    width: int | None = None
    qkv: QKV = "stacked"


def read_heads(model: Path) -> Heads | None:
    """The head counts that a Hugging Face directory's config.json, or glassllm's .npz, states.

    None where there is no such thing, or it states no one number.

    Raises:
        InputError: the file is unreadable or its counts are no counts.
    """
    if glassllm.recognises(model):
        return heads_of_config(glassllm.read_config(model), str(model))
    path = model / "config.json"
    if not path.is_file():
        return None
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} does not hold a JSON object; give the configuration of a model")
    return heads_of_config(config, str(path))


def heads_with(mask: Path, header: Mapping[str, Any]) -> Heads | None:
    """The head counts that come with a mask: those of a model's directory, or its file's `header`.

    Raises:
        InputError: as `read_heads`, or the header's are none.
    """
    found = read_heads(mask)
    if found is not None or header.get("heads") is None:
        return found
    try:
        return check_heads(msgspec.convert(header["heads"], Heads), str(mask))
    except msgspec.ValidationError as error:
        raise InputError(f"{mask}: its header has no valid numbers of heads: {error}") from error


def heads_of_config(config: Mapping[str, Any], where: str) -> Heads | None:
    """The head counts that a model's configuration states; None where there is no one number.

    Raises:
        InputError: its counts are no counts; `where` tells whose they are.
    """
    key = next((key for key in _HEAD_KEYS if config.get(key) is not None), None)
    if key is None:
        return None
    heads = config[key]
    counts = [heads, _key_value_heads(config) or heads]
    # Layers that differ, or encoder and decoder.
    if list in map(type, counts) or config.get("decoder_attention_heads", heads) != heads:
        return None
    if not all(type(count) is int for count in counts):
        raise InputError(f"{where}: {counts} are not numbers of attention heads")
    found = check_heads(Heads(counts[0], counts[1], qkv=_qkv(config)), where)
    if config.get("layer_heads") is None:
        return found
    # Of a folder that `shrink --own-code` wrote: the number above is that of the model before.
    hidden = next((config[key] for key in ("hidden_size", "dim") if key in config), None)
    if type(hidden) is not int or hidden < found.heads or hidden % found.heads:
        raise InputError(
            f"{where}: hidden size {hidden} cannot be divided into {found.heads} equal heads"
        )
    return replace(found, width=hidden // found.heads)


def check_heads(heads: Heads, where: str) -> Heads:
    """`heads`; InputError naming `where` unless each key-value head serves as many heads."""
    if heads.heads < 1 or heads.key_value_heads < 1 or heads.heads % heads.key_value_heads:
        raise InputError(
            f"{where}: {heads.heads} heads cannot share {heads.key_value_heads} key-value heads; "
            "the second number must divide the first"
        )
    return heads


_HEAD_KEYS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads")
_HEAD_KEYS += ("attention_heads",)
"""What families call the number of heads: Llama and BERT, GPT-2, DistilBERT, T5, BART, XGLM."""

_BY_HEAD = ("gpt_neox", "gpt_neox_japanese", "bloom", "persimmon", "deberta")


def _key_value_heads(config: Mapping[str, Any]) -> Any:
    family, shared = config.get("model_type"), config.get("multi_query", True)
    if family == "falcon" and config.get("new_decoder_architecture"):
        return config.get("num_kv_heads")
    if family in ("falcon", "gpt_bigcode"):
        return 1 if shared else None
    return config.get("num_key_value_heads", config.get("n_kv_heads"))


def _qkv(config: Mapping[str, Any]) -> QKV:
    family = config.get("model_type")
    if family == "codegen":  # in four parts, each of which holds Q, V and K of its heads
        return "unknown"
    shared = config.get("multi_query", True)
    if family == "falcon":
        return "by_head" if config.get("new_decoder_architecture") or not shared else "stacked"
    if family == "gpt_bigcode":
        return "stacked" if shared else "by_head"
    return "by_head" if family in _BY_HEAD else "stacked"


def qkv_slices(matrix: str, rows: int, heads: int, dim: int, qkv: QKV) -> list[Slice] | None:
    """Q, K and V in a matrix that holds all three; a unit is a key-value head and all it serves.

    dim: lines of a head. None where the rows are not so many heads, or the layout is not known.
    """
    count, rest = divmod(rows - heads * dim, 2 * dim)
    if qkv == "unknown" or rest or count < 1 or heads % count:
        return None
    served = heads // count * dim
    if qkv == "by_head":
        each = served + 2 * dim
        starts, strides = (0, served, served + dim), (each, each, each)
    else:
        starts, strides = (0, heads * dim, (heads + count) * dim), (served, dim, dim)
    return [
        Slice(matrix, ROWS, start, stride, size)
        for start, stride, size in zip(starts, strides, (served, dim, dim), strict=True)
    ]


def couplings_of(
    shapes: Mapping[str, tuple[int, int]], heads: Heads | None, units: Sequence[Unit] = UNITS
) -> tuple[Coupling, ...]:
    """The heads (where `heads` is known) and hidden neurons of all layers, if among `units`.

    shapes: (out, in) by name. A layer's matrices are told by their names (`masks.names`);
    a unit has lines in those of them that are there.

    Raises:
        InputError: a matrix whose shape does not fit the others of its layer, or the head counts.
    """
    kinds = {name: kind_of(name) for name in shapes}
    found: list[Coupling | None] = []
    if heads is not None and "head" in units:
        found += [
            _attention(block, shapes, _of_layer(heads, block, shapes))
            for block in blocks(kinds, ATTENTION)
        ]
    if "neuron" in units:
        found += [_neurons(block, shapes) for block in blocks(kinds, FEED_FORWARD)]
    return tuple(coupling for coupling in found if coupling is not None)


ATTENTION = ("QKV", "Q", "K", "V", "attention out")
FEED_FORWARD = ("gate", "up", "FFN1", "down", "FFN2")
"""Kinds of the matrices that hold heads, and of those that hold hidden neurons."""


def blocks(kinds: Mapping[str, str], wanted: Sequence[str]) -> list[dict[str, str]]:
    """Matrices of the kinds `wanted` that work together, as kind → name, layer by layer.

    kinds: by name. Where a layer has several of a kind (cross-attention, experts), each stands
    with those whose names are nearest.
    """
    layers: dict[tuple[str, ...], list[str]] = {}
    for name, kind in kinds.items():
        if kind in wanted and (place := _up_to_layer(name)):
            layers.setdefault(place, []).append(name)
    found: list[dict[str, str]] = []
    for names in layers.values():
        by_kind = [[name for name in names if kinds[name] == kind] for kind in wanted]
        first = max(by_kind, key=len)
        mine = [{kinds[name]: name} for name in first]
        for name in (name for some in by_kind if some is not first for name in some):
            distances = [_distance(name, other) for other in first]
            mine[distances.index(min(distances))].setdefault(kinds[name], name)
        found += mine
    return found


def _up_to_layer(name: str) -> tuple[str, ...]:
    """The words of a name up to its layer's number; empty without one."""
    layer, words = layer_of(name), _words(name)
    numbers = (re.search(r"\d+$", word) for word in words)
    for i, number in enumerate(numbers):
        if number and int(number[0]) == layer:
            return words[: i + 1]
    return ()


def _distance(one: str, other: str) -> int:
    """Steps from one name to the other in the tree of modules."""
    a, b = _words(one), _words(other)
    shared = next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
    return len(a) + len(b) - 2 * shared


def _words(name: str) -> tuple[str, ...]:
    return tuple(re.split(r"[._/]", name.removesuffix(".weight")))


def _neurons(by_kind: Mapping[str, str], shapes: Mapping[str, tuple[int, int]]) -> Coupling:
    first = [by_kind[kind] for kind in ("gate", "up", "FFN1") if kind in by_kind]
    last = [by_kind[kind] for kind in ("down", "FFN2") if kind in by_kind]
    counts = [(name, shapes[name][COLS]) for name in last]
    counts += [(name, shapes[name][ROWS]) for name in first]
    against, count = counts[0]
    parts: list[Slice] = []
    for name in first:
        # Gate and up may be stacked in one matrix of twice the width (Phi-3, ModernBERT).
        bands, rest = divmod(shapes[name][ROWS], count)
        if rest or not 1 <= bands <= (2 if last and len(first) == 1 else 1):
            raise InputError(
                f"matrix {name} has {shapes[name][ROWS]} hidden neurons, {against} {count}; they "
                "do not belong to one feed-forward layer; exclude one"
            )
        parts += [Slice(name, ROWS, band * count, 1, 1) for band in range(bands)]
    for name in last:
        if shapes[name][COLS] != count:
            raise InputError(
                f"matrix {name} has {shapes[name][COLS]} hidden neurons, {against} {count}; they "
                "do not belong to one feed-forward layer; exclude one"
            )
        parts.append(Slice(name, COLS, 0, 1, 1))
    return Coupling("neuron", count, tuple(parts))


def _of_layer(
    heads: Heads, by_kind: Mapping[str, str], shapes: Mapping[str, tuple[int, int]]
) -> Heads:
    """The head counts of one layer."""
    places = (("Q", ROWS), ("K", ROWS), ("V", ROWS), ("attention out", COLS))
    lines = [shapes[by_kind[kind]][axis] for kind, axis in places if kind in by_kind]
    if heads.width is None or not lines:
        return heads
    count = max(1, lines[0] // heads.width)
    return Heads(count, count)


def _attention(
    by_kind: Mapping[str, str], shapes: Mapping[str, tuple[int, int]], heads: Heads
) -> Coupling | None:
    if "QKV" in by_kind:
        return _stacked(by_kind["QKV"], by_kind.get("attention out"), shapes, heads)
    groups = heads.key_value_heads
    parts: list[Slice] = []
    sizes: dict[str, int] = {}
    for kind, axis, count in (
        ("Q", ROWS, heads.heads),
        ("K", ROWS, groups),
        ("V", ROWS, groups),
        ("attention out", COLS, heads.heads),
    ):
        if kind not in by_kind:
            continue
        name = by_kind[kind]
        lines = shapes[name][axis]
        sizes[name], rest = divmod(lines, count)
        if rest:
            words = "columns" if axis else "rows"
            raise InputError(
                f"matrix {name}: its {lines} {words} cannot be divided into {count} equal heads; "
                "correct the head counts or exclude it"
            )
        parts.append(Slice(name, axis, 0, lines // groups, lines // groups))
    odd = next((name for name, size in sizes.items() if size != next(iter(sizes.values()))), None)
    if odd is not None:
        first = next(iter(sizes))
        raise InputError(
            f"matrix {odd} has heads of {sizes[odd]} lines, {first} of {sizes[first]}; correct "
            "the head counts or exclude it"
        )
    return Coupling("head", groups, tuple(parts))


def _stacked(
    qkv: str, out: str | None, shapes: Mapping[str, tuple[int, int]], heads: Heads
) -> Coupling | None:
    """Heads of a matrix that holds Q, K and V: how many share a key, its rows tell."""
    if heads.qkv == "unknown":
        return None
    rows = shapes[qkv][ROWS]
    whole = rows // (heads.heads + 2 * heads.key_value_heads) if out is None else shapes[out][COLS]
    dim = whole if out is None else whole // heads.heads
    found = None if not dim else qkv_slices(qkv, rows, heads.heads, dim, heads.qkv)
    if found is None or (out is not None and whole % heads.heads):
        raise InputError(
            f"matrix {qkv}: its {rows} rows cannot be the queries, keys and values of "
            f"{heads.heads} equal heads; correct the head counts or exclude it"
        )
    query = found[0]
    parts = found if out is None else [*found, Slice(out, COLS, 0, query.size, query.size)]
    return Coupling("head", heads.heads * dim // query.size, tuple(parts))
