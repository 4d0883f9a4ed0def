"""Smaller encoders without training: K-prune, Kwon et al., and two simple baselines.

All take a fine-tuned encoder, a few examples and a budget of FLOPs, and choose heads and neurons:

    sublayers      what can go, and its FLOPs
    partial_run    the model from a given layer on, features and residual sums watched
    knowledge      what each head and neuron knows: of the answer, and of its sublayer's output
    unit_search    which of them fit into the budget
    weight_tuning  the least-squares problem that makes up for what went
    kprune, kwon, baselines   the methods, listed here
"""

from collections.abc import Mapping

from pruning.retraining_free import baselines, kprune, kwon
from pruning.retraining_free.method import Method

METHODS: Mapping[str, Method] = {
    "kprune": kprune.kprune,
    "kwon": kwon.kwon,
    "magnitude": baselines.magnitude,
    "random": baselines.random,
}
