"""What a run of single matrices leaves out of the model that they are from, in words."""

from collections.abc import Collection
from pathlib import Path

from accel_sim.models.config import read_model
from accel_sim.models.families import KNOWN
from accel_sim.models.transformer import Transformer, cache_bytes
from accel_sim.reports.number_text import quantity
from sparse_formats.errors import InputError
from sparse_formats.files.model_config import read_config
from sparse_formats.masks.matrix_names import kind_of


def not_counted(
    mask: Path | None, shapes: str | None, names: Collection[str], operand_bytes: int
) -> str:
    """One note for the report; with figures where the model is known by its name or config.json.

    names: of the matrices that are run.
    """
    model = _model(mask, shapes)
    if model is None:
        if all(kind_of(name) == "other" for name in names):
            return ""
        return (
            "Only products of weights are counted: attention products, softmax, norms, the KV "
            "cache and matrices that are not listed are not. python -m accel_sim model counts them."
        )
    said = ["attention products", "softmax", "norms and activations"]
    if model.head_rows and not any(kind_of(name) == "head" for name in names):
        size = operand_bytes * model.head_rows * model.width
        said.append(f"the head ({quantity(size, 'B')} a step)")
    if model.is_causal:
        size = cache_bytes(model, 1, 8 * operand_bytes)
        said.append(f"the KV cache ({size:,} bytes a cached token and step)")
    counted = f"--shapes {shapes}" if mask is None else "--model FOLDER --mask FILE"
    return (
        f"Not counted: {', '.join(said[:-1])} and {said[-1]}. "
        f"python -m accel_sim model {counted} counts them."
    )


def _model(mask: Path | None, shapes: str | None) -> Transformer | None:
    if shapes in KNOWN:
        return read_model(str(shapes))
    if mask is None or read_config(mask) is None:
        return None
    try:
        return read_model(mask)
    except InputError:
        return None  # a family that `model` refuses
