"""The retraining-free methods by name."""

from collections.abc import Callable, Mapping, Sequence

from pruning.retraining_free.baselines import magnitude, random
from pruning.retraining_free.kprune import Pruned, Settings, Tell, kprune
from pruning.retraining_free.kwon import kwon
from pruning.retraining_free.sublayers import Encoder
from pruning.retraining_free.walk import Batch

Method = Callable[[Encoder, Sequence[Batch], float, float, Settings, Tell], Pruned]
"""(encoder, batches, mean length, share of FLOPs to keep, settings, tell) → what stays."""

METHODS: Mapping[str, Method] = {
    "kprune": kprune,
    "kwon": kwon,
    "magnitude": magnitude,
    "random": random,
}
