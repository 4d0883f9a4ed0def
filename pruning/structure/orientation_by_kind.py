"""Along which axis the vectors of a matrix lie, by what the matrix does in its layer.

Vectors of a whole layer then lie along two axes only. Those of Q, K, V and of the attention output
run along the residual stream, those of FFN1 (gate, up) and FFN2 (down) along the hidden neurons.
One order of the residual stream and one of each layer's neurons, which `permutation` looks for,
therefore serve all matrices.

Source: this project's own; of the orientations tried on glassllm at 80 % it did best.
"""

from collections.abc import Mapping

from sparse_formats.masks.vectors import Orientation

ORIENTATION_BY_KIND: Mapping[str, Orientation] = {
    "Q": "horizontal",
    "K": "horizontal",
    "V": "horizontal",
    "QKV": "horizontal",
    "attention out": "vertical",
    "FFN1": "vertical",
    "gate": "vertical",
    "up": "vertical",
    "FFN2": "horizontal",
    "down": "horizontal",
}
"""Kinds that are not here (embeddings, heads, others) are in no layer, and share no axis."""
