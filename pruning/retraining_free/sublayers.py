"""The sublayers of an encoder: heads and neurons that stay or go, and the FLOPs they cost.

A layer is an attention sublayer and a feed-forward sublayer. The features that enter a sublayer's
output projection fall into units, d_h neighbouring ones a head or one a neuron; a unit that goes
takes its rows of the matrices before it and its columns of the output projection with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.structure.attention_and_feed_forward import Attention, FeedForward
from pruning.structure.slices import Slice
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet

if TYPE_CHECKING:
    from torch import nn

Kept = NDArray[np.bool_]
"""Which units of a sublayer stay, bool (units,)."""


@dataclass(frozen=True, eq=False)
class Sublayer:
    """One attention or feed-forward sublayer.

    unit: what its units are. count: how many. width: features of a unit.
    out: the output projection, (hidden, count · width). parts: the lines of every matrix by unit.
    layer: number of the layer it belongs to.
    weights: of one unit, in all its parts.
    """

    unit: str
    count: int
    width: int
    out: Matrix
    parts: tuple[Slice, ...]
    layer: int
    weights: int

    @property
    def name(self) -> str:
        """ "layer 3 heads"."""
        return f"layer {self.layer} {self.unit}s"

    def flops(self, length: float) -> float:
        """FLOPs of one unit on a sequence of `length` tokens.

        2·s a weight, and for a head 4·s²·d_h more: its scores and the sum they weigh.
        Activations, norms, biases and embeddings are not counted.
        Source: K-prune (Park et al. 2024), its code's capacity.py: f_head = 8·s·d·d_h + 4·s²·d_h,
        f_neuron = 4·s·d.
        """
        attention = 4 * length**2 * self.width if self.unit == "head" else 0
        return 2 * length * self.weights + attention


@dataclass(frozen=True, eq=False)
class Encoder:
    """A model whose layers can be walked, and its sublayers from the bottom up.

    owner: the module whose attribute `attribute` is the list of layers.
    """

    opened: OpenModel
    owner: "nn.Module"
    attribute: str
    layers: Sequence["nn.Module"]
    sublayers: tuple[Sublayer, ...]

    def flops(self, length: float) -> float:
        """FLOPs of all sublayers on a sequence of `length` tokens."""
        return sum(each.count * each.flops(length) for each in self.sublayers)

    def kept_flops(self, kept: Sequence[Kept], length: float) -> float:
        """FLOPs of the units that stay."""
        pairs = zip(self.sublayers, kept, strict=True)
        return sum(int(keep.sum()) * each.flops(length) for each, keep in pairs)


def find_encoder(opened: OpenModel) -> Encoder:
    """The layers and sublayers of `opened`.

    Raises:
        InputError: a layout that is not known, layers that share weights, key/value heads that
            several heads share, another task than classification or question answering.
    """
    from torch import nn

    where = f"model {opened.name}"
    if opened.task not in ("classify", "answer"):
        raise InputError(
            f"{where} is for {opened.task}, but it is pruned by its answers; give a classifier, a "
            "regression or a model for question answering"
        )
    outs = {a.out.matrix: a for a in opened.attentions} | {
        b.output.matrix: b for b in opened.feed_forwards
    }
    places = {matrix.name: matrix.module_name for matrix in opened.matrices}
    missing = next((name for name in outs if name not in places), None)
    if missing is not None:
        raise InputError(f"matrix {missing} is left out; open the whole model")
    lists = [
        (name, module)
        for name, module in opened.model.named_modules()
        if isinstance(module, nn.ModuleList)
        and outs
        and all(places[out].startswith(f"{name}.") for out in outs)
    ]
    if not lists:
        raise InputError(f"{where}: its heads and neurons are not known; give BERT or DistilBERT")
    path, layers = lists[-1]
    sublayers: list[Sublayer] = []
    for number in range(len(layers)):
        inside = [b for out, b in outs.items() if places[out].startswith(f"{path}.{number}.")]
        attentions = [b for b in inside if isinstance(b, Attention)]
        feed_forwards = [b for b in inside if isinstance(b, FeedForward)]
        if len(attentions) > 1 or len(feed_forwards) > 1 or not inside:
            raise InputError(
                f"{where}: layer {number} has {len(attentions)} attentions and "
                f"{len(feed_forwards)} feed-forward layers, but must have one of each"
            )
        sublayers += [_heads(opened, block, number) for block in attentions]
        sublayers += [_neurons(opened, block, number) for block in feed_forwards]
    repeats = getattr(opened.model.config, "num_hidden_layers", len(layers))
    if repeats != len(layers):
        raise InputError(f"{where}: {repeats} layers share the weights of {len(layers)}")
    owner, _, attribute = path.rpartition(".")
    return Encoder(
        opened, opened.model.get_submodule(owner), attribute, tuple(layers), tuple(sublayers)
    )


def masks_of(encoder: Encoder, kept: Sequence[Kept], header: Mapping[str, object]) -> MaskSet:
    """The masks of all matrices of the model, and their weights as they are now.

    A unit's lines go from every matrix; matrices without units stay whole.
    """
    keep = {m.name: np.ones(m.shape, np.bool_) for m in encoder.opened.matrices}
    for sublayer, mine in zip(encoder.sublayers, kept, strict=True):
        for part in sublayer.parts:
            mask = keep[part.matrix] if part.axis == 0 else keep[part.matrix].T
            for unit in np.flatnonzero(~mine):
                mask[list(part.lines(int(unit)))] = False
    # The model's own row order to that of its file, and weights where they stay.
    found = []
    for matrix in encoder.opened.matrices:
        mask = matrix.to_file(keep[matrix.name])
        weight = matrix.weight()
        weight[~mask] = 0
        found.append(MaskedMatrix(matrix.name, mask, weight, matrix.kind))
    return MaskSet(tuple(found), dict(header))


def _heads(opened: OpenModel, block: Attention, layer: int) -> Sublayer:
    if block.heads != block.kv_heads:
        raise InputError(
            f"model {opened.name} shares {block.kv_heads} key/value heads among {block.heads} "
            "heads; retraining-free pruning needs an encoder with as many of both"
        )
    parts = (block.query, block.key, block.value, block.out)
    return _sublayer(opened, "head", block.heads, block.head_dim, parts, layer)


def _neurons(opened: OpenModel, block: FeedForward, layer: int) -> Sublayer:
    return _sublayer(opened, "neuron", block.width, 1, (*block.inputs, block.output), layer)


def _sublayer(
    opened: OpenModel, unit: str, count: int, width: int, parts: tuple[Slice, ...], layer: int
) -> Sublayer:
    by_name = opened.by_name
    weights = sum(part.size * by_name[part.matrix].shape[1 - part.axis] for part in parts)
    return Sublayer(unit, count, width, by_name[parts[-1].matrix], parts, layer, weights)
