"""What any method has to beat: the smallest units go, or any; nothing makes up for them."""

from collections.abc import Sequence

import numpy as np

from pruning.retraining_free.method import Clock, MethodSettings, Pruned
from pruning.retraining_free.partial_run import Batch
from pruning.retraining_free.sublayers import Encoder
from pruning.retraining_free.unit_search import units_within
from pruning.retraining_free.weight_tuning import remove
from sparse_formats.terminal.progress import Tell


def magnitude(
    encoder: Encoder,
    batches: Sequence[Batch],
    length: float,
    flops: float,
    settings: MethodSettings,
    tell: Tell = lambda step: None,
) -> Pruned:
    """Keep the units of largest Σ|w| per FLOP, over all sublayers."""
    by_name = encoder.opened.by_name
    sizes = []
    for sublayer in encoder.sublayers:
        size = np.zeros(sublayer.count)
        for part in sublayer.parts:
            along = np.abs(by_name[part.matrix].view.cpu().double().numpy()).sum(1 - part.axis)
            size += [along[list(part.lines(unit))].sum() for unit in range(sublayer.count)]
        sizes.append(size)
    return _without(encoder, sizes, length, flops)


def random(
    encoder: Encoder,
    batches: Sequence[Batch],
    length: float,
    flops: float,
    settings: MethodSettings,
    tell: Tell = lambda step: None,
) -> Pruned:
    """Keep units drawn by the seed, each FLOP as likely as any other."""
    rng = np.random.default_rng(settings.seed)
    drawn = [rng.random(each.count) * each.flops(length) for each in encoder.sublayers]
    return _without(encoder, drawn, length, flops)


def _without(
    encoder: Encoder, importance: Sequence[np.ndarray], length: float, flops: float
) -> Pruned:
    clock = Clock()
    with clock("search"):
        costs = [each.flops(length) for each in encoder.sublayers]
        kept = units_within(importance, costs, flops * encoder.flops(length))
    for sublayer, keep in zip(encoder.sublayers, kept, strict=True):
        remove(sublayer, keep)
    return Pruned(tuple(kept), (None,) * len(kept), clock.seconds)
