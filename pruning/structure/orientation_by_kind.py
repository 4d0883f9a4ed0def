"""Along which axis the vectors of a matrix lie, by what the matrix does in its layer.

Matrices share axes: the residual stream (columns of Q, K, V, FFN1, gate and up; rows of the
attention output, FFN2 and down), the lines of heads (rows of Q, K, V; columns of the attention
output) and the hidden neurons (rows of FFN1, gate and up; columns of FFN2 and down). A table names
for each kind the axis that its vectors run along. One order of such an axis, which `permutation`
looks for, then serves all matrices whose vectors run along it.

Source: this project's own.
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
"""Attention along the residual stream, FFN1 and FFN2 along the hidden neurons: of the orientations
tried on glassllm at 80 % it did best. Kinds that are not here (embeddings, heads, others) are in no
layer, and share no axis."""

ALONG_THE_STREAM: Mapping[str, Orientation] = {
    "Q": "horizontal",
    "K": "horizontal",
    "V": "horizontal",
    "QKV": "horizontal",
    "attention out": "vertical",
    "FFN1": "horizontal",
    "gate": "horizontal",
    "up": "horizontal",
    "FFN2": "vertical",
    "down": "vertical",
}
"""All matrices along the residual stream: one axis for the whole model."""

ALONG_UNITS: Mapping[str, Orientation] = {
    kind: "vertical" if orientation == "horizontal" else "horizontal"
    for kind, orientation in ALONG_THE_STREAM.items()
}
"""All matrices along their layer's heads and hidden neurons."""
