"""Units that only make sense whole: heads and hidden neurons, as lines of several matrices.

Removing a neuron of a feed-forward layer removes its row of gate and up and its column of down; a
head owns rows of Q, K and V and columns of the attention output (with grouped-query attention, a
key-value head owns all query heads that read it).

Source: LLM-Pruner (Ma et al., NeurIPS 2023) for dependency groups of the Llama family.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sparse_formats.errors import InputError
from sparse_formats.names import kind_of, layer_of

Unit = Literal["head", "neuron"]


@dataclass(frozen=True)
class Part:
    """The lines of one matrix that belong to units: unit u has start + u·width and the next ones.

    matrix: its name. axis: which of its lines, rows (outputs) or columns (inputs).
    """

    matrix: str
    axis: Literal["rows", "cols"]
    start: int
    width: int

    def lines(self, unit: int) -> slice:
        """The lines of unit number `unit`."""
        return slice(self.start + unit * self.width, self.start + (unit + 1) * self.width)


@dataclass(frozen=True)
class Coupling:
    """`count` units of one place in the network, each of which stays or goes as a whole."""

    name: str
    unit: Unit
    count: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Heads:
    """How attention is cut: query heads, and the key-value heads they share (as many, or fewer).

    width: the lines of one head, where layers have different numbers of heads (and key-value heads
        of their own); each layer's are then counted by it.
    """

    heads: int
    key_value_heads: int
    width: int | None = None


def read_heads(model: Path) -> Heads | None:
    """The head counts a Hugging Face directory's config.json states; None without one.

    Raises:
        InputError: the file is unreadable or its counts are no counts.
    """
    path = model / "config.json"
    if not path.is_file():
        return None
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} holds no JSON object; give a model's configuration")
    key = next((key for key in _HEAD_KEYS if key in config), None)
    if key is None:
        return None
    counts = [config[key], config.get("num_key_value_heads") or config[key]]
    if not all(type(count) is int for count in counts):
        raise InputError(f"{path}: {counts} are no numbers of attention heads")
    found = check_heads(Heads(counts[0], counts[1]), str(path))
    if config.get("layer_heads") is None:
        return found
    # Of a folder that `shrink --own-code` wrote: the number above is that of the model before.
    hidden = next((config[key] for key in ("hidden_size", "dim") if key in config), None)
    if type(hidden) is not int or hidden < found.heads or hidden % found.heads:
        raise InputError(f"{path}: a hidden size of {hidden} is not {found.heads} equal heads")
    return Heads(found.heads, found.key_value_heads, hidden // found.heads)


def check_heads(heads: Heads, where: str) -> Heads:
    """`heads`; InputError naming `where` unless each key-value head serves as many heads."""
    if heads.heads < 1 or heads.key_value_heads < 1 or heads.heads % heads.key_value_heads:
        raise InputError(
            f"{where}: {heads.heads} heads cannot share {heads.key_value_heads} key-value heads; "
            "the second number must divide the first"
        )
    return heads


_HEAD_KEYS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
"""What model families call the number of heads: Llama and BERT, GPT-2, DistilBERT, T5."""


def couplings_of(
    shapes: Mapping[str, tuple[int, int]], heads: Heads | None
) -> tuple[Coupling, ...]:
    """The heads (where `heads` is known) and hidden neurons of all layers.

    shapes: (out, in) by name. A layer's matrices are told by their names (`sparse_formats.names`);
    a unit has lines in those of them that are there.

    Raises:
        InputError: a matrix whose shape does not fit the others of its layer, or the head counts.
    """
    found = []
    for place, by_kind in _layers(shapes).items():
        neurons = _neurons(place, by_kind, shapes)
        own = None if heads is None else _of_layer(heads, by_kind, shapes)
        attention = None if own is None else _attention(place, by_kind, shapes, own)
        found += [coupling for coupling in (attention, neurons) if coupling is not None]
    return tuple(found)


def _layers(shapes: Mapping[str, tuple[int, int]]) -> dict[str, dict[str, str]]:
    """Matrix by kind, of each layer; of each module where a layer has two of a kind."""
    layers: dict[str, list[str]] = {}
    for name in shapes:
        layer = layer_of(name)
        if layer is not None:
            layers.setdefault(_up_to_layer(name, layer), []).append(name)
    found: dict[str, dict[str, str]] = {}
    for place, names in layers.items():
        if len({kind_of(name) for name in names}) == len(names):
            found[place] = {kind_of(name): name for name in names}
            continue
        for name in names:
            module = name.removesuffix(".weight").rpartition(".")[0]
            found.setdefault(module, {})[kind_of(name)] = name
    return found


def _up_to_layer(name: str, layer: int) -> str:
    words = name.split(".")
    numbered = [i for i, word in enumerate(words) if word.endswith(str(layer))]
    return ".".join(words[: numbered[0] + 1]) if numbered else f"layer {layer}"


def _neurons(
    place: str, by_kind: Mapping[str, str], shapes: Mapping[str, tuple[int, int]]
) -> Coupling | None:
    first = [by_kind[kind] for kind in ("gate", "up", "FFN1") if kind in by_kind]
    last = [by_kind[kind] for kind in ("down", "FFN2") if kind in by_kind]
    counts = {name: shapes[name][0] for name in first} | {name: shapes[name][1] for name in last}
    if not counts:
        return None
    count = next(iter(counts.values()))
    for name, found in counts.items():
        if found != count:
            raise InputError(
                f"matrix {name} has {found} hidden neurons, {next(iter(counts))} {count}: they are "
                "not of one feed-forward layer; exclude one"
            )
    parts = [Part(name, "rows", 0, 1) for name in first]
    parts += [Part(name, "cols", 0, 1) for name in last]
    return Coupling(f"{place} neurons", "neuron", count, tuple(parts))


def _of_layer(
    heads: Heads, by_kind: Mapping[str, str], shapes: Mapping[str, tuple[int, int]]
) -> Heads:
    """The head counts of one layer."""
    places = (("Q", 0), ("K", 0), ("V", 0), ("attention out", 1))
    lines = [shapes[by_kind[kind]][axis] for kind, axis in places if kind in by_kind]
    if heads.width is None or not lines:
        return heads
    count = max(1, lines[0] // heads.width)
    return Heads(count, count)


def _attention(
    place: str,
    by_kind: Mapping[str, str],
    shapes: Mapping[str, tuple[int, int]],
    heads: Heads,
) -> Coupling | None:
    groups = heads.key_value_heads
    # Of each matrix: where its bands start in it, in shares of its lines, and their heads.
    bands: list[tuple[str, Literal["rows", "cols"], int, int]] = []
    for kind, stacked, count in (
        ("QKV", 3, heads.heads),
        ("Q", 1, heads.heads),
        ("K", 1, groups),
        ("V", 1, groups),
    ):
        if kind in by_kind:
            bands.append((by_kind[kind], "rows", stacked, count))
    if "attention out" in by_kind:
        bands.append((by_kind["attention out"], "cols", 1, heads.heads))
    if "QKV" in by_kind and groups != heads.heads:
        raise InputError(
            f"matrix {by_kind['QKV']} stacks Q, K and V with {groups} key-value heads; "
            f"only as many as the {heads.heads} heads are known here"
        )
    parts: list[Part] = []
    sizes: dict[str, int] = {}
    for name, axis, stacked, count in bands:
        lines = shapes[name][0 if axis == "rows" else 1]
        if lines % (stacked * count):
            raise InputError(
                f"matrix {name}: its {lines} {axis} are not {stacked * count} equal heads; "
                "correct the head counts or exclude it"
            )
        sizes[name] = lines // (stacked * count)
        share = lines // stacked
        parts += [Part(name, axis, i * share, share // groups) for i in range(stacked)]
    odd = next((name for name, size in sizes.items() if size != next(iter(sizes.values()))), None)
    if odd is not None:
        first = next(iter(sizes))
        raise InputError(
            f"matrix {odd} has heads of {sizes[odd]} lines, {first} of {sizes[first]}; correct "
            "the head counts or exclude it"
        )
    return Coupling(f"{place} heads", "head", groups, tuple(parts)) if parts else None
