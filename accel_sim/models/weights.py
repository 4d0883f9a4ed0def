"""Which mask belongs to which matrix of a model, and the runs of all of them."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.inputs.activations import Inputs, Layer
from accel_sim.models.transformer import ModelMatrix, Transformer
from sparse_formats.errors import InputError, SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.matrix_names import layer_of, plain_name
from sparse_formats.masks.synthetic.generate import generate, said_of_density
from sparse_formats.masks.synthetic.shapes import MatrixShape
from sparse_formats.memory import holding

_PARTS = {"QKV": ("Q", "K", "V"), "gate and up": ("gate", "up")}
"""Matrices that some models store as one, in the order of their rows."""

_HEADS = ("lm_head", "embed_out", "output", "head")


@dataclass(frozen=True)
class MaskedModel:
    """A model, and the masks of those of its matrices that have one, by the matrix's name.

    A mask has the name of its own file, and may be that of several matrices.
    notes: what a reader must know of how they were matched.
    """

    model: Transformer
    masks: Mapping[str, MaskedMatrix]
    notes: tuple[str, ...] = ()

    @property
    def is_int8(self) -> bool:
        """Whether all masks hold 8-bit weights."""
        types = [mask.weight_dtype for mask in self.masks.values()]
        return bool(types) and all(each == np.int8 for each in types)

    @property
    def dense(self) -> tuple[str, ...]:
        """Names of the matrices without a mask."""
        return tuple(m.name for m in self.model.matrices if m.name not in self.masks)


def masked(model: Transformer, matrices: Iterable[MaskedMatrix], where: str) -> MaskedModel:
    """The model with these masks on its matrices, found by what they do and in which layer.

    Raises:
        InputError: a matrix that the model lacks, has in another shape, or has once and gets twice;
            `where` tells whose matrices they are.
    """
    given: dict[tuple[str, int | None], MaskedMatrix] = {}
    left_out: list[str] = []
    for matrix in matrices:
        kind = _kind(matrix)
        if kind in ("embedding", "other head"):
            left_out.append(matrix.name)
            continue
        key = kind, (None if kind == "head" else layer_of(matrix.name))
        if key in given:
            raise InputError(
                f"{where}: {given[key].name} and {matrix.name} are both {kind} of layer {key[1]}, "
                f"but a layer of {model.family} has one; give the masks of this model alone"
            )
        given[key] = matrix
    model = replace(model, matrices=tuple(_stored_as(given, model)))
    wanted = {(m.kind, m.layer): m for m in model.matrices}
    masks = {}
    for key, matrix in given.items():
        if key not in wanted:
            raise InputError(
                f"{where}: the model has no matrix like {matrix.name} ({key[0]}"
                f"{'' if key[1] is None else f' of layer {key[1]}'}); give the masks of this model,"
                " or leave it out with --exclude"
            )
        own = wanted[key]
        if matrix.shape != (own.rows, own.cols):
            raise InputError(
                f"{where}: matrix {matrix.name} is {matrix.shape[0]}×{matrix.shape[1]}, but that of"
                f" the model is {own.rows}×{own.cols}; give the masks of this model"
            )
        masks[own.name] = matrix
    notes = [_left_out(left_out)] if left_out else []
    dense = [m.name for m in model.matrices if m.name not in masks]
    if dense:
        shown = ", ".join(dense[:3]) + (f" and {len(dense) - 3} more" if len(dense) > 3 else "")
        notes.append(f"Matrices without a mask run dense: {shown}.")
    return MaskedModel(model, masks, tuple(notes))


def generated(
    model: Transformer, density: float, pattern: str, seed: int, head_density: float | None
) -> MaskedModel:
    """Masks made up for the layers' matrices; those of one kind are the same in all layers.

    head_density: of a generated mask of the head, None for a dense one.
    """
    first = [m for m in model.matrices if m.layer == 0]
    shapes = [_shape(m, model) for m in first]
    made = dict(zip((m.kind for m in first), generate(shapes, density, pattern, seed), strict=True))
    masks = {m.name: made[m.kind] for m in model.matrices if m.layer is not None}
    kept = [(_shape(m, model), masks[m.name].nnz) for m in model.matrices if m.name in masks]
    notes = (
        "The masks were generated, not trained, so the results are not those of a model. "
        "Masks of one kind are the same in all layers.",
        *said_of_density(pattern, density, kept),
    )
    found = MaskedModel(model, masks, notes)
    return found if head_density is None else with_head(found, head_density, pattern, seed)


def with_head(found: MaskedModel, density: float, pattern: str, seed: int) -> MaskedModel:
    """The model with a generated mask of its head in place of whatever it had.

    Raises:
        InputError: the model has no head.
    """
    heads = [m for m in found.model.matrices if m.kind == "head"]
    if not heads:
        raise SettingError(
            "head_density", f"is {density:g}, but {found.model.family} has no head; leave it out"
        )
    (head,) = heads
    (mask,) = generate([_shape(head, found.model)], density, pattern, seed)
    note = f"The head has a generated mask of density {density:g}, whose quality nobody has seen."
    return MaskedModel(found.model, {**found.masks, head.name: mask}, (*found.notes, note))


def _shape(matrix: ModelMatrix, model: Transformer) -> MatrixShape:
    size = matrix.rows, matrix.cols
    return MatrixShape(matrix.name, matrix.kind, *size, model.heads, model.kv_heads)


def _kind(matrix: MaskedMatrix) -> str:
    plain = plain_name(matrix.name)
    if matrix.kind == "head":
        return "head" if plain.rsplit(".", 1)[-1] in _HEADS else "other head"
    return "gate and up" if plain.endswith("gate_up_proj") else matrix.kind


def _left_out(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"Not multiplied in a step, so their masks do nothing: {shown}."


def _stored_as(
    given: Mapping[tuple[str, int | None], MaskedMatrix], model: Transformer
) -> Iterator[ModelMatrix]:
    """The model's matrices, put together or taken apart as the masks have them."""
    split = {part: whole for whole, parts in _PARTS.items() for part in parts}
    for matrix in model.matrices:
        layer, whole = matrix.layer, split.get(matrix.kind)
        if parts := [
            mask
            for part in _PARTS.get(matrix.kind, ())
            if (mask := given.get((part, layer))) is not None
        ]:
            rows = sum(mask.shape[0] for mask in parts)
            if len(parts) == len(_PARTS[matrix.kind]) and rows == matrix.rows:
                for mask in parts:
                    kind = _kind(mask)
                    yield ModelMatrix(mask.name, kind, layer, mask.shape[0], matrix.cols)
                continue
        elif whole is not None and (mask := given.get((whole, layer))) is not None:
            if matrix.kind == _PARTS[whole][0]:
                yield ModelMatrix(mask.name, whole, layer, *mask.shape)
            continue
        yield matrix


Jobs = Sequence[tuple[ModelMatrix, int]]
"""Matrices, and how many tokens go through each."""


class WeightProducts:
    """Runs products of weights on a machine; what is alike runs once."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._baseline = machine.dense_baseline()
        self._dense: dict[tuple[int, int, int], LayerRun] = {}
        self._lock = Lock()

    def run(
        self,
        jobs: Jobs,
        masks: Mapping[str, MaskedMatrix],
        threads: int | None,
        on_product: Callable[[str], None] = lambda name: None,
    ) -> dict[tuple[str, int], LayerRun]:
        """The run of each matrix, dense where it has no mask, by its name and its tokens."""

        def one(job: tuple[ModelMatrix, int]) -> LayerRun:
            matrix, tokens = job
            mask = masks.get(matrix.name)
            found = self._of_dense(matrix, tokens) if mask is None else self._masked(mask, tokens)
            on_product(matrix.name)
            return found

        def key(job: tuple[ModelMatrix, int]) -> tuple[object, ...]:
            matrix, tokens = job
            if matrix.name in masks:
                return id(masks[matrix.name]), tokens
            return matrix.rows, matrix.cols, tokens

        unlike = {key(job): job for job in jobs}
        with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
            found = dict(zip(unlike, pool.map(one, unlike.values()), strict=True))
        return {
            (matrix.name, tokens): replace(
                found[key((matrix, tokens))], name=matrix.name, kind=matrix.kind
            )
            for matrix, tokens in jobs
        }

    def _masked(self, mask: MaskedMatrix, tokens: int) -> LayerRun:
        rows, cols = mask.shape
        with holding(self.machine.layer_bytes(mask), f"running {mask.name} ({rows}×{cols})"):
            return self.machine.run(Layer(0, mask, tokens), Inputs(tokens, None, None))

    def _of_dense(self, matrix: ModelMatrix, tokens: int) -> LayerRun:
        """The matrix as if nothing were pruned."""
        key = matrix.rows, matrix.cols, tokens
        with self._lock:
            if key not in self._dense:
                keep = np.broadcast_to(np.True_, (matrix.rows, matrix.cols))
                layer = Layer(0, MaskedMatrix(matrix.name, keep), tokens)
                self._dense[key] = self._baseline(layer, Inputs(tokens, None, None))
            return self._dense[key]
