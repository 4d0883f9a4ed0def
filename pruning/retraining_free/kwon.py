"""Kwon et al.: Fisher information of gates, mask search, rearrangement, mask tuning.

    Fisher ─▶ heads and neurons within the budget ─▶ swapped where units stand for one another
    ─▶ layer by layer, scales of the units that stay, fitted to a teacher half as pruned

Source: Kwon et al., NeurIPS 2022 (arXiv 2204.09656) and its code. Here gradients are squared per
example (there per batch, which scales with its size), the FLOPs constraint alone is built (the
code's latency budget shrinks with every step of its search), examples are drawn without repeats,
the constant that the code fits beside the heads and drops again is left out, and the scales end in
the weights, so that a smaller model can be saved.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pruning.models.devices import exact
from pruning.retraining_free.method import Clock, MethodSettings, Pruned
from pruning.retraining_free.partial_run import Batch, advance, learning_gates, run
from pruning.retraining_free.sublayers import Encoder, Kept, Sublayer
from pruning.retraining_free.weight_tuning import Normal, Tuned, normal_equations, remove
from sparse_formats.terminal.progress import Tell

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_SCALE = 10.0
"""Tuning ends at the first sublayer where a scale is beyond it. Source: the code."""

Gates = dict[Sublayer, "Tensor"]


def kwon(
    encoder: Encoder,
    batches: Sequence[Batch],
    length: float,
    flops: float,
    settings: MethodSettings,
    tell: Tell = lambda step: None,
) -> Pruned:
    """Prune the encoder in place to a share `flops` of its FLOPs; the batches have labels."""
    clock = Clock()
    tell("Fisher information")
    with clock("knowledge"):
        slopes = gate_slopes(encoder, batches)
    with clock("search"):
        kept, halfway = (
            [rearranged(keep, g) for keep, g in zip(found, slopes, strict=True)]
            for found in (
                search(encoder, slopes, length, flops),
                # The teacher stands halfway, in equal factors, between the whole and the pruned.
                search(encoder, slopes, length, flops**0.5),
            )
        )
    tuned: list[Tuned | None] = [None] * len(kept)
    if settings.tuning:
        with clock("tuning"):
            scales, tuned = tuned_scales(encoder, batches, kept, halfway, tell)
        for sublayer, scale in zip(encoder.sublayers, scales, strict=True):
            sublayer.out.view[:] *= _wide(scale, sublayer)
    for sublayer, keep in zip(encoder.sublayers, kept, strict=True):
        remove(sublayer, keep)
    return Pruned(tuple(kept), tuple(tuned), clock.seconds)


def gate_slopes(encoder: Encoder, batches: Sequence[Batch]) -> list[NDArray[np.float32]]:
    """∂Loss/∂gate of every example and unit, by sublayer: float32 (examples, units)."""
    import torch

    with learning_gates(encoder):
        by_batch = [_slopes_of(encoder, batch) for batch in batches]
    return [torch.cat(mine).cpu().numpy() for mine in zip(*by_batch, strict=True)]


def _slopes_of(encoder: Encoder, batch: Batch) -> "list[Tensor]":
    import torch

    seen = run(encoder, batch, 0, watched=encoder.sublayers, with_labels=True)
    rows = len(batch.taken)
    # The loss is a mean over the batch: times its rows, an example's own.
    slopes = torch.autograd.grad(seen.output.loss * rows, seen.features)
    return [
        (features.detach() * slope).sum(1).reshape(rows, sublayer.count, sublayer.width).sum(2)
        for sublayer, features, slope in zip(encoder.sublayers, seen.features, slopes, strict=True)
    ]


def search(
    encoder: Encoder, slopes: Sequence[NDArray[np.float32]], length: float, flops: float
) -> list[Kept]:
    """The heads and neurons of largest total Fisher information within the budget.

    For every number of heads the best so many, with as many of the best neurons as still fit:
    exact where information adds up and units of a kind cost the same.
    """
    sublayers = encoder.sublayers
    budget = flops * encoder.flops(length) * (1 + 1e-9)
    information = [np.square(g, dtype=np.float64).mean(0) for g in slopes]
    by_unit: dict[str, _Ranking] = {}
    for unit in ("head", "neuron"):
        mine = [i for i, each in enumerate(sublayers) if each.unit == unit]
        by_unit[unit] = _ranked([information[i] for i in mine], mine)
    costs = {each.unit: each.flops(length) for each in sublayers}
    heads, neurons = by_unit["head"], by_unit["neuron"]
    most = min(len(heads.order), int(budget // costs["head"])) if len(heads.order) else 0
    totals = []
    for count in range(most + 1):
        left = budget - count * costs.get("head", 0.0)
        room = min(len(neurons.order), int(left // costs["neuron"])) if len(neurons.order) else 0
        totals.append((heads.sums[count] + neurons.sums[room], count, room))
    _, count, room = max(totals, key=lambda one: one[0])
    keep = [np.zeros(each.count, np.bool_) for each in sublayers]
    for ranking, taken in ((heads, count), (neurons, room)):
        for number in ranking.order[:taken]:
            place = int(np.searchsorted(ranking.ends, number, side="right"))
            begin = int(ranking.ends[place - 1]) if place else 0
            keep[ranking.members[place]][int(number) - begin] = True
    return keep


@dataclass(frozen=True, eq=False)
class _Ranking:
    """Units of one kind, best first. ends: where each member's units end in one count of all;
    sums: information of the best 0, 1, 2, …"""

    order: NDArray[np.intp]
    ends: NDArray[np.intp]
    sums: NDArray[np.float64]
    members: list[int]


def _ranked(information: Sequence[NDArray[np.float64]], members: list[int]) -> _Ranking:
    flat = np.concatenate(information) if information else np.empty(0)
    order = np.argsort(-flat, kind="stable")
    ends = np.cumsum([len(values) for values in information])
    return _Ranking(order, ends, np.concatenate([[0.0], np.cumsum(flat[order])]), members)


def rearranged(keep: Kept, slopes: NDArray[np.float32]) -> Kept:
    """As many units, chosen with the cross terms: those whose slopes cancel go together.

    From the least informative set on, each further unit joins what goes, and the member leaves it
    whose leaving makes ‖Σ of the slopes that go‖² smallest.
    """
    gone = int((~keep).sum())
    if gone in (0, len(keep)):
        return keep
    gram = slopes.astype(np.float64).T @ slopes.astype(np.float64)
    order = np.argsort(np.diag(gram), kind="stable")
    out = np.zeros(len(keep), np.bool_)
    out[order[:gone]] = True
    # reach[j] = Σ over what goes of g_i·g_j: the norm without j is total − 2·reach[j] + g_j·g_j.
    reach = gram[out].sum(0)
    for unit in order[gone:]:
        out[unit] = True
        reach += gram[unit]
        rest = np.where(out, np.diag(gram) - 2 * reach, np.inf)
        back = int(np.argmin(rest))
        out[back] = False
        reach -= gram[back]
    return ~out


def tuned_scales(
    encoder: Encoder,
    batches: Sequence[Batch],
    kept: Sequence[Kept],
    halfway: Sequence[Kept],
    tell: Tell,
) -> tuple[list[NDArray[np.float64]], list[Tuned | None]]:
    """A scale for every unit (0 where it goes), fitted sublayer by sublayer to the teacher's sums.

    The first attention is left as it is; of a classifier's last feed-forward only the first token
    counts, which the answer reads. Source: the code.
    """
    import torch

    sublayers = encoder.sublayers
    scales = [keep.astype(np.float64) for keep in kept]
    tuned: list[Tuned | None] = [None] * len(kept)
    wanted: Gates = {s: _wide(k, s) for s, k in zip(sublayers, halfway, strict=True)}
    gates: Gates = {s: _wide(k, s) for s, k in zip(sublayers, scales, strict=True)}
    student, teacher = list(batches), list(batches)
    for layer in range(len(encoder.layers)):
        for i in [i for i, each in enumerate(sublayers) if each.layer == layer]:
            sublayer = sublayers[i]
            tell(f"scales of {sublayer.name}")
            if not kept[i].any() or (layer == 0 and sublayer.unit == "head"):
                continue
            ours, theirs = student, teacher
            if i == len(sublayers) - 1 and encoder.opened.task == "classify":
                ours, theirs = _first_tokens(student), _first_tokens(teacher)
            with torch.no_grad():
                sums = [
                    b.rows_of(run(encoder, b, layer, layer + 1, wanted, [sublayer]).sums[0])
                    for b in theirs
                ]
            normal = normal_equations(encoder, ours, sublayer, kept[i], sums, gates)
            change, done = _scale_change(sublayer, kept[i], normal)
            if np.abs(1 + change).max() > LARGEST_SCALE:
                return scales, tuned
            scales[i][kept[i]] += change
            tuned[i] = done
            gates[sublayer] = _wide(scales[i], sublayer)
        advance(encoder, student, layer, gates)
        advance(encoder, teacher, layer, wanted)
    return scales, tuned


def _scale_change(
    sublayer: Sublayer, keep: Kept, normal: Normal
) -> tuple[NDArray[np.float64], Tuned]:
    """By how much the kept units' scales leave 1: argmin ‖G δ − c‖² + ‖δ‖², G and c those of one
    regressor a unit, its part of the projection's output."""
    from scipy.sparse.linalg import lsmr

    units = int(keep.sum())
    columns = np.flatnonzero(np.repeat(keep, sublayer.width))
    weight = exact(sublayer.out.view).cpu().numpy()[:, columns]
    gram = normal.gram * (weight.T @ weight)
    gram = gram.reshape(units, sublayer.width, units, sublayer.width).sum((1, 3))
    cross = (normal.cross * weight.T).sum(1).reshape(units, sublayer.width).sum(1)
    change = np.asarray(lsmr(gram, cross, damp=1.0)[0])
    after = normal.gap - 2 * float(change @ cross) + float(change @ gram @ change)
    scale = normal.size if normal.size > 0 else 1.0
    return change, Tuned(normal.gap / scale, max(after, 0.0) / scale)


def _first_tokens(batches: Sequence[Batch]) -> list[Batch]:
    import torch

    found = []
    for batch in batches:
        taken = torch.zeros_like(batch.taken)
        taken[:, 0] = True
        found.append(replace(batch, taken=taken))
    return found


def _wide(values: NDArray[np.generic], sublayer: Sublayer) -> "Tensor":
    """One value a unit as one a feature, float32, where the sublayer is."""
    import torch

    wide = np.repeat(values, sublayer.width).astype(np.float32)
    return torch.from_numpy(wide).to(sublayer.out.parameter.device)
